// One step of a decoder in one kernel: a block stays on each multiprocessor and
// the blocks hand each other numbers as words that carry their epoch, so that
// no launch and no barrier of the grid lies between the phases of a layer.

typedef Product<(HEADS + 2 * KV_HEADS) * DIM, HIDDEN, SPLIT_QKV, 1> Qkv;
typedef Product<INNER, HIDDEN, SPLIT_MLP, 2> Mlp;
typedef Product<VOCABULARY, HIDDEN, 1, 1> Head;
static_assert(int(Qkv::pairs) >= BLOCKS && int(Mlp::pairs) >= BLOCKS, "sums are complete when each block has given something");

// Of shared memory, in bytes. Between the last reading of what lies there and its next writing all threads meet.
enum {
  WIDE = int(Down::width) > int(Out::width) ? int(Down::width) : int(Out::width), // of a slice
  RING_AT = 0,
  NARROW_AT = RING,
  WIDE_AT = NARROW_AT + (2 * TERMS * HIDDEN + 15) / 16 * 16,
  GATES_AT = WIDE_AT + (2 * TERMS * WIDE + 15) / 16 * 16,
  BEFORE_AT = GATES_AT + 20 * PORTIONS, // two gates and a size each
  FLOATS_AT = BEFORE_AT + 16 * HIDDEN,  // both sums after the layer before
  RESIDUAL = 0, // from here in floats
  SQUARES = RESIDUAL + HIDDEN,
  PARTIAL = SQUARES + THREADS,
  RANKS = PARTIAL + SUMS,
  ROTARY = RANKS + 2 * WARPS,
  RAW = ROTARY + 2 * PAIRS,
  DESK_QUERY = (RAW + (JOB_HEADS + 1) * DIM + 3) / 4 * 4, // read by fours
  DESK_PART = DESK_QUERY + (MATRIX_KEYS ? (TERMS + 1) / 2 : 1) * JOB_HEADS * DIM,
  DESK_SUM = DESK_PART + WARPS * JOB_HEADS * DIM,
  DESK_TOP = DESK_SUM + WARPS * JOB_HEADS,
  FLOATS = DESK_TOP + WARPS * JOB_HEADS,
  SHARED_BYTES = FLOATS_AT + 4 * FLOATS
};
#ifdef SHARED_GIVEN
static_assert(SHARED_BYTES == SHARED_GIVEN, "package gpu counts shared memory as this file does");
#endif

// feed_all is the feeder: it walks through all that the block reads.
DEVICE void feed_all(ARGS(DecodeArgs) a, Ring &r, GLOBAL(const ulong) table, Place at, GLOBAL(const uchar) keys, GLOBAL(const uchar) values, int block) {
  const int query = HEADS * DIM, key = KV_HEADS * DIM;
  r.due = uint(cycles());
  Share qkv = share_of<Qkv>(block), mlp = share_of<Mlp>(block);
  ROLLED for (int layer = 0; layer < LAYERS; layer++) {
    GLOBAL(const ulong) weights = table + layer * TABLE;
    feed<Qkv>(r, qkv, [&](Portion p, int offset, int from, int n, int column, int bytes) {
      ROLLED for (int i = 0; i < 3; i++) {
        int first = i == 0 ? 0 : query + (i - 1) * key;
        Share part = within(Share{from, from + n}, first, i == 0 ? query : key);
        if (part.from < part.to) fill_rows<Qkv>(r, p, offset + (part.from - from) * bytes, weights[QUERY + i], part.from - first, part.to - part.from, column, bytes);
      }
    });
    at = seen(at, int(weights[WINDOW]));
    int splits = splits_of(at);
    r.interval = splits > 1 ? INTERVAL_MANY : INTERVAL_FEW;
    ROLLED for (int j = block; splits > 1 && j < GROUPS * splits; j += BLOCKS)
      feed_keys(r, keys, values, keys_of(a, layer, at, kv_head(j % GROUPS * JOB_HEADS), j / GROUPS, splits));
    ROLLED for (int j = block; j < Out::jobs; j += BLOCKS) {
      if (Out::early > 0) feed_slice<Out>(r, weights[OUT], j); // they are taken before attention
      if (splits == 1) feed_keys(r, keys, values, keys_of(a, layer, at, kv_head(j / Out::row_parts), 0, 1));
      if (Out::early == 0) feed_slice<Out>(r, weights[OUT], j);
    }
    feed<Mlp>(r, mlp, [&](Portion p, int offset, int from, int n, int column, int bytes) {
      fill_rows<Mlp>(r, p, offset, weights[GATE], from, n, column, bytes);
      fill_rows<Mlp>(r, p, offset + n * bytes, weights[UP], from, n, column, bytes);
    });
    ROLLED for (int j = block; j < Down::jobs; j += BLOCKS) feed_slice<Down>(r, weights[DOWN], j);
  }
  r.pace = r.interval = 0; // nobody waits for other blocks any more
  feed_weight<Head>(r, share_of<Head>(block), table[LAYERS * TABLE]);
}

// terms_of stores N neighbours from number first of x on as bf16, TERMS numbers whose sum each is.
template <int N> DEVICE void terms_of(LOCAL(uchar) x, int size, int first, float *v) {
  UNROLL for (int term = 0; term < TERMS; term++) {
    LOCAL(uint) to = (LOCAL(uint))(x + term * 2 * size) + first / 2;
    UNROLL for (int j = 0; j < N; j += 2) {
      uint pair = bf16_pair(v[j], v[j + 1]);
      to[j / 2] = pair;
      v[j] -= as_float(pair << 16);
      v[j + 1] -= as_float(pair & 0xffff0000u);
    }
  }
}

// term_of stores one number so.
DEVICE void term_of(LOCAL(uchar) x, int size, int i, float v) {
  UNROLL for (int term = 0; term < TERMS; term++) {
    bf16 b = to_bf16(v);
    ((LOCAL(ushort))(x + term * 2 * size))[i] = b.bits;
    v -= to_float(b);
  }
}

// Sums are those of one product, which adds to the row in each layer.
struct Sums {
  GLOBAL(const ulong) words;
  LOCAL(ulong) before; // what was there after the layer before
  int addends;         // of each
  GLOBAL(const float) bias; // if there is one
  bool biased;
};

// stage_row brings the row into shared memory, times the weights of a norm: the embedding at first, then the row so far plus some
// sums. It returns the thread's part of the sum of squares. A thread has the same elements of the row each time.
DEVICE float stage_row(bool first, bool known, GLOBAL(const ushort) embedded, Sums sums, GLOBAL(const float) norm, LOCAL(float) row, LOCAL(uchar) x, int thread) {
  enum { pairs = HIDDEN / 2, loads = (pairs + THREADS - 1) / THREADS, deep = loads <= 4 ? loads : 4, even = deep * THREADS * (loads / deep) == pairs };
  float squares = 0;
  ROLLED for (int from = 0; from < loads; from += deep) {
    // What the others do not change is there before they are waited for.
    float weight[deep][2], bias[deep][2], v[deep][2];
    Added last[deep], s[deep];
    bool absent[deep], inside[deep];
    UNROLL for (int i = 0; i < deep; i++) {
      int pair = (from + i) * THREADS + thread;
      absent[i] = inside[i] = even || pair < pairs;
      UNROLL for (int j = 0; j < 2; j++) {
        const int at = 2 * pair + j;
        weight[i][j] = inside[i] ? norm[at] : 0.0f;
        bias[i][j] = inside[i] && sums.biased ? sums.bias[at] : 0.0f;
        v[i][j] = !inside[i] ? 0.0f : first ? as_float((known ? uint(embedded[at]) : 0x7fc0u) << 16) : row[at];
        last[i].of[j] = inside[i] ? sums.before[at] : 0;
      }
    }
    if (!first) {
      // A lane for each load asks until all was added, before all ask for theirs: what is asked for is written later.
      bool missing;
      int probe = (from + thread % WARP) * THREADS + thread;
      if (thread % WARP < deep && probe < pairs) {
        Added was = {{sums.before[2 * probe], sums.before[2 * probe + 1]}};
        do {
          missing = false;
          peek_sums(sums.words, 2 * probe, was, sums.addends, missing);
        } while (missing);
      }
      warp_barrier();
      do {
        missing = false;
        UNROLL for (int i = 0; i < deep; i++) {
          if (!absent[i]) continue;
          absent[i] = false;
          s[i] = peek_sums(sums.words, 2 * ((from + i) * THREADS + thread), last[i], sums.addends, absent[i]);
        }
        UNROLL for (int i = 0; i < deep; i++) missing |= absent[i];
      } while (missing);
    }
    UNROLL for (int i = 0; i < deep; i++) {
      if (!inside[i]) continue;
      int pair = (from + i) * THREADS + thread;
      UNROLL for (int j = 0; j < 2; j++) {
        if (!first) {
          v[i][j] = rounded(v[i][j] + (sum_of(s[i].of[j], sums.addends) + bias[i][j]));
          sums.before[2 * pair + j] = last[i].of[j] + s[i].of[j];
        }
        row[2 * pair + j] = v[i][j];
        squares += v[i][j] * v[i][j];
        v[i][j] *= weight[i][j];
      }
      terms_of<2>(x, HIDDEN, 2 * pair, v[i]);
    }
  }
  return squares;
}

// stage_slice brings N words of an epoch into shared memory. Few blocks write them.
template <int N> DEVICE void stage_slice(GLOBAL(Word) words, uint epoch, LOCAL(uchar) x, int thread) {
  ROLLED for (int quad = thread; quad < N / PER_QUAD; quad += THREADS) {
    Quad q;
    bool missing;
    do {
      missing = false;
      q = peek(words, quad * PER_QUAD, epoch, missing);
    } while (missing);
    float v[PER_QUAD];
    UNROLL for (int j = 0; j < PER_QUAD; j++) v[j] = of_word(q.value[j]);
    terms_of<PER_QUAD>(x, N, quad * PER_QUAD, v);
  }
}

// mean_scale is 1/√(mean of squares + eps), of which each thread has left a part.
DEVICE float mean_scale(LOCAL(const float) squares, float eps, int lane) {
  float sum = 0;
  UNROLL for (int w = 0; w < WARPS; w++) sum += squares[w * WARP + lane];
  return quick_rsqrt(warp_sum(sum) / float(HIDDEN) + eps);
}

// choose_best finds the largest logit of all blocks, of which each thread knows its own, and writes it with its number.
DEVICE void choose_best(Rank best, LOCAL(uint) ranks, GLOBAL(ulong) bests, uint epoch, GLOBAL(int) id, GLOBAL(float) value, int block, int warp, int lane) {
  best = warp_best(best);
  if (lane == 0) {
    ranks[2 * warp] = best.number;
    ranks[2 * warp + 1] = best.place;
  }
  barrier_of(THREADS);
  if (warp == 0) {
    best = Rank{lane < WARPS ? ranks[2 * lane] : 0, lane < WARPS ? ranks[2 * lane + 1] : 0};
    best = warp_best(best);
    if (lane < 2) put_word(bests, 2 * block + lane, lane == 0 ? best.number : best.place, epoch);
  }
  if (block == 0 && warp == 0) {
    best = Rank{0, 0};
    ROLLED for (int b = lane; b < BLOCKS; b += WARP) {
      Rank other = {take_word(bests, 2 * b, epoch), take_word(bests, 2 * b + 1, epoch)};
      if (below(best, other)) best = other;
    }
    best = warp_best(best);
    if (lane == 0) {
      id[0] = int(~best.place);
      value[0] = number_of(best);
    }
  }
}

// Clock adds up the cycles of the parts of a step; only a profiled kernel has one.
#ifdef PROFILED
struct Clock {
  ulong last, sum[TICKS];
};
#define TICK(i)                                      \
  do {                                               \
    ulong now = cycles();                            \
    clock_.sum[i] += now - clock_.last;              \
    clock_.last = now;                               \
  } while (0)
#else
#define TICK(i) ((void)0)
#endif

RESIDENT_KERNEL(THREADS + FEEDERS * WARP, decode, DecodeArgs, BUF(0, const ulong, table), BUF(1, const float, vectors), BUF(2, const ushort, embedding),
                BUF(3, const float, frequencies), BUF(4, const int, ids), BUF(5, const int, segment), BUF(6, uchar, keys), BUF(7, uchar, values),
                BUF(8, uchar, exchange), BUF(9, float, logits), BUF(10, int, best_id), BUF(11, float, best_value), BUF(12, ulong, profile)) {
  DYNAMIC(memory);
  const Thread t = THREAD;
  LOCAL(float) floats = (LOCAL(float))(memory + FLOATS_AT);
  LOCAL(ulong) gates = (LOCAL(ulong))(memory + GATES_AT);
  Ring r = {memory + RING_AT, gates, gates + PORTIONS, (LOCAL(uint))(gates + 2 * PORTIONS), 0, 0, 0, 0, PACE, INTERVAL_FEW, 0};
  if (t.index == 0) {
    ROLLED for (int i = 0; i < PORTIONS; i++) {
      gate_init(r.full + i, 1);
      gate_init(r.empty + i, THREADS);
    }
    gates_ready();
  }
  barrier();
  if (t.index >= THREADS) {
    give_registers();
    if (t.index == THREADS) feed_all(args, r, table, place_of(args, segment), keys, values, t.group_x);
    return;
  }
  take_registers();
#ifdef PROFILED
  Clock clock_ = {cycles(), {}};
#endif

  // What the whole step needs: the row's place, the rotations there and the sums of the last step.
  const int thread = settled(t.index), block = settled(t.group_x), warp = thread / WARP, lane = thread % WARP;
  GLOBAL(uchar) words = settled(exchange);
  const uint last = AS(const uint, words)[0];
  Place at = place_of(args, segment);
  Desk desk = {floats + RAW, floats + DESK_QUERY, floats + DESK_PART, floats + DESK_SUM, floats + DESK_TOP, floats + ROTARY};
  ROLLED for (int i = thread; i < PAIRS; i += THREADS) {
    float angle = float(at.position) * frequencies[i];
    desk.rotary[i] = fcos(angle) * args.rotaryScale;
    desk.rotary[PAIRS + i] = fsin(angle) * args.rotaryScale;
  }
  LOCAL(ulong) before = (LOCAL(ulong))(memory + BEFORE_AT);
  ROLLED for (int i = thread; i < HIDDEN / 2; i += THREADS) // the thread's own
    UNROLL for (int j = 0; j < 4; j++) {
      int at = j / 2 * HIDDEN + 2 * i + j % 2;
      before[at] = AS(const ulong, words + LAST_AT)[at];
    }
  GLOBAL(Word) qkv = AS(Word, words + QKV_AT);
  GLOBAL(Word) inner = AS(Word, words + INNER_AT);
  GLOBAL(ulong) sums = AS(ulong, words + SUMS_AT);
  GLOBAL(ulong) parts = AS(ulong, words + PARTS_AT);
  LOCAL(float) row = floats + RESIDUAL;
  LOCAL(float) squares = floats + SQUARES;
  LOCAL(float) partial = floats + PARTIAL;
  LOCAL(uchar) narrow = memory + NARROW_AT;
  LOCAL(uchar) wide = memory + WIDE_AT;
  const int token = ids[0];
  const bool known = uint(token) < uint(args.vocabulary);
  GLOBAL(const ushort) embedded = embedding + long(known ? token : 0) * HIDDEN;

  // A layer is two halves, attention and MLP, that each add to the row. The last half's norm is the head's.
  float s;
  ROLLED for (int half = 0;; half++) {
    const int layer = half / 2;
    const bool attention = half % 2 == 0;
    const uint epoch = last + 1 + layer;
    GLOBAL(const float) v = vectors + long(layer) * VECTORS;
    const int window = layer < LAYERS ? int(table[layer * TABLE + WINDOW]) : 0; // on its way while the row is waited for
    const Sums added = attention ? Sums{sums, before, int(Down::slices), vectors + long(half > 0 ? layer - 1 : 0) * VECTORS + DOWN_BIAS, HAS_DOWN_BIAS && half > 0}
                                 : Sums{sums + HIDDEN, before + HIDDEN, int(Out::slices), v + OUT_BIAS, HAS_OUT_BIAS == 1};
    const Share mine = attention ? share_of<Qkv>(block) : share_of<Mlp>(block);
    Early early = {}; // written on all ways: what is not counts as alive in all of the loop
    if (!attention)
      take_early<Mlp>(early, r, mine.to - mine.from, warp, lane);
    else if (layer < LAYERS)
      take_early<Qkv>(early, r, mine.to - mine.from, warp, lane);
    squares[thread] = stage_row(half == 0, known, embedded, added, v + (attention ? ROW_NORM : MLP_NORM), row, narrow, thread);
    if (!attention)
      TICK(6);
    else if (layer < LAYERS)
      TICK(0);
    barrier_of(THREADS);
    s = mean_scale(squares, args.eps, lane);
    if (layer == LAYERS) break;
    if (attention) { // queries, keys and values, attention and its output
      TICK(1);
      multiply<Qkv>(r, hold<Qkv>(narrow, warp, lane), early, mine.to - mine.from, warp, lane, partial, [&](int i, float sum, float) {
        sum *= s;
        if (HAS_QKV_BIAS) sum += v[QKV_BIAS + mine.from + i];
        put_word(qkv, mine.from + i, in_word(sum), epoch);
      });
      TICK(2);
      at = seen(at, window);
      const int splits = splits_of(at);
      ROLLED for (int j = block; splits > 1 && j < GROUPS * splits; j += BLOCKS) {
        if (j != block) barrier_of(THREADS); // the desk is used again
        int head = j % GROUPS * JOB_HEADS, split = j / GROUPS;
        Keys k = keys_of(args, layer, at, kv_head(head), split, splits);
        bool write = k.own && at.stored && head % (HEADS / KV_HEADS) == 0;
        attend<JOB_HEADS>(args, r, k, head, write, at.position, keys, values, v, qkv, epoch, desk, warp, lane,
                          [&](int h, int d, float e, float sum, float top) { put_part(parts, split, head + h, d, e, sum, top, epoch); });
      }
      TICK(3);
      if (block >= Out::jobs && (splits == 1 || block >= GROUPS * splits)) barrier_of(THREADS); // blocks without a job: all have read x
      ROLLED for (int j = block; j < Out::jobs; j += BLOCKS) {
        const int head = j / Out::row_parts;
        const EarlySlice<Out> weights = take_slice<Out>(r, j, warp, lane);
        if (j != block || splits > 1) barrier_of(THREADS); // the desk and the result are used again
        if (splits > 1) {
          merge(head, splits, parts, epoch, warp, lane, [&](int d, float e) { term_of(wide, DIM, d, e); });
        } else {
          bool write = at.stored && head % (HEADS / KV_HEADS) == 0 && j % Out::row_parts == 0;
          attend<1>(args, r, keys_of(args, layer, at, kv_head(head), 0, 1), head, write, at.position, keys, values, v, qkv, epoch, desk, warp, lane,
                    [&](int, int d, float e, float sum, float) { term_of(wide, DIM, d, quick_divide(e, sum)); });
        }
        barrier_of(THREADS);
        TICK(4);
        multiply_slice<Out>(r, wide, weights, j, sums + HIDDEN, warp, lane);
        TICK(5);
      }
    } else { // gate, up and down
      TICK(7);
      multiply<Mlp>(r, hold<Mlp>(narrow, warp, lane), early, mine.to - mine.from, warp, lane, partial, [&](int i, float gate, float up) {
        gate *= s;
        up *= s;
        if (HAS_MLP_BIAS) {
          gate += v[GATE_BIAS + mine.from + i];
          up += v[UP_BIAS + mine.from + i];
        }
        put_word(inner, mine.from + i, in_word(quick_divide(gate, 1.0f + fexp2(gate * -LOG2E)) * up), epoch);
      });
      TICK(8);
      if (block >= Down::jobs) barrier_of(THREADS); // blocks without a job: all have read x
      ROLLED for (int j = block; j < Down::jobs; j += BLOCKS) {
        if (j != block) barrier_of(THREADS); // the slice is used again
        const EarlySlice<Down> weights = take_slice<Down>(r, j, warp, lane);
        stage_slice<Down::width>(inner + long(j / Down::row_parts) * Down::width, epoch, wide, thread);
        TICK(9);
        barrier_of(THREADS);
        TICK(10);
        multiply_slice<Down>(r, wide, weights, j, sums, warp, lane);
        TICK(11);
      }
    }
  }

  // The head, and the largest logit or all of them.
  const uint epoch = last + LAYERS + 1;
  TICK(12);
  const Share mine = share_of<Head>(block);
  Early early;
  take_early<Head>(early, r, mine.to - mine.from, warp, lane);
  Rank best = {0, 0};
  multiply<Head>(r, hold<Head>(narrow, warp, lane), early, mine.to - mine.from, warp, lane, partial, [&](int i, float sum, float) {
    sum *= s;
    Rank rank = rank_of(sum, mine.from + i);
    if (below(best, rank)) best = rank;
    if (!args.best) logits[mine.from + i] = sum;
  });
  TICK(13);
  if (args.best) choose_best(best, (LOCAL(uint))(floats + RANKS), AS(ulong, words + BEST_AT), epoch, best_id, best_value, block, warp, lane);
  if (block == 0) { // the sums needed something of all blocks, so that all have read what is there
    ROLLED for (int i = thread; i < 2 * HIDDEN; i += THREADS) AS(ulong, words + LAST_AT)[i] = before[i];
    if (thread == 0) AS(uint, words)[0] = epoch;
  }
  TICK(14);
#ifdef PROFILED
  if (thread == 0)
    UNROLL for (int i = 0; i < TICKS; i++) profile[block * TICKS + i] += clock_.sum[i];
#endif
}
