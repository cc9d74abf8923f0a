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
  TILE_KEYS = TILE / (KEY_BYTES > VALUE_BYTES ? KEY_BYTES : VALUE_BYTES), // whose keys are in a tile, and whose values in another
  DEEP = TILE_KEYS >= 2 * WARPS * KEYS ? 2 : 1, // times KEYS are taken at once
  SPAN = WARPS * KEYS * DEEP,        // keys of a block at once
  HELD = PER_LANE * 8,               // elements of a head in a lane
  ROUND = 2,                         // tiles of keys that a part takes at once, and as many of values
  SCORES = ROUND * TILE_KEYS + 1,    // of a head: those of a round and of the row's own key
  FEW_KEYS = 192,                    // that are not shared, since to add up what the parts found takes another exchange
  GROUPS = HEADS / JOB_HEADS,        // jobs for each part of the keys
  SPLITS = BLOCKS / GROUPS < 1 ? 1 : BLOCKS / GROUPS > WARP ? int(WARP) : BLOCKS / GROUPS,
  PART = DIM + 2                     // words of a head in a partial result: sum, top, elements
};
static_assert(TILE_KEYS > 0 && SLOTS >= 2 * ROUND, "a tile holds a key, and the ring a round");

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

// feed_keys fills tiles with keys and values by turns.
DEVICE void feed_keys(Ring &r, GLOBAL(const uchar) keys, GLOBAL(const uchar) values, Keys k) {
  GLOBAL(const uchar) head_keys = keys + k.element * (KEY_BYTES / DIM);
  GLOBAL(const uchar) head_values = values + k.element * (VALUE_BYTES / DIM);
  ROLLED for (int first = k.from; first < k.to; first += TILE_KEYS) {
    int n = k.to - first < TILE_KEYS ? k.to - first : int(TILE_KEYS);
    push(r, head_keys + long(first) * KEY_BYTES, n * KEY_BYTES);
    push(r, head_values + long(first) * VALUE_BYTES, n * VALUE_BYTES);
  }
}

// Piece is 8 consecutive elements of a key or value as the cache stores them.
template <int Type> struct Piece {
  Words4 w[Type == BF16 ? 1 : 2];
};

template <int Type> DEVICE Piece<Type> piece_at(LOCAL(const uchar) tile, int element) {
  Piece<Type> p;
  UNROLL for (int i = 0; i < (Type == BF16 ? 1 : 2); i++) p.w[i] = local4(tile + element * (Type == BF16 ? 2 : 4) + 16 * i);
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

// Seat is the place of a key among n of a round: its row in a tile, or that of the last
// key if it is not inside.
struct Seat {
  int key, tile, row;
  bool inside;
};

DEVICE Seat seat_of(int tile, int row, int n) {
  Seat s = {tile * TILE_KEYS + row, tile, row, row < TILE_KEYS && tile * TILE_KEYS + row < n};
  if (!s.inside) s.tile = (n - 1) / TILE_KEYS, s.row = (n - 1) % TILE_KEYS;
  return s;
}

// score_keys scores n cached keys, in up to R tiles from base on; lanes share a key.
template <int H, int R> DEVICE void score_keys(const Ring &r, int base, int n, Desk desk, LOCAL(float) scores, int warp, int lane) {
  enum { many = R * DEEP };
  ROLLED for (int first = warp * KEYS * DEEP; first < TILE_KEYS && first < n; first += SPAN) {
    Seat seat[many];
    float score[H][many];
    UNROLL for (int u = 0; u < many; u++) {
      seat[u] = seat_of(u / DEEP, first + u % DEEP * KEYS + lane / KEY_LANES, n);
      UNROLL for (int h = 0; h < H; h++) score[h][u] = 0;
    }
    UNROLL for (int i = 0; i < PER_LANE; i++) {
      int piece = i * KEY_LANES + lane % KEY_LANES;
      if (piece >= PIECES) continue;
      Piece<KEY_TYPE> p[many];
      UNROLL for (int u = 0; u < many; u++) p[u] = piece_at<KEY_TYPE>(tile_of(r, base + 2 * seat[u].tile), seat[u].row * DIM + 8 * piece);
      UNROLL for (int h = 0; h < H; h++) {
        Eight query = query_piece(desk, h, piece);
        UNROLL for (int u = 0; u < many; u++)
          UNROLL for (int e = 0; e < 8; e++) score[h][u] += query.v[e] * element(p[u], e);
      }
    }
    UNROLL for (int h = 0; h < H; h++)
      UNROLL for (int u = 0; u < many; u++) {
        float sum = lanes_sum(score[h][u]);
        if (lane % KEY_LANES == 0 && seat[u].inside) scores[h * SCORES + seat[u].key] = sum;
      }
  }
}

// score_own scores the row's own key, which is not in the cache yet.
template <int H> DEVICE void score_own(Desk desk, LOCAL(float) scores, int lane) {
  UNROLL for (int h = 0; h < H; h++) {
    float sum = 0;
    UNROLL for (int d = 0; d < DIM; d += WARP)
      if (d + lane < DIM) sum += desk.query[h * DIM + d + lane] * desk.key[d + lane];
    sum = warp_sum(sum);
    if (lane == 0) scores[h * SCORES] = sum;
  }
}

// Softmax is the state of an online softmax. Lanes that share a key have each some
// elements of its value; all threads agree on the top.
template <int H> struct Softmax {
  float top[H], sum[H], acc[H * HELD];
};

// add_value adds what a lane has of a value, with the weights that its scores give the heads; element(i) is its element i.
template <int H, class Element> DEVICE void add_value(Softmax<H> &s, LOCAL(const float) scores, bool inside, Element element) {
  UNROLL for (int h = 0; h < H; h++) {
    float weight = inside ? rescale(scores[h * SCORES], s.top[h]) : 0.0f;
    s.sum[h] += weight;
    UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] += weight * element(i);
  }
}

// take_values adds n scored keys of a round and perhaps the row's own, whose score follows theirs, to the state.
template <int H, int R> DEVICE void take_values(Softmax<H> &s, const Ring &r, int base, int n, bool own, Desk desk, LOCAL(const float) scores, int warp, int lane) {
  const int all = n + (own ? 1 : 0);
  UNROLL for (int h = 0; h < H; h++) {
    float top = s.top[h];
    UNROLL for (int j = 0; j < R * TILE_KEYS + 1; j += WARP)
      if (j < all) top = larger(top, scores[h * SCORES + (j + lane < all ? j + lane : all - 1)]);
    top = warp_max(top);
    float factor = rescale(s.top[h], top);
    s.top[h] = top;
    s.sum[h] *= factor;
    UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] *= factor;
  }
  enum { many = R * DEEP };
  ROLLED for (int first = warp * KEYS; first < TILE_KEYS && first < n; first += SPAN) {
    Seat seat[many];
    Piece<VALUE_TYPE> p[many][PER_LANE];
    UNROLL for (int u = 0; u < many; u++) {
      seat[u] = seat_of(u / DEEP, first + u % DEEP * WARPS * KEYS + lane / KEY_LANES, n);
      UNROLL for (int i = 0; i < PER_LANE; i++) {
        int piece = i * KEY_LANES + lane % KEY_LANES;
        p[u][i] = piece_at<VALUE_TYPE>(tile_of(r, base + 2 * seat[u].tile + 1), seat[u].row * DIM + 8 * (piece < PIECES ? piece : PIECES - 1));
      }
    }
    UNROLL for (int u = 0; u < many; u++)
      add_value(s, scores + (seat[u].tile * TILE_KEYS + seat[u].row), seat[u].inside, [&](int i) { return element(p[u][i / 8], i % 8); });
  }
  if (own && warp == WARPS - 1) // each element by one lane
    add_value(s, scores + n, lane < KEY_LANES, [&](int i) {
      int piece = i / 8 * KEY_LANES + lane % KEY_LANES;
      return desk.value[8 * (piece < PIECES ? piece : PIECES - 1) + i % 8];
    });
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

// attend computes the attention of H heads from query head first on over a job's keys, in rounds of R tiles.
// finish(h, d, element, sum, top) gets the elements of the result, times sum. If write,
// the row's key and value go into the caches.
template <int H, int R, class Finish>
DEVICE void attend(ARGS(DecodeArgs) a, Ring &r, int &base, Keys k, int head, bool write, int position, GLOBAL(uchar) keys, GLOBAL(uchar) values,
                   GLOBAL(const float) vectors, GLOBAL(Word) qkv, uint epoch, Desk desk, int warp, int lane, Finish finish) {
  const int kv = kv_head(head);
  const long place = k.element + long(position) * DIM;
  ROLLED for (int task = warp; task < H + 2; task += WARPS) {
    if (task < H) {
      LOCAL(float) query = desk.query + task * DIM;
      prepare(qkv, (head + task) * DIM, epoch, vectors + QUERY_NORM, a.headEps, true, desk.raw + task * DIM, desk.rotary, lane,
              [&](int d, float x) { query[d] = rounded(x) * a.scale; });
    } else if (task == H) {
      prepare(qkv, (HEADS + kv) * DIM, epoch, vectors + KEY_NORM, a.headEps, true, desk.raw + H * DIM, desk.rotary, lane, [&](int d, float x) {
        desk.key[d] = as_stored(KEY_TYPE, x);
        if (write) store(keys, KEY_TYPE, place + d, x);
      });
    } else {
      prepare(qkv, (HEADS + KV_HEADS + kv) * DIM, epoch, vectors, 0.0f, false, desk.value, desk.rotary, lane, [&](int d, float x) {
        if (write) store(values, VALUE_TYPE, place + d, x);
        desk.value[d] = as_stored(VALUE_TYPE, x);
      });
    }
  }
  barrier_of(THREADS);

  Softmax<H> s;
  UNROLL for (int i = 0; i < H * HELD; i++) s.acc[i] = 0;
  UNROLL for (int h = 0; h < H; h++) {
    s.top[h] = -infinity();
    s.sum[h] = 0;
  }
  int first = k.from, turn = 0;
  do {
    int n = k.to - first < R * TILE_KEYS ? k.to - first : R * TILE_KEYS;
    n = n > 0 ? n : 0;
    int tiles = 2 * ((n + TILE_KEYS - 1) / TILE_KEYS);
    bool own = k.own && first + n >= k.to;
    LOCAL(float) scores = desk.scores + turn % 2 * H * SCORES;
    await(r, base + (tiles > 0 ? tiles - 1 : 0)); // the last are values
    score_keys<H, R>(r, base, n, desk, scores, warp, lane);
    if (own && warp == WARPS - 1) score_own<H>(desk, scores + n, lane); // the last warp has the fewest keys
    barrier_of(THREADS);
    await(r, base + tiles);
    take_values<H, R>(s, r, base, n, own, desk, scores, warp, lane);
    base += tiles;
    release(r, base, lane);
    first += R * TILE_KEYS;
    turn++;
  } while (first < k.to);
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
