// Attention of one row over a cache. Few keys are taken by every block that
// multiplies a head's result; many are shared among blocks: a job is some heads of
// one group and a part of its keys.

enum {
  PIECES = DIM / 8,                  // of 8 elements of a head
  PER_LANE = DIM >= 128 ? 2 : 1,     // pieces a lane holds
  KEY_LANES = LANES_A_KEY,           // lanes that share a key, a power of two
  KEYS = WARP / KEY_LANES,           // of a warp at a time
  KEY_BYTES = DIM * (KEY_TYPE == BF16 ? 2 : 4),
  VALUE_BYTES = DIM * (VALUE_TYPE == BF16 ? 2 : 4),
  ROUND = PORTION / (KEY_BYTES > VALUE_BYTES ? KEY_BYTES : VALUE_BYTES), // whose keys are a portion, and whose values another
  SPAN = WARPS * KEYS,               // keys of a block at a time
  HELD = PER_LANE * 8,               // elements of a head in a lane
  SCORES = ROUND + 1,                // of a head in a round, of which the first has the row's own key too
  FEW_KEYS = 192,                    // that are not shared, since to add up what the parts found takes another exchange
  GROUPS = HEADS / JOB_HEADS,        // jobs for each part of the keys
  SPLITS = BLOCKS / GROUPS < 1 ? 1 : BLOCKS / GROUPS > WARP ? int(WARP) : BLOCKS / GROUPS,
  PART = DIM + 2                     // words of a head in a partial result: sum, top, elements
};
static_assert(ROUND > 0 && RING >= 3 * (PORTION + (KEY_BYTES > VALUE_BYTES ? KEY_BYTES : VALUE_BYTES)), "a portion holds a key, and the ring a round");

// Place is the row's place in the cache.
struct Place {
  int slot, position, from, to; // keys from..to-1 are seen
  bool stored;                  // whether the row itself goes into the cache
};

DEVICE Place place_of(ARGS(DecodeArgs) a, GLOBAL(const int) segment) {
  Place p = {segment[0], segment[1], 0, segment[1] + 1, false};
  p.stored = p.slot >= 0 && p.slot < a.slots && segment[2] > 0 && p.position >= 0 && p.position < a.capacity;
  if (p.slot < 0 || p.slot >= a.slots) p.slot = 0;
  if (p.to > a.capacity) p.to = a.capacity;
  return p;
}

// seen is the place with the keys of a window, if there is one.
DEVICE Place seen(Place p, int window) {
  p.from = window > 0 && p.position - window + 1 > 0 ? p.position - window + 1 : 0;
  return p;
}

// splits_of is the number of parts in which the keys of a place are taken.
DEVICE int splits_of(Place p) {
  int n = p.to - p.from, splits = (n + SPAN - 1) / SPAN;
  return n <= FEW_KEYS ? 1 : splits > SPLITS ? int(SPLITS) : splits;
}

// Keys are those of a job: from..to-1 of the cached ones, and perhaps the row's own.
struct Keys {
  long element; // of both caches, where the head begins
  int from, to;
  bool own;
};

DEVICE Keys keys_of(ARGS(DecodeArgs) a, int layer, Place at, int kv, int split, int splits) {
  int share = (at.to - at.from + splits - 1) / splits, from = at.from + split * share, to = from + share < at.to ? from + share : at.to;
  long head = ((long(layer) * a.slots + at.slot) * KV_HEADS + kv) * a.capacity * DIM;
  return Keys{head, from, to < at.position ? to : at.position, at.position >= from && at.position < to};
}

DEVICE int kv_head(int head) { return head / (HEADS / KV_HEADS); }

// Round is what a job takes at once: some cached keys and perhaps the row's own, for which the first round has room after its others.
struct Round {
  int first, cached, all;
};

DEVICE Round round_of(Keys k, int first, bool own) {
  int cached = k.to - first;
  cached = cached < 0 ? 0 : cached < ROUND ? cached : int(ROUND);
  return Round{first, cached, cached + (own ? 1 : 0)};
}

DEVICE Round first_round(Keys k) { return round_of(k, k.from, k.own); }
DEVICE Round next_round(Keys k, Round last) { return round_of(k, last.first + last.cached, false); }

// feed_keys fills portions with keys and values by turns.
DEVICE void feed_keys(Ring &r, GLOBAL(const uchar) keys, GLOBAL(const uchar) values, Keys k) {
  ROLLED for (Round n = first_round(k); n.all > 0; n = next_round(k, n))
    ROLLED for (int i = 0; i < 2; i++) {
      int bytes = i == 0 ? KEY_BYTES : VALUE_BYTES;
      Portion p = open_portion(r, n.all * bytes, n.cached * bytes);
      if (n.cached > 0) fill(r, p, 0, (i == 0 ? keys : values) + (k.element / DIM + n.first) * bytes, n.cached * bytes);
    }
}

// Piece is 8 consecutive elements of a key or value as the cache stores them.
template <int Type> struct Piece {
  Words4 w[Type == BF16 ? 1 : 2];
};

template <int Type> DEVICE Piece<Type> piece_at(LOCAL(const uchar) portion, int element) {
  Piece<Type> p;
  UNROLL for (int i = 0; i < (Type == BF16 ? 1 : 2); i++) p.w[i] = local4(portion + element * (Type == BF16 ? 2 : 4) + 16 * i);
  return p;
}

template <int Type> DEVICE float element(const Piece<Type> &p, int i) {
  if (Type != BF16) return as_float(p.w[i / 4 % (Type == BF16 ? 1 : 2)].w[i % 4]);
  uint w = p.w[0].w[i / 2 % 4];
  return as_float(i % 2 == 0 ? w << 16 : w & 0xffff0000u);
}

// put_element stores an element of a key or value as the cache does.
template <int Type> DEVICE void put_element(LOCAL(uchar) row, int d, float v) {
  if (Type == BF16)
    ((LOCAL(ushort))row)[d] = to_bf16(v).bits;
  else
    ((LOCAL(float))row)[d] = v;
}

// Desk is a job's shared memory.
struct Desk {
  LOCAL(float) raw;    // [JOB_HEADS + 1, DIM]: normalised, not rotated
  LOCAL(float) query;  // [JOB_HEADS, DIM]
  LOCAL(float) scores; // [2, JOB_HEADS, SCORES]: of two rounds by turns
  LOCAL(float) part;   // [WARPS, JOB_HEADS, DIM]: what the warps have of the result
  LOCAL(float) sum;    // [WARPS, JOB_HEADS]: and of the weights' sum
  LOCAL(float) rotary; // [2, PAIRS]: cosines, sines
  LOCAL(float) factor; // [WARP]: of parts
};

// prepare normalises and rotates one head of queries or keys, whose DIM numbers are
// at word first, and gives the elements to finish.
template <class Finish>
DEVICE void prepare(GLOBAL(Word) words, int first, uint epoch, GLOBAL(const float) norm, float eps, bool rotate, LOCAL(float) raw, LOCAL(const float) rotary, int lane, Finish finish) {
  enum {
    quads = DIM / PER_QUAD,
    loads = (quads + WARP - 1) / WARP,
    half = PAIRS / PER_QUAD,
    split = 2 * PAIRS == DIM && PAIRS % PER_QUAD == 0, // an element's partner is in the quad half a head away:
    ours = split && half % WARP == 0,                  // it is the lane's own
    theirs = split && loads == 1 && (half & (half - 1)) == 0 // or that of lane ^ half
  };
  Quad q[loads];
  float weight[loads][PER_QUAD], cosine[loads][PER_QUAD], sine[loads][PER_QUAD];
  UNROLL for (int i = 0; i < loads; i++)
    UNROLL for (int j = 0; j < PER_QUAD; j++) {
      int d = (i * WARP + lane) * PER_QUAD + j, pair = d < PAIRS ? d : d - PAIRS;
      weight[i][j] = QK_NORM && rotate && i * WARP + lane < quads ? norm[d] : 1.0f;
      bool turned = rotate && d < 2 * PAIRS;
      cosine[i][j] = turned ? rotary[pair] : 1.0f;
      sine[i][j] = !turned ? 0.0f : d < PAIRS ? -rotary[PAIRS + pair] : rotary[PAIRS + pair];
    }
  bool missing;
  do {
    missing = false;
    UNROLL for (int i = 0; i < loads; i++) {
      int quad = i * WARP + lane < quads ? i * WARP + lane : quads - 1;
      q[i] = peek(words, first + quad * PER_QUAD, epoch, missing);
    }
  } while (missing);
  float x[loads][PER_QUAD], squares = 0;
  UNROLL for (int i = 0; i < loads; i++)
    UNROLL for (int j = 0; j < PER_QUAD; j++) {
      x[i][j] = of_word(q[i].value[j]);
      if (i * WARP + lane < quads) squares += x[i][j] * x[i][j];
    }
  float scale = QK_NORM && rotate ? quick_rsqrt(warp_sum(squares) / float(DIM) + eps) : 1.0f;
  UNROLL for (int i = 0; i < loads; i++)
    UNROLL for (int j = 0; j < PER_QUAD; j++) x[i][j] *= scale * weight[i][j];
  if (rotate && !ours && !theirs) {
    UNROLL for (int i = 0; i < loads; i++)
      UNROLL for (int j = 0; j < PER_QUAD; j++)
        if (i * WARP + lane < quads) raw[(i * WARP + lane) * PER_QUAD + j] = x[i][j];
    warp_barrier();
  }
  UNROLL for (int i = 0; i < loads; i++) {
    float other[PER_QUAD];
    UNROLL for (int j = 0; j < PER_QUAD; j++) {
      int d = (i * WARP + lane) * PER_QUAD + j;
      other[j] = !rotate ? 0.0f : ours ? x[ours ? i ^ half / WARP : 0][j] : theirs ? as_float(shuffle_xor(as_uint(x[i][j]), half)) : d < 2 * PAIRS ? raw[d < PAIRS ? d + PAIRS : d - PAIRS] : 0.0f;
    }
    if (i * WARP + lane < quads) {
      UNROLL for (int j = 0; j < PER_QUAD; j++) finish((i * WARP + lane) * PER_QUAD + j, x[i][j] * cosine[i][j] + other[j] * sine[i][j]);
    }
  }
}

// query_piece is a piece of a query.
DEVICE Eight query_piece(Desk desk, int head, int piece) {
  Eight e = {};
  if (piece >= PIECES) return e;
  Four low = four(desk.query + head * DIM + 8 * piece), high = four(desk.query + head * DIM + 8 * piece + 4);
  UNROLL for (int i = 0; i < 4; i++) {
    e.v[i] = low.v[i];
    e.v[4 + i] = high.v[i];
  }
  return e;
}

// lanes_sum adds up the parts of the lanes that share a key.
DEVICE float lanes_sum(float v) {
  UNROLL for (int mask = KEY_LANES / 2; mask > 0; mask /= 2) v += as_float(shuffle_xor(as_uint(v), mask));
  return v;
}

// score_keys scores n cached keys of a portion; lanes share a key. Lanes past the last take that again.
template <int H> DEVICE void score_keys(LOCAL(const uchar) portion, int n, Desk desk, LOCAL(float) scores, int warp, int lane) {
  enum { deep = H == 1 ? 2 : 4 };
  ROLLED for (int first = warp * KEYS + lane / KEY_LANES; first - lane / KEY_LANES < n; first += SPAN * deep) {
    float score[H][deep];
    UNROLL for (int u = 0; u < deep; u++)
      UNROLL for (int h = 0; h < H; h++) score[h][u] = 0;
    UNROLL for (int i = 0; i < PER_LANE; i++) {
      int piece = i * KEY_LANES + lane % KEY_LANES;
      if (piece >= PIECES) continue;
      Piece<KEY_TYPE> p[deep];
      UNROLL for (int u = 0; u < deep; u++) {
        int key = first + u * SPAN;
        p[u] = piece_at<KEY_TYPE>(portion, (key < n ? key : n - 1) * DIM + 8 * piece);
      }
      UNROLL for (int h = 0; h < H; h++) {
        Eight query = query_piece(desk, h, piece);
        UNROLL for (int u = 0; u < deep; u++)
          UNROLL for (int e = 0; e < 8; e++) score[h][u] += query.v[e] * element(p[u], e);
      }
    }
    UNROLL for (int h = 0; h < H; h++)
      UNROLL for (int u = 0; u < deep; u++) {
        int key = first + u * SPAN;
        float sum = lanes_sum(score[h][u]);
        if (lane % KEY_LANES == 0 && key < n) scores[h * SCORES + key] = sum;
      }
  }
}

// Softmax is the state of an online softmax. Lanes that share a key have each some
// elements of its value; all threads agree on the top.
template <int H> struct Softmax {
  float top[H], sum[H], acc[H * HELD];
};

// take_values adds n scored keys of a portion to the state.
template <int H> DEVICE void take_values(Softmax<H> &s, LOCAL(const uchar) portion, int n, LOCAL(const float) scores, int warp, int lane) {
  UNROLL for (int h = 0; h < H; h++) {
    float top = s.top[h];
    ROLLED for (int j = lane; j < n; j += WARP) top = larger(top, scores[h * SCORES + j]);
    top = warp_max(top);
    if (s.top[h] != -infinity()) {
      float factor = rescale(s.top[h], top);
      s.sum[h] *= factor;
      UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] *= factor;
    }
    s.top[h] = top;
  }
  // A key's weight is wanted by all lanes that share it, for each head: lanes find these once and tell each other.
  enum { deep = H == 1 ? 2 : 4, weights = deep * H * KEYS, each = (weights + WARP - 1) / WARP };
  const int place = lane / KEY_LANES;
  ROLLED for (int first = warp * KEYS; first < n; first += SPAN * deep) {
    float weight[each];
    UNROLL for (int i = 0; i < each; i++) {
      int at = i * WARP + lane, head = at / KEYS % H, key = first + at / KEYS / H * SPAN + at % KEYS;
      float top = s.top[0];
      UNROLL for (int h = 1; h < H; h++) top = head == h ? s.top[h] : top;
      weight[i] = at < weights && key < n ? rescale(scores[head * SCORES + key], top) : 0.0f;
    }
    Piece<VALUE_TYPE> p[deep][PER_LANE];
    UNROLL for (int u = 0; u < deep; u++) {
      int key = first + u * SPAN + place;
      UNROLL for (int i = 0; i < PER_LANE; i++) {
        int piece = i * KEY_LANES + lane % KEY_LANES;
        p[u][i] = piece_at<VALUE_TYPE>(portion, (key < n ? key : n - 1) * DIM + 8 * (piece < PIECES ? piece : PIECES - 1));
      }
    }
    UNROLL for (int u = 0; u < deep; u++)
      UNROLL for (int h = 0; h < H; h++) {
        const int at = (u * H + h) * KEYS; // KEYS divides WARP
        float w = as_float(shuffle(as_uint(weight[at / WARP]), at % WARP + place));
        s.sum[h] += w;
        UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] += w * element(p[u][i / 8], i % 8);
      }
  }
}

// collect adds up the states of the lanes that hold the same elements of other keys and
// leaves the warp's result on the desk. Each exchange halves what a lane is left with.
template <int H> DEVICE void collect(Softmax<H> &s, Desk desk, int warp, int lane) {
  UNROLL for (int h = 0; h < H; h++) {
    float sum = s.sum[h];
    for (int mask = WARP / 2; mask >= KEY_LANES; mask /= 2) sum += as_float(shuffle_xor(as_uint(sum), mask));
    if (lane == 0) desk.sum[warp * H + h] = sum;
  }
  const int all = H * HELD;
  int n = all, first = 0;
  UNROLL for (int step = 0; step < 5; step++) {
    const int mask = WARP / 2 >> step;
    if (mask < KEY_LANES) continue;
    bool upper = (lane & mask) != 0;
    if (n % 2 == 0) {
      n /= 2;
      UNROLL for (int i = 0; i < all / 2; i++)
        if (i < n) {
          float keep = upper ? s.acc[i + n] : s.acc[i], send = upper ? s.acc[i] : s.acc[i + n];
          s.acc[i] = keep + as_float(shuffle_xor(as_uint(send), mask));
        }
      first += upper ? n : 0;
    } else {
      UNROLL for (int i = 0; i < all; i++)
        if (i < n) s.acc[i] += as_float(shuffle_xor(as_uint(s.acc[i]), mask));
    }
  }
  UNROLL for (int i = 0; i < all; i++)
    if (i < n) {
      int at = first + i, piece = at % HELD / 8 * KEY_LANES + lane % KEY_LANES;
      if (piece < PIECES) desk.part[(warp * H + at / HELD) * DIM + 8 * piece + at % 8] = s.acc[i];
    }
}

// attend computes the attention of H heads from query head first on over a job's keys, in rounds of a portion.
// finish(h, d, element, sum, top) gets the elements of the result, times sum. If write,
// the row's key and value go into the caches.
template <int H, class Finish>
DEVICE void attend(ARGS(DecodeArgs) a, Ring &r, Keys k, int head, bool write, int position, GLOBAL(uchar) keys, GLOBAL(uchar) values,
                   GLOBAL(const float) vectors, GLOBAL(Word) qkv, uint epoch, Desk desk, int warp, int lane, Finish finish) {
  const int kv = kv_head(head);
  const long place = k.element + long(position) * DIM;
  const bool own = k.own;
  Round n = first_round(k);
  Portion some_keys = {0, 0}, some_values = {0, 0};
  auto take_portions = [&]() {
    if (n.all == 0) return;
    some_keys = next_portion(r, n.all * KEY_BYTES);
    some_values = next_portion(r, n.all * VALUE_BYTES);
  };
  take_portions();
  ROLLED for (int task = warp; task < H + 2; task += WARPS) {
    if (task < H) {
      LOCAL(float) query = desk.query + task * DIM;
      prepare(qkv, (head + task) * DIM, epoch, vectors + QUERY_NORM, a.headEps, true, desk.raw + task * DIM, desk.rotary, lane,
              [&](int d, float x) { query[d] = rounded(x) * a.scale; });
      continue;
    }
    const bool of_keys = task == H;
    if (own) await(r, of_keys ? some_keys : some_values); // its memory is ours from then on
    if (of_keys) {
      LOCAL(uchar) row = r.bytes + some_keys.at + n.cached * KEY_BYTES;
      prepare(qkv, (HEADS + kv) * DIM, epoch, vectors + KEY_NORM, a.headEps, true, desk.raw + H * DIM, desk.rotary, lane, [&](int d, float x) {
        if (own) put_element<KEY_TYPE>(row, d, x);
        if (write) store(keys, KEY_TYPE, place + d, x);
      });
    } else {
      LOCAL(uchar) row = r.bytes + some_values.at + n.cached * VALUE_BYTES;
      prepare(qkv, (HEADS + KV_HEADS + kv) * DIM, epoch, vectors, 0.0f, false, desk.raw + H * DIM, desk.rotary, lane, [&](int d, float x) {
        if (own) put_element<VALUE_TYPE>(row, d, x);
        if (write) store(values, VALUE_TYPE, place + d, x);
      });
    }
    copies_follow();
  }
  barrier_of(THREADS);

  Softmax<H> s;
  UNROLL for (int i = 0; i < H * HELD; i++) s.acc[i] = 0;
  UNROLL for (int h = 0; h < H; h++) {
    s.top[h] = -infinity();
    s.sum[h] = 0;
  }
  ROLLED for (int turn = 0; n.all > 0; turn++) {
    LOCAL(float) scores = desk.scores + turn % 2 * H * SCORES;
    await(r, some_keys);
    score_keys<H>(r.bytes + some_keys.at, n.all, desk, scores, warp, lane);
    barrier_of(THREADS);
    await(r, some_values);
    take_values<H>(s, r.bytes + some_values.at, n.all, scores, warp, lane);
    warp_barrier();
    leave(r, some_keys, lane);
    leave(r, some_values, lane);
    n = next_round(k, n);
    take_portions();
  }
  collect(s, desk, warp, lane);
  barrier_of(THREADS);
  ROLLED for (int i = warp * WARP + lane; i < H * DIM; i += THREADS) {
    int h = i / DIM;
    float sum = 0, e = 0;
    UNROLL for (int w = 0; w < WARPS; w++) {
      sum += desk.sum[w * H + h];
      e += desk.part[w * H * DIM + i];
    }
    float top = s.top[0];
    UNROLL for (int j = 1; j < H; j++) top = h == j ? s.top[j] : top;
    finish(h, i % DIM, e, sum, top);
  }
}

// put_part hands a part's result for an element on.
DEVICE void put_part(GLOBAL(ulong) parts, int split, int head, int d, float element, float sum, float top, uint epoch) {
  long part = (long(split) * HEADS + head) * PART;
  put_word(parts, part + 2 + d, as_uint(element), epoch);
  if (d > 0) return;
  put_word(parts, part, as_uint(sum), epoch);
  put_word(parts, part + 1, as_uint(top), epoch);
}

// merge adds up the parts of a head: four lanes share two elements. finish(d, element) gets the result.
template <class Finish> DEVICE void merge(int head, int splits, GLOBAL(ulong) parts, uint epoch, Desk desk, int warp, int lane, Finish finish) {
  if (warp == 0) { // alone at first, as in stage
    float top = -infinity(), sum = 0;
    if (lane < splits) {
      bool missing;
      Quad scale;
      do {
        missing = false;
        scale = peek(parts, (long(lane) * HEADS + head) * PART, epoch, missing); // an even number of words
      } while (missing);
      sum = as_float(scale.value[0]);
      top = as_float(scale.value[1]);
    }
    float factor = rescale(top, warp_max(top));
    desk.factor[lane] = factor / warp_sum(sum * factor);
  }
  barrier_of(THREADS);
  enum { lanes = 4, batch = 4 };
  ROLLED for (int first = 0; first < DIM / 2; first += THREADS / lanes) {
    int pair = first + (warp * WARP + lane) / lanes;
    float e[2] = {0, 0};
    ROLLED for (int s = lane % lanes; pair < DIM / 2 && s < splits; s += lanes * batch) {
      Quad q[batch];
      bool missing;
      do {
        missing = false;
        UNROLL for (int i = 0; i < batch; i++) {
          int split = s + i * lanes < splits ? s + i * lanes : s;
          q[i] = peek(parts, (long(split) * HEADS + head) * PART + 2 + 2 * pair, epoch, missing);
        }
      } while (missing);
      UNROLL for (int i = 0; i < batch; i++) {
        float f = s + i * lanes < splits ? desk.factor[s + i * lanes] : 0.0f;
        UNROLL for (int j = 0; j < 2; j++) e[j] += f == 0.0f ? 0.0f : as_float(q[i].value[j]) * f;
      }
    }
    UNROLL for (int j = 0; j < 2; j++)
      for (int mask = lanes / 2; mask > 0; mask /= 2) e[j] += as_float(shuffle_xor(as_uint(e[j]), mask));
    if (pair < DIM / 2 && lane % lanes < 2) finish(2 * pair + lane % lanes, lane % lanes == 0 ? e[0] : e[1]);
  }
}
