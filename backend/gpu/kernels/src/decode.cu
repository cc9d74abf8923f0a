// One step of a decoder in one kernel: a block stays on each multiprocessor and
// the blocks hand each other numbers as words that carry their epoch, so that
// no launch and no barrier of the grid lies between the phases of a layer.

typedef Product<(HEADS + 2 * KV_HEADS) * DIM, HIDDEN, SPLIT_QKV, 1> Qkv;
typedef Product<HIDDEN, HEADS * DIM, SPLIT_OUT, 1> Out;
typedef Product<INNER, HIDDEN, SPLIT_MLP, 2> Mlp;
typedef Product<HIDDEN, INNER, SPLIT_DOWN, 1> Down;
typedef Product<VOCABULARY, HIDDEN, 1, 1> Head;

// Of shared memory, in bytes. The two vectors are used by turns: when one is
// written, all threads have met since its last use.
enum {
  WIDE = HEADS * DIM > INNER ? HEADS * DIM : INNER,
  SHARE = 2 * ((HIDDEN / 2 + BLOCKS - 1) / BLOCKS), // rows of x that a block owns, at most
  TILES_AT = 0,
  NARROW_AT = SLOTS * TILE,
  WIDE_AT = NARROW_AT + (2 * TERMS * HIDDEN + 15) / 16 * 16,
  GATES_AT = WIDE_AT + (2 * TERMS * WIDE + 15) / 16 * 16,
  FLOATS_AT = GATES_AT + 16 * SLOTS,
  RESIDUAL = 0, // from here in floats
  SQUARES = RESIDUAL + SHARE,
  PARTIAL = SQUARES + WARPS,
  RANKS = PARTIAL + SUMS,
  ROTARY = RANKS + 2 * WARPS,
  RAW = ROTARY + 2 * PAIRS,
  DESK_QUERY = (RAW + (JOB_HEADS + 1) * DIM + 3) / 4 * 4, // read by fours
  DESK_KEY = DESK_QUERY + JOB_HEADS * DIM,
  DESK_VALUE = DESK_KEY + DIM,
  DESK_PART = DESK_VALUE + DIM,
  DESK_TOP = DESK_PART + WARPS * JOB_HEADS * DIM,
  DESK_SUM = DESK_TOP + WARPS * JOB_HEADS,
  FLOATS = DESK_SUM + WARPS * JOB_HEADS,
  SHARED_BYTES = FLOATS_AT + 4 * FLOATS
};
#ifdef SHARED_GIVEN
static_assert(SHARED_BYTES == SHARED_GIVEN, "package gpu counts shared memory as this file does");
#endif

// feed_all is the feeder: it walks through all that the block multiplies.
DEVICE void feed_all(Ring &r, GLOBAL(const ulong) table, ulong head, int block) {
  const int query = HEADS * DIM, keys = KV_HEADS * DIM;
  Share qkv = share_of<Qkv>(block), out = share_of<Out>(block), mlp = share_of<Mlp>(block), down = share_of<Down>(block);
  ROLLED for (int layer = 0; layer < LAYERS; layer++) {
    ulong at[7];
    UNROLL for (int i = 0; i < 7; i++) at[i] = table[layer * TABLE + i];
    feed<Qkv>(r, at[QUERY], 0, within(qkv, 0, query));
    feed<Qkv>(r, at[KEY], 0, within(qkv, query, keys));
    feed<Qkv>(r, at[VALUE], 0, within(qkv, query + keys, keys));
    feed<Out>(r, at[OUT], 0, out);
    feed<Mlp>(r, at[GATE], at[UP], mlp);
    feed<Down>(r, at[DOWN], 0, down);
  }
  feed<Head>(r, head, 0, share_of<Head>(block));
}

// terms_of stores the numbers of quad i of x as bf16, TERMS numbers whose sum each is.
template <class P> DEVICE void terms_of(LOCAL(uchar) x, int i, float *v) {
  UNROLL for (int term = 0; term < TERMS; term++) {
    LOCAL(uint) to = (LOCAL(uint))(x + term * P::row_bytes) + i * (PER_QUAD / 2);
    UNROLL for (int j = 0; j < PER_QUAD; j += 2) {
      uint pair = bf16_pair(v[j], v[j + 1]);
      to[j / 2] = pair;
      v[j] -= as_float(pair << 16);
      v[j + 1] -= as_float(pair & 0xffff0000u);
    }
  }
}

// Row is where a phase finds its x: words of an epoch, or before the first layer the embedding.
struct Row {
  GLOBAL(Word) words;
  uint epoch;
  GLOBAL(const ushort) embedded; // if first
  bool first, known;             // known: the token is in the vocabulary
};

// stage brings x into shared memory, times the weights of a norm if Norm, and
// returns the thread's part of the sum of squares.
template <class P, bool Norm> DEVICE float stage(Row row, GLOBAL(const float) norm, LOCAL(uchar) x, int thread) {
  enum { quads = P::k / PER_QUAD, loads = (quads + THREADS - 1) / THREADS, deep = loads <= 8 ? loads : 4 };
  float squares = 0;
  ROLLED for (int first = 0; first < loads; first += deep) {
    Quad q[deep];
    float weight[deep][PER_QUAD];
    int at[deep];
    UNROLL for (int i = 0; i < deep; i++) {
      at[i] = (first + i) * THREADS + thread;
      UNROLL for (int j = 0; j < PER_QUAD; j++) weight[i][j] = Norm && at[i] < quads ? norm[at[i] * PER_QUAD + j] : 1.0f;
    }
    if (row.first) {
      UNROLL for (int i = 0; i < deep; i++)
        UNROLL for (int j = 0; j < PER_QUAD; j++)
          q[i].value[j] = at[i] >= quads ? 0u : (row.known ? uint(row.embedded[at[i] * PER_QUAD + j]) : 0x7fc0u) << (ROUNDED ? 0 : 16);
    } else {
      // A lane for each load asks until a word is there, before all ask for theirs: what is asked for is written later.
      bool missing;
      if (thread % WARP < deep) {
        int quad = (first + thread % WARP) * THREADS + thread;
        do {
          missing = false;
          peek(row.words, long(quad < quads ? quad : quads - 1) * PER_QUAD, row.epoch, missing);
        } while (missing);
      }
      warp_barrier();
      do {
        missing = false;
        UNROLL for (int i = 0; i < deep; i++) q[i] = peek(row.words, long(at[i] < quads ? at[i] : quads - 1) * PER_QUAD, row.epoch, missing);
      } while (missing);
    }
    UNROLL for (int i = 0; i < deep; i++) {
      if (at[i] >= quads) continue;
      float v[PER_QUAD];
      UNROLL for (int j = 0; j < PER_QUAD; j++) {
        v[j] = of_word(q[i].value[j]);
        squares += v[j] * v[j];
        v[j] *= weight[i][j];
      }
      terms_of<P>(x, at[i], v);
    }
  }
  return squares;
}

// mean_scale is 1/√(mean of squares + eps), of which each thread has a part; it is also the barrier after stage.
DEVICE float mean_scale(float squares, float eps, LOCAL(float) shared, int warp, int lane) {
  squares = warp_sum(squares);
  if (lane == 0) shared[warp] = squares;
  barrier_of(THREADS);
  squares = 0;
  UNROLL for (int w = 0; w < WARPS; w++) squares += shared[w];
  return quick_rsqrt(squares / float(HIDDEN) + eps);
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
  const int block = t.group_x, warp = t.index / WARP, lane = t.index % WARP;
  LOCAL(float) floats = (LOCAL(float))(memory + FLOATS_AT);
  LOCAL(ulong) gates = (LOCAL(ulong))(memory + GATES_AT);
  Ring r = {memory + TILES_AT, gates, gates + SLOTS, 0, 0};
  if (t.index == 0) {
    ROLLED for (int i = 0; i < SLOTS; i++) {
      gate_init(r.full + i, 1);
      gate_init(r.empty + i, WARPS);
    }
    gates_ready();
  }
  barrier();
  if (warp >= WARPS) {
    give_registers();
    if (t.index == THREADS) feed_all(r, table, table[LAYERS * TABLE], block);
    return;
  }
  take_registers();
#ifdef PROFILED
  Clock clock_ = {cycles(), {}};
#endif

  // What the whole step needs: the row's place and the rotations there.
  const uint last = AS(const uint, exchange)[0];
  Place at = {segment[0], segment[1], 0, segment[1] + 1, false};
  at.stored = at.slot >= 0 && at.slot < args.slots && segment[2] > 0 && at.position >= 0 && at.position < args.capacity;
  if (at.slot < 0 || at.slot >= args.slots) at.slot = 0;
  if (at.to > args.capacity) at.to = args.capacity;
  Desk desk = {floats + RAW, floats + DESK_QUERY, floats + DESK_KEY, floats + DESK_VALUE, floats + DESK_PART, floats + DESK_TOP, floats + DESK_SUM, floats + ROTARY};
  ROLLED for (int i = t.index; i < PAIRS; i += THREADS) {
    float angle = float(at.position) * frequencies[i];
    desk.rotary[i] = fcos(angle) * args.rotaryScale;
    desk.rotary[PAIRS + i] = fsin(angle) * args.rotaryScale;
  }
  const Share own = share_of<Out>(block); // of x
  GLOBAL(Word) x = AS(Word, exchange + X_AT);
  GLOBAL(Word) middle = AS(Word, exchange + MIDDLE_AT);
  GLOBAL(Word) qkv = AS(Word, exchange + QKV_AT);
  GLOBAL(Word) result = AS(Word, exchange + RESULT_AT);
  GLOBAL(Word) inner = AS(Word, exchange + INNER_AT);
  GLOBAL(ulong) parts = AS(ulong, exchange + PARTS_AT);
  LOCAL(float) residual = floats + RESIDUAL;
  LOCAL(float) squares = floats + SQUARES;
  LOCAL(float) partial = floats + PARTIAL;
  LOCAL(uchar) narrow = memory + NARROW_AT;
  LOCAL(uchar) wide = memory + WIDE_AT;
  const int token = ids[0];
  const bool known = uint(token) < uint(args.vocabulary);
  Row row = {x, last, embedding + long(known ? token : 0) * HIDDEN, true, known};
  ROLLED for (int i = t.index; i < own.to - own.from; i += THREADS)
    residual[i] = known ? as_float(uint(row.embedded[own.from + i]) << 16) : as_float(0x7fc00000u);

  int base = 0; // the phase's first tile
  ROLLED for (int layer = 0; layer < LAYERS; layer++) {
    const uint epoch = last + 1 + layer;
    GLOBAL(const float) v = vectors + long(layer) * VECTORS;
    const int window = int(table[layer * TABLE + WINDOW]); // on its way while x is waited for
    row.epoch = epoch - 1;
    row.first = layer == 0;
    { // queries, keys and values
      float s = stage<Qkv, true>(row, v + ROW_NORM, narrow, t.index);
      TICK(0);
      s = mean_scale(s, args.eps, squares, warp, lane);
      TICK(1);
      const Share mine = share_of<Qkv>(block);
      Vector<Qkv> held = hold<Qkv>(narrow, warp % Qkv::split, lane);
      int turn = 0;
      ROLLED for (int part = 0; part < 3; part++) {
        int first = part == 0 ? 0 : (HEADS + (part - 1) * KV_HEADS) * DIM;
        Share rows = within(mine, first, (part == 0 ? HEADS : KV_HEADS) * DIM);
        if (rows.from == rows.to) continue;
        first += rows.from;
        multiply<Qkv>(r, base, held, rows.to - rows.from, turn, warp, lane, partial, [&](int i, float sum, float) {
          sum *= s;
          if (HAS_QKV_BIAS) sum += v[QKV_BIAS + first + i];
          put_word(qkv, first + i, in_word(sum), epoch);
        });
        if (Qkv::split > 1) barrier_of(THREADS); // partial is used again
        turn += (rows.to - rows.from + 1) / 2;
      }
      TICK(2);
    }
    at.from = window > 0 && at.position - window + 1 > 0 ? at.position - window + 1 : 0;
    int splits = splits_of(at);
    ROLLED for (int j = block; j < GROUPS * splits; j += BLOCKS) {
      if (j != block) barrier_of(THREADS); // the desk is used again
      job(args, layer, j % GROUPS, j / GROUPS, splits, at, keys, values, v, qkv, result, parts, epoch, desk, warp, lane);
    }
    TICK(3);
    if (splits > 1) merge(block, splits, parts, result, epoch, warp, lane);
    TICK(4);
    { // back to x
      stage<Out, false>(Row{result, epoch, row.embedded, false, true}, v, wide, t.index);
      TICK(5);
      barrier_of(THREADS);
      TICK(6);
      Vector<Out> held = hold<Out>(wide, warp % Out::split, lane);
      multiply<Out>(r, base, held, own.to - own.from, 0, warp, lane, partial, [&](int i, float sum, float) {
        if (HAS_OUT_BIAS) sum += v[OUT_BIAS + own.from + i];
        residual[i] = rounded(residual[i] + sum);
        put_word(middle, own.from + i, in_word(residual[i]), epoch);
      });
      TICK(7);
    }
    { // gate and up
      float s = stage<Mlp, true>(Row{middle, epoch, row.embedded, false, true}, v + MLP_NORM, narrow, t.index);
      TICK(8);
      s = mean_scale(s, args.eps, squares, warp, lane);
      TICK(9);
      const Share mine = share_of<Mlp>(block);
      Vector<Mlp> held = hold<Mlp>(narrow, warp % Mlp::split, lane);
      multiply<Mlp>(r, base, held, mine.to - mine.from, 0, warp, lane, partial, [&](int i, float gate, float up) {
        gate *= s;
        up *= s;
        if (HAS_MLP_BIAS) {
          gate += v[GATE_BIAS + mine.from + i];
          up += v[UP_BIAS + mine.from + i];
        }
        put_word(inner, mine.from + i, in_word(quick_divide(gate, 1.0f + fexp(-gate)) * up), epoch);
      });
      TICK(10);
    }
    { // down, back to x
      stage<Down, false>(Row{inner, epoch, row.embedded, false, true}, v, wide, t.index);
      TICK(11);
      barrier_of(THREADS);
      TICK(12);
      Vector<Down> held = hold<Down>(wide, warp % Down::split, lane);
      multiply<Down>(r, base, held, own.to - own.from, 0, warp, lane, partial, [&](int i, float sum, float) {
        if (HAS_DOWN_BIAS) sum += v[DOWN_BIAS + own.from + i];
        residual[i] = rounded(residual[i] + sum);
        put_word(x, own.from + i, in_word(residual[i]), epoch);
      });
      TICK(13);
    }
  }

  // The head, and the largest logit or all of them.
  const uint epoch = last + LAYERS + 1;
  row.epoch = epoch - 1;
  row.first = false;
  float s = mean_scale(stage<Head, true>(row, vectors + long(LAYERS) * VECTORS, narrow, t.index), args.eps, squares, warp, lane);
  TICK(14);
  Vector<Head> held = hold<Head>(narrow, 0, lane);
  const Share mine = share_of<Head>(block);
  Rank best = {0, 0};
  multiply<Head>(r, base, held, mine.to - mine.from, 0, warp, lane, partial, [&](int i, float sum, float) {
    sum *= s;
    Rank rank = rank_of(sum, mine.from + i);
    if (below(best, rank)) best = rank;
    if (!args.best) logits[mine.from + i] = sum;
  });
  TICK(15);
  if (args.best) {
    LOCAL(uint) ranks = (LOCAL(uint))(floats + RANKS);
    best = warp_best(best);
    if (lane == 0) {
      ranks[2 * warp] = best.number;
      ranks[2 * warp + 1] = best.place;
    }
    barrier_of(THREADS);
    GLOBAL(ulong) bests = AS(ulong, exchange + BEST_AT);
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
        best_id[0] = int(~best.place);
        best_value[0] = number_of(best);
      }
    }
  }
  // All blocks have read the epoch, since x came from all.
  if (block == 0 && t.index == 0) AS(uint, exchange)[0] = epoch;
  TICK(16);
#ifdef PROFILED
  if (t.index == 0)
    UNROLL for (int i = 0; i < TICKS; i++) profile[block * TICKS + i] += clock_.sum[i];
#endif
}
