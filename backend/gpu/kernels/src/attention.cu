// Attention with the online softmax (Milakov and Gimelshein 2018; Dao et al.
// 2022): no score is stored. A block serves one head of one row; its workers,
// warps or parts of warps, share the keys, and several blocks may share those of
// a long cache. A list names the rows: segment, index there, and row.

enum { attention_warps = 8, most_dim = 256 };

// keys_at_once is the number of keys whose loads a worker has in flight.
enum { keys_at_once = 4 };

// Sums is what some keys contribute: the largest score, and relative to it
// the sum of the weights and, in acc, of the weighted values.
struct Sums {
  float top, sum;
};

// Seen are the keys from..to that a block looks at, step elements apart from
// base on, and the place of its query; without any row it has nothing to do.
struct Seen {
  int from, to, step, row;
  long base, own;
};

DEVICE Seen seen_by(Thread t, ARGS(AttentionArgs) a, GLOBAL(const int) table, GLOBAL(const int) places) {
  int segment = places[3 * t.group_x], index = places[3 * t.group_x + 1], row = places[3 * t.group_x + 2];
  int slot = table[3 * segment], position = index, real = table[3 * segment + 2], head = t.group_y;
  if (slot < 0 || index >= real) return Seen{0, 0, 0, -1, 0, 0}; // padding
  if (a.cached) position += table[3 * segment + 1];

  Seen s = {0, a.causal ? position + 1 : a.cached ? a.keys : real, a.dim, row, 0, (long(row) * a.heads + head) * a.dim};
  if (a.window > 0 && position - a.window + 1 > 0) s.from = position - a.window + 1;
  if (a.cached && s.to > a.capacity) s.to = a.capacity;
  int share = s.to > s.from ? (s.to - s.from + a.splits - 1) / a.splits : 0;
  s.from += t.group_z * share;
  if (s.to > s.from + share) s.to = s.from + share;

  int kv = head / (a.heads / a.kvHeads);
  s.base = ((long(a.layer) * a.slots + (slot < a.slots ? slot : 0)) * a.kvHeads + kv) * a.capacity * a.dim;
  if (!a.cached) {
    s.step = a.kvHeads * a.dim;
    s.base = long(row - index) * s.step + kv * a.dim;
  }
  return s;
}

// add_up adds up what a block's workers found, whose weighted values lie pitch apart.
DEVICE void add_up(Thread t, ARGS(AttentionArgs) a, Seen s, int workers, int pitch, LOCAL(const float) acc_of, LOCAL(float) top_of, LOCAL(float) sum_of,
                   GLOBAL(float) y, GLOBAL(float) partial) {
  barrier();
  float top = top_of[0], sum = 0;
  for (int w = 1; w < workers; w++) top = larger(top, top_of[w]);
  barrier(); // all have read the largest scores: factors take their places
  for (int w = t.index; w < workers; w += t.count) top_of[w] = rescale(top_of[w], top);
  barrier();
  for (int w = 0; w < workers; w++) sum += sum_of[w] * top_of[w];
  long part = ((long(t.group_z) * a.rows + t.group_x) * a.heads + t.group_y) * (a.dim + 2);
  for (int d = t.index; d < a.dim; d += t.count) {
    float e = 0;
    for (int w = 0; w < workers; w++) e += acc_of[w * pitch + d] * top_of[w];
    if (a.splits == 1)
      y[s.own + d] = a.round ? to_float(to_bf16(e / sum)) : e / sum;
    else
      partial[part + 2 + d] = e;
  }
  if (a.splits > 1 && t.index == 0) {
    partial[part] = top;
    partial[part + 1] = sum;
  }
}

// attend: a warp is a worker, whose lanes hold elements lane, lane + WARP... of the head, N a lane.
template <int N>
DEVICE void attend(Thread t, ARGS(AttentionArgs) a, Seen seen, GLOBAL(const float) q, GLOBAL(const uchar) k, GLOBAL(const uchar) v, LOCAL(float) acc_of,
                   LOCAL(float) top_of, LOCAL(float) sum_of) {
  int lane = t.index % WARP, warp = t.index / WARP;
  float query[N], acc[N];
  UNROLL for (int i = 0; i < N; i++) {
    int d = lane + i * WARP;
    query[i] = d < a.dim ? q[seen.own + d] * a.scale : 0.0f;
    acc[i] = 0;
  }
  Sums s = {-infinity(), 0};
  for (int j = seen.from + warp * keys_at_once; j < seen.to; j += attention_warps * keys_at_once) {
    float score[keys_at_once], top = s.top;
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      score[u] = 0;
      UNROLL for (int i = 0; i < N; i++) {
        int d = lane + i * WARP;
        if (j + u < seen.to && d < a.dim) score[u] += query[i] * load(k, a.keyType, seen.base + long(j + u) * seen.step + d);
      }
    }
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      score[u] = j + u < seen.to ? warp_sum(score[u]) : -infinity();
      top = larger(score[u], top);
    }
    float factor = rescale(s.top, top);
    s.sum *= factor;
    s.top = top;
    UNROLL for (int i = 0; i < N; i++) acc[i] *= factor;
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      float weight = j + u < seen.to ? fexp(score[u] - top) : 0.0f;
      s.sum += weight;
      UNROLL for (int i = 0; i < N; i++) {
        int d = lane + i * WARP;
        if (j + u < seen.to && d < a.dim) acc[i] += weight * load(v, a.valueType, seen.base + long(j + u) * seen.step + d);
      }
    }
  }
  UNROLL for (int i = 0; i < N; i++) acc_of[warp * most_dim + lane + i * WARP] = acc[i];
  if (lane == 0) {
    top_of[warp] = s.top;
    sum_of[warp] = s.sum;
  }
}

// part_sum adds up the numbers of G neighbouring lanes.
template <int G> DEVICE float part_sum(float v) {
  UNROLL for (int mask = 1; mask < G; mask *= 2) v += as_float(shuffle_xor(as_uint(v), mask));
  return v;
}

// attend_eights: G lanes are a worker and hold eight elements each of a head
// whose size is a multiple of that. All loads of some keys and values come before their use.
template <int G, class T>
DEVICE void attend_eights(Thread t, ARGS(AttentionArgs) a, Seen seen, GLOBAL(const float) q, GLOBAL(const T) k, GLOBAL(const T) v, LOCAL(float) acc_of,
                          LOCAL(float) top_of, LOCAL(float) sum_of) {
  const int workers = attention_warps * WARP / G;
  int worker = t.index / G, d = t.index % G * 8;
  const Eight zeros = {{0, 0, 0, 0, 0, 0, 0, 0}};
  Eight query = zeros, acc = zeros;
  if (d < a.dim) query = load8(q + (seen.own + d));
  UNROLL for (int i = 0; i < 8; i++) query.v[i] *= a.scale;
  Sums s = {-infinity(), 0};
  for (int first = seen.from; first < seen.to; first += workers * keys_at_once) { // the whole block
    Eight key[keys_at_once], value[keys_at_once];
    float score[keys_at_once], top = s.top;
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      int j = first + u * workers + worker;
      bool inside = j < seen.to && d < a.dim;
      long at = seen.base + long(j) * seen.step + d;
      key[u] = value[u] = zeros;
      if (inside) key[u] = load8(k + at);
      if (inside) value[u] = load8(v + at);
    }
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      float sum = 0;
      UNROLL for (int i = 0; i < 8; i++) sum += query.v[i] * key[u].v[i];
      sum = part_sum<G>(sum);
      score[u] = first + u * workers + worker < seen.to ? sum : -infinity();
      top = larger(score[u], top);
    }
    float factor = rescale(s.top, top);
    s.sum *= factor;
    s.top = top;
    UNROLL for (int i = 0; i < 8; i++) acc.v[i] *= factor;
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      float weight = rescale(score[u], top);
      s.sum += weight;
      UNROLL for (int i = 0; i < 8; i++) acc.v[i] += weight * value[u].v[i];
    }
  }
  UNROLL for (int i = 0; i < 8; i++) acc_of[worker * 8 * G + d + i] = acc.v[i];
  if (d == 0) {
    top_of[worker] = s.top;
    sum_of[worker] = s.sum;
  }
}

#define ATTENTION(name, WORKERS, PITCH, ...)                                                                               \
  KERNEL(attention_##name, AttentionArgs, BUF(0, const float, q), BUF(1, const uchar, k), BUF(2, const uchar, v),          \
         BUF(3, const int, table), BUF(4, const int, places), BUF(5, float, y), BUF(6, float, partial)) {                  \
    SHARED(float, acc, attention_warps *most_dim);                                                                         \
    SHARED(float, top, WARP);                                                                                              \
    SHARED(float, sum, WARP);                                                                                              \
    const Thread t = THREAD;                                                                                               \
    Seen seen = seen_by(t, args, table, places);                                                                           \
    if (seen.row < 0) return; /* the whole block */                                                                        \
    __VA_ARGS__                                                                                                            \
    add_up(t, args, seen, WORKERS, PITCH, acc, top, sum, y, partial);                                                      \
  }

#define ATTENTION_OF(N) ATTENTION(N, attention_warps, most_dim, attend<N>(t, args, seen, q, k, v, acc, top, sum);)

// Heads of up to 8·G elements with keys and values of one type.
#define ATTENTION_EIGHTS(dim, G)                                                                                           \
  ATTENTION(eights_##dim, attention_warps *WARP / G, dim,                                                                  \
            if (args.keyType == BF16) attend_eights<G, bf16>(t, args, seen, q, AS(const bf16, k), AS(const bf16, v), acc, top, sum); \
            else if (args.keyType == F16) attend_eights<G, f16>(t, args, seen, q, AS(const f16, k), AS(const f16, v), acc, top, sum); \
            else attend_eights<G, float>(t, args, seen, q, AS(const float, k), AS(const float, v), acc, top, sum);)

ATTENTION_OF(1)
ATTENTION_OF(2)
ATTENTION_OF(4)
ATTENTION_OF(8)
ATTENTION_EIGHTS(64, 8)
ATTENTION_EIGHTS(128, 16)
ATTENTION_EIGHTS(256, 32)

// attention_merge adds up the shares of the blocks.
KERNEL(attention_merge, AttentionArgs, BUF(0, const float, partial), BUF(1, const int, table), BUF(2, const int, places), BUF(3, float, y)) {
  const Thread t = THREAD;
  int segment = places[3 * t.group_x], row = places[3 * t.group_x + 2], head = t.group_y;
  if (table[3 * segment] < 0 || places[3 * t.group_x + 1] >= table[3 * segment + 2]) return;
  long size = args.dim + 2, step = long(args.rows) * args.heads * size, at = (long(t.group_x) * args.heads + head) * size;
  float top = -infinity(), sum = 0;
  for (int s = 0; s < args.splits; s++) top = larger(top, partial[at + s * step]);
  for (int s = 0; s < args.splits; s++) sum += partial[at + s * step + 1] * rescale(partial[at + s * step], top);
  for (int d = t.index; d < args.dim; d += t.count) {
    float e = 0;
    for (int s = 0; s < args.splits; s++) e += partial[at + s * step + 2 + d] * rescale(partial[at + s * step], top);
    y[(long(row) * args.heads + head) * args.dim + d] = args.round ? to_float(to_bf16(e / sum)) : e / sum;
  }
}
