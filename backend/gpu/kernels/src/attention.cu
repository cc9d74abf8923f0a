// Attention with the online softmax (Milakov and Gimelshein 2018; Dao et al.
// 2022): no score is stored. A block serves one head of one row; its warps
// share the keys, and several blocks may share those of a long cache. A list
// names the rows: segment, index there, and row.

enum { attention_warps = 8, most_dim = 256 };

// keys_at_once is the number of keys whose loads a warp has in flight.
enum { keys_at_once = 4 };

// Sums is what some keys contribute: the largest score, and relative to it
// the sum of the weights and, in acc, of the weighted values.
struct Sums {
  float top, sum;
};

// attend holds elements lane, lane + WARP... of the head, N a lane.
template <int N>
DEVICE void attend(Thread t, ARGS(AttentionArgs) a, GLOBAL(const float) q, GLOBAL(const uchar) k, GLOBAL(const uchar) v, GLOBAL(const int) table,
                   GLOBAL(const int) places, GLOBAL(float) y, GLOBAL(float) partial, LOCAL(float) acc_of, LOCAL(float) top_of, LOCAL(float) sum_of) {
  int segment = places[3 * t.group_x], index = places[3 * t.group_x + 1], row = places[3 * t.group_x + 2];
  int head = t.group_y, split = t.group_z, lane = t.index % WARP, warp = t.index / WARP;
  int slot = table[3 * segment], position = index, real = table[3 * segment + 2];
  if (slot < 0 || index >= real) return; // padding: the whole block
  if (a.cached) position += table[3 * segment + 1];

  // The keys from..to are seen; this block takes its share of them.
  int from = 0, to = a.causal ? position + 1 : a.cached ? a.keys : real;
  if (a.window > 0 && position - a.window + 1 > 0) from = position - a.window + 1;
  if (a.cached && to > a.capacity) to = a.capacity;
  int share = to > from ? (to - from + a.splits - 1) / a.splits : 0;
  from += split * share;
  if (to > from + share) to = from + share;

  int kv = head / (a.heads / a.kvHeads), step = a.dim;
  long base = ((long(a.layer) * a.slots + (slot < a.slots ? slot : 0)) * a.kvHeads + kv) * a.capacity * a.dim;
  if (!a.cached) {
    step = a.kvHeads * a.dim;
    base = long(row - index) * step + kv * a.dim;
  }
  long own = (long(row) * a.heads + head) * a.dim;
  float query[N], acc[N];
  UNROLL for (int i = 0; i < N; i++) {
    int d = lane + i * WARP;
    query[i] = d < a.dim ? q[own + d] * a.scale : 0.0f;
    acc[i] = 0;
  }
  Sums s = {-infinity(), 0};
  for (int j = from + warp * keys_at_once; j < to; j += attention_warps * keys_at_once) {
    float score[keys_at_once], top = s.top;
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      score[u] = 0;
      UNROLL for (int i = 0; i < N; i++) {
        int d = lane + i * WARP;
        if (j + u < to && d < a.dim) score[u] += query[i] * load(k, a.keyType, base + long(j + u) * step + d);
      }
    }
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      score[u] = j + u < to ? warp_sum(score[u]) : -infinity();
      top = larger(score[u], top);
    }
    float factor = rescale(s.top, top);
    s.sum *= factor;
    s.top = top;
    UNROLL for (int i = 0; i < N; i++) acc[i] *= factor;
    UNROLL for (int u = 0; u < keys_at_once; u++) {
      float weight = j + u < to ? fexp(score[u] - top) : 0.0f;
      s.sum += weight;
      UNROLL for (int i = 0; i < N; i++) {
        int d = lane + i * WARP;
        if (j + u < to && d < a.dim) acc[i] += weight * load(v, a.valueType, base + long(j + u) * step + d);
      }
    }
  }

  // Add up what the warps found.
  UNROLL for (int i = 0; i < N; i++) acc_of[warp * most_dim + lane + i * WARP] = acc[i];
  if (lane == 0) {
    top_of[warp] = s.top;
    sum_of[warp] = s.sum;
  }
  barrier();
  float top = top_of[0], sum = 0;
  for (int w = 1; w < attention_warps; w++) top = larger(top, top_of[w]);
  for (int w = 0; w < attention_warps; w++) sum += sum_of[w] * rescale(top_of[w], top);
  long part = ((long(split) * a.rows + t.group_x) * a.heads + head) * (a.dim + 2);
  for (int d = t.index; d < a.dim; d += t.count) {
    float e = 0;
    for (int w = 0; w < attention_warps; w++) e += acc_of[w * most_dim + d] * rescale(top_of[w], top);
    if (a.splits == 1)
      y[own + d] = a.round ? to_float(to_bf16(e / sum)) : e / sum;
    else
      partial[part + 2 + d] = e;
  }
  if (a.splits > 1 && t.index == 0) {
    partial[part] = top;
    partial[part + 1] = sum;
  }
}

#define ATTENTION(N)                                                                                                       \
  KERNEL(attention_##N, AttentionArgs, BUF(0, const float, q), BUF(1, const uchar, k), BUF(2, const uchar, v),             \
         BUF(3, const int, table), BUF(4, const int, places), BUF(5, float, y), BUF(6, float, partial)) {                  \
    SHARED(float, acc, attention_warps *most_dim);                                                                         \
    SHARED(float, top, attention_warps);                                                                                   \
    SHARED(float, sum, attention_warps);                                                                                   \
    attend<N>(THREAD, args, q, k, v, table, places, y, partial, acc, top, sum);                                            \
  }

ATTENTION(1)
ATTENTION(2)
ATTENTION(4)
ATTENTION(8)

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
