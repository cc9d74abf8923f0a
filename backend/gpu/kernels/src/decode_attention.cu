// Attention of one row over a cache, shared among blocks: a job is some heads of
// one group and a part of its keys.

enum {
  PIECES = DIM / 8,                  // of 8 elements of a head
  PER_LANE = DIM >= 128 ? 2 : 1,     // pieces a lane holds
  KEY_LANES = LANES_A_KEY,           // lanes that share a key, a power of two
  KEYS = WARP / KEY_LANES,           // of a warp at a time
  DEEP = 2,                          // times KEYS are loaded ahead
  SPAN = WARPS * KEYS * DEEP,        // keys that a block has in registers
  HELD = PER_LANE * 8,               // elements of a head in a lane
  GROUPS = HEADS / JOB_HEADS,        // jobs without splitting
  SPLITS = BLOCKS / GROUPS < 1 ? 1 : BLOCKS / GROUPS > WARP ? int(WARP) : BLOCKS / GROUPS,
  PART = DIM + 2                     // words of a head in a partial result: sum, top, elements
};

// Place is the row's place in the cache.
struct Place {
  int slot, position, from, to; // keys from..to-1 are seen
  bool stored;                  // whether the row itself goes into the cache
};

// splits_of is the number of parts in which the keys of a place are taken. Few
// keys are not split, since adding up what the parts found takes another exchange.
DEVICE int splits_of(Place at) {
  int n = at.to - at.from, splits = (n + SPAN - 1) / SPAN;
  return n <= 3 * SPAN ? 1 : splits > SPLITS ? int(SPLITS) : splits;
}

// Piece is 8 consecutive elements of a key or value as the cache stores them.
template <int Type> struct Piece {
  Words4 w[Type == BF16 ? 1 : 2];
};

template <int Type> DEVICE Piece<Type> load_piece(GLOBAL(const uchar) cache, long element, bool inside) {
  Piece<Type> p;
  UNROLL for (int i = 0; i < (Type == BF16 ? 1 : 2); i++)
    p.w[i] = inside ? words4(cache + element * (Type == BF16 ? 2 : 4) + 16 * i) : Words4{{0, 0, 0, 0}};
  return p;
}

template <int Type> DEVICE float element(const Piece<Type> &p, int i) {
  if (Type != BF16) return as_float(p.w[i / 4 % (Type == BF16 ? 1 : 2)].w[i % 4]);
  uint w = p.w[0].w[i / 2 % 4];
  return as_float(i % 2 == 0 ? w << 16 : w & 0xffff0000u);
}

DEVICE float as_stored(int type, float v) { return type == BF16 ? to_float(to_bf16(v)) : v; }

// Desk is a job's shared memory.
struct Desk {
  LOCAL(float) raw;    // [JOB_HEADS + 1, DIM]: normalised, not rotated
  LOCAL(float) query;  // [JOB_HEADS, DIM]
  LOCAL(float) key;    // [DIM]: the row's own, as the cache stores it
  LOCAL(float) value;  // [DIM]
  LOCAL(float) part;   // [WARPS, JOB_HEADS, DIM]
  LOCAL(float) top;    // [WARPS, JOB_HEADS]
  LOCAL(float) sum;    // [WARPS, JOB_HEADS]
  LOCAL(float) rotary; // [2, PAIRS]: cosines, sines
};

// prepare normalises and rotates one head of queries or keys, whose DIM numbers are
// at word first, and gives the elements to finish.
template <class Finish>
DEVICE void prepare(GLOBAL(Word) words, int first, uint epoch, GLOBAL(const float) norm, float eps, bool rotate, LOCAL(float) raw, LOCAL(const float) rotary, int lane, Finish finish) {
  enum { quads = DIM / PER_QUAD, loads = (quads + WARP - 1) / WARP };
  Quad q[loads];
  float weight[loads][PER_QUAD];
  UNROLL for (int i = 0; i < loads; i++)
    UNROLL for (int j = 0; j < PER_QUAD; j++)
      weight[i][j] = QK_NORM && rotate && i * WARP + lane < quads ? norm[(i * WARP + lane) * PER_QUAD + j] : 1.0f;
  bool missing;
  do {
    missing = false;
    UNROLL for (int i = 0; i < loads; i++) {
      int quad = i * WARP + lane < quads ? i * WARP + lane : quads - 1;
      q[i] = peek(words, first + quad * PER_QUAD, epoch, missing);
    }
  } while (missing);
  float scale = 1;
  if (QK_NORM && rotate) {
    float squares = 0;
    UNROLL for (int i = 0; i < loads; i++)
      UNROLL for (int j = 0; j < PER_QUAD; j++) {
        float v = of_word(q[i].value[j]);
        if (i * WARP + lane < quads) squares += v * v;
      }
    scale = quick_rsqrt(warp_sum(squares) / float(DIM) + eps);
  }
  UNROLL for (int i = 0; i < loads; i++)
    UNROLL for (int j = 0; j < PER_QUAD; j++) {
      int d = (i * WARP + lane) * PER_QUAD + j;
      if (d < DIM) raw[d] = of_word(q[i].value[j]) * scale * weight[i][j];
    }
  warp_barrier();
  UNROLL for (int i = 0; i < loads; i++)
    UNROLL for (int j = 0; j < PER_QUAD; j++) {
      int d = (i * WARP + lane) * PER_QUAD + j;
      if (d >= DIM) continue;
      float v = raw[d];
      if (rotate && d < PAIRS)
        v = v * rotary[d] - raw[d + PAIRS] * rotary[PAIRS + d];
      else if (rotate && d < 2 * PAIRS)
        v = v * rotary[d - PAIRS] + raw[d - PAIRS] * rotary[d];
      finish(d, v);
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

// State of the online softmax over a lane's keys, for each head.
struct Softmax {
  float top[JOB_HEADS], sum[JOB_HEADS], acc[JOB_HEADS * HELD];
};

// take_scores adds keys with scores and values to the state; element(u, i) is element i of value u.
template <int N, class Element> DEVICE void take_scores(Softmax &s, int head, const float *score, Element element) {
  float top = s.top[head];
  UNROLL for (int u = 0; u < N; u++) top = larger(score[u], top);
  float factor = rescale(s.top[head], top), weight[N];
  s.top[head] = top;
  s.sum[head] *= factor;
  UNROLL for (int u = 0; u < N; u++) {
    weight[u] = rescale(score[u], top);
    s.sum[head] += weight[u];
  }
  UNROLL for (int i = 0; i < HELD; i++) {
    float a = s.acc[head * HELD + i] * factor;
    UNROLL for (int u = 0; u < N; u++) a += weight[u] * element(u, i);
    s.acc[head * HELD + i] = a;
  }
}

// collect adds up the states of the lanes that hold the same elements of other keys and
// leaves the warp's result on the desk. Each exchange halves what a lane is left with.
DEVICE void collect(Softmax &s, Desk desk, int warp, int lane) {
  UNROLL for (int h = 0; h < JOB_HEADS; h++) {
    float top = s.top[h];
    for (int mask = WARP / 2; mask >= KEY_LANES; mask /= 2) top = larger(top, as_float(shuffle_xor(as_uint(top), mask)));
    float factor = rescale(s.top[h], top), sum = s.sum[h] * factor;
    for (int mask = WARP / 2; mask >= KEY_LANES; mask /= 2) sum += as_float(shuffle_xor(as_uint(sum), mask));
    UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] *= factor;
    if (lane == 0) {
      desk.top[warp * JOB_HEADS + h] = top;
      desk.sum[warp * JOB_HEADS + h] = sum;
    }
  }
  const int all = JOB_HEADS * HELD;
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
      if (piece < PIECES) desk.part[(warp * JOB_HEADS + at / HELD) * DIM + 8 * piece + at % 8] = s.acc[i];
    }
}

// job computes one job. Its result goes to result, if the keys are not split, and
// else to this split's part of parts.
DEVICE void job(ARGS(DecodeArgs) a, int layer, int group, int split, int splits, Place at, GLOBAL(uchar) keys, GLOBAL(uchar) values, GLOBAL(const float) vectors,
                GLOBAL(Word) qkv, GLOBAL(Word) result, GLOBAL(ulong) parts, uint epoch, Desk desk, int warp, int lane) {
  int kv = group * JOB_HEADS / (HEADS / KV_HEADS), share = (at.to - at.from + splits - 1) / splits;
  int from = at.from + split * share, to = from + share < at.to ? from + share : at.to;
  bool own = at.position >= from && at.position < to; // the row's own key, which is not in the cache yet
  int old = to < at.position ? to : at.position;
  long head = ((long(layer) * a.slots + at.slot) * KV_HEADS + kv) * a.capacity * DIM;

  // The first keys and values are on their way before the query is there.
  Piece<KEY_TYPE> k[DEEP][PER_LANE];
  Piece<VALUE_TYPE> v[DEEP][PER_LANE];
  int key = from + warp * KEYS * DEEP + lane / KEY_LANES;
  UNROLL for (int u = 0; u < DEEP; u++)
    UNROLL for (int i = 0; i < PER_LANE; i++) {
      int piece = i * KEY_LANES + lane % KEY_LANES;
      long e = head + long(key + u * KEYS) * DIM + 8 * piece;
      bool inside = key + u * KEYS < old && piece < PIECES;
      k[u][i] = load_piece<KEY_TYPE>(keys, e, inside);
      v[u][i] = load_piece<VALUE_TYPE>(values, e, inside);
    }

  bool write = own && at.stored && group % (HEADS / KV_HEADS / JOB_HEADS) == 0;
  ROLLED for (int task = warp; task < JOB_HEADS + 2; task += WARPS) {
    if (task < JOB_HEADS) {
      LOCAL(float) query = desk.query + task * DIM;
      prepare(qkv, (group * JOB_HEADS + task) * DIM, epoch, vectors + QUERY_NORM, a.headEps, true, desk.raw + task * DIM, desk.rotary, lane,
              [&](int d, float x) { query[d] = rounded(x) * a.scale; });
    } else if (task == JOB_HEADS) {
      prepare(qkv, (HEADS + kv) * DIM, epoch, vectors + KEY_NORM, a.headEps, true, desk.raw + JOB_HEADS * DIM, desk.rotary, lane, [&](int d, float x) {
        desk.key[d] = as_stored(KEY_TYPE, x);
        if (write) store(keys, KEY_TYPE, head + long(at.position) * DIM + d, x);
      });
    } else {
      prepare(qkv, (HEADS + KV_HEADS + kv) * DIM, epoch, vectors, 0.0f, false, desk.value, desk.rotary, lane, [&](int d, float x) {
        if (write) store(values, VALUE_TYPE, head + long(at.position) * DIM + d, x);
        desk.value[d] = as_stored(VALUE_TYPE, x);
      });
    }
  }
  barrier_of(THREADS);

  Softmax s;
  UNROLL for (int i = 0; i < JOB_HEADS * HELD; i++) s.acc[i] = 0;
  UNROLL for (int h = 0; h < JOB_HEADS; h++) {
    s.top[h] = -infinity();
    s.sum[h] = 0;
  }
  int end = from + warp * KEYS * DEEP; // of the warp, so that its lanes stay together
  ROLLED for (; end < old; end += SPAN, key += SPAN) {
    float score[JOB_HEADS][DEEP];
    warp_barrier(); // so that the query is read anew: there are no registers to keep it
    UNROLL for (int h = 0; h < JOB_HEADS; h++) {
      UNROLL for (int u = 0; u < DEEP; u++) score[h][u] = 0;
      UNROLL for (int i = 0; i < PER_LANE; i++) {
        Eight query = query_piece(desk, h, i * KEY_LANES + lane % KEY_LANES);
        UNROLL for (int u = 0; u < DEEP; u++)
          UNROLL for (int e = 0; e < 8; e++) score[h][u] += query.v[e] * element(k[u][i], e);
      }
      UNROLL for (int u = 0; u < DEEP; u++) {
        float sum = lanes_sum(score[h][u]);
        score[h][u] = key + u * KEYS < old ? sum : -infinity();
      }
    }
    bool more = end + SPAN < old;
    if (more) {
      UNROLL for (int u = 0; u < DEEP; u++)
        UNROLL for (int i = 0; i < PER_LANE; i++) {
          int piece = i * KEY_LANES + lane % KEY_LANES, next = key + SPAN + u * KEYS;
          k[u][i] = load_piece<KEY_TYPE>(keys, head + long(next) * DIM + 8 * piece, next < old && piece < PIECES);
        }
    }
    UNROLL for (int h = 0; h < JOB_HEADS; h++)
      take_scores<DEEP>(s, h, score[h], [&](int u, int i) { return element(v[u][i / 8], i % 8); });
    if (more) {
      UNROLL for (int u = 0; u < DEEP; u++)
        UNROLL for (int i = 0; i < PER_LANE; i++) {
          int piece = i * KEY_LANES + lane % KEY_LANES, next = key + SPAN + u * KEYS;
          v[u][i] = load_piece<VALUE_TYPE>(values, head + long(next) * DIM + 8 * piece, next < old && piece < PIECES);
        }
    }
  }
  if (own && warp == WARPS - 1) { // the last warp has the fewest keys
    bool first = lane < KEY_LANES;
    UNROLL for (int h = 0; h < JOB_HEADS; h++) {
      float sum = 0;
      UNROLL for (int i = 0; i < PER_LANE; i++) {
        int piece = i * KEY_LANES + lane % KEY_LANES;
        Eight query = query_piece(desk, h, piece);
        UNROLL for (int e = 0; e < 8; e++)
          if (piece < PIECES) sum += query.v[e] * desk.key[8 * piece + e];
      }
      sum = lanes_sum(sum);
      float score = first ? sum : -infinity();
      take_scores<1>(s, h, &score, [&](int, int i) {
        int piece = i / 8 * KEY_LANES + lane % KEY_LANES;
        return piece < PIECES ? desk.value[8 * piece + i % 8] : 0.0f;
      });
    }
  }
  collect(s, desk, warp, lane);
  barrier_of(THREADS);
  ROLLED for (int i = warp * WARP + lane; i < JOB_HEADS * DIM; i += THREADS) {
    int h = i / DIM, d = i % DIM;
    float top = desk.top[h], sum = 0, e = 0;
    UNROLL for (int w = 1; w < WARPS; w++) top = larger(top, desk.top[w * JOB_HEADS + h]);
    UNROLL for (int w = 0; w < WARPS; w++) {
      float factor = rescale(desk.top[w * JOB_HEADS + h], top);
      sum += desk.sum[w * JOB_HEADS + h] * factor;
      e += factor == 0.0f ? 0.0f : desk.part[(w * JOB_HEADS + h) * DIM + d] * factor;
    }
    int q = group * JOB_HEADS + h;
    long part = (long(split) * HEADS + q) * PART;
    if (splits == 1)
      put_word(result, q * DIM + d, in_word(e / sum), epoch);
    else
      put_word(parts, part + 2 + d, as_uint(e), epoch);
    if (splits > 1 && d == 0) {
      put_word(parts, part, as_uint(sum), epoch);
      put_word(parts, part + 1, as_uint(top), epoch);
    }
  }
}

// merge adds up the parts of this block's elements: a warp for two elements at a time, a lane for each split.
DEVICE void merge(int block, int splits, GLOBAL(ulong) parts, GLOBAL(Word) result, uint epoch, int warp, int lane) {
  int from = int(long(block) * (HEADS * DIM / 2) / BLOCKS), to = int(long(block + 1) * (HEADS * DIM / 2) / BLOCKS);
  ROLLED for (int p = from + warp; p < to; p += WARPS) {
    int head = 2 * p / DIM, d = 2 * p % DIM;
    float top = -infinity(), sum = 0, e[2] = {0, 0};
    if (lane < splits) {
      long part = (long(lane) * HEADS + head) * PART; // an even number of words
      bool missing;
      Quad scale, pair;
      do {
        missing = false;
        scale = peek(parts, part, epoch, missing);
        pair = peek(parts, part + 2 + d, epoch, missing);
      } while (missing);
      sum = as_float(scale.value[0]);
      top = as_float(scale.value[1]);
      e[0] = as_float(pair.value[0]);
      e[1] = as_float(pair.value[1]);
    }
    float factor = rescale(top, warp_max(top));
    sum = warp_sum(sum * factor);
    e[0] = warp_sum(e[0] * factor);
    e[1] = warp_sum(e[1] * factor);
    if (lane < 2) put_word(result, 2 * p + lane, in_word((lane == 0 ? e[0] : e[1]) / sum), epoch);
  }
}
