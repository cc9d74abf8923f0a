// What a decoder's step takes of its cache, and the desk at which a block works on it: a job is some
// heads of one group and a part of its keys.

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

// weight_of is the weight of a score where the largest is top, both to the base 2; without a key, whose score is -∞, it is 0.
DEVICE float weight_of(float score, float top) { return fexp2(score == -infinity() ? score : score - top); }

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
  LOCAL(float) part;   // [WARPS, JOB_HEADS, DIM]: what the warps have of the result
  LOCAL(float) sum;    // [WARPS, JOB_HEADS]: and of the weights' sum
  LOCAL(float) top;    // [WARPS, JOB_HEADS]: their largest scores, to the base 2, to which both are relative
  LOCAL(float) rotary; // [2, PAIRS]: cosines, sines
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
