// Positions, rotations and caches. A row's segment and its index there come
// from a list of pairs; a segment's slot, first position and real length from
// the table.

KERNEL(positions, RowArgs, BUF(0, const int, table), BUF(1, const int, places), BUF(2, int, y)) {
  const Thread t = THREAD;
  int i = element_of(t);
  if (i < args.rows) y[i] = table[3 * places[2 * i] + 1] + places[2 * i + 1];
}

KERNEL(rotary_table, RotaryArgs, BUF(0, const int, positions), BUF(1, const float, frequencies), BUF(2, float, y)) {
  const Thread t = THREAD;
  int i = element_of(t);
  if (i >= args.rows * args.pairs) return;
  int row = i / args.pairs, k = i % args.pairs;
  float angle = float(positions[row]) * frequencies[k];
  y[2 * row * args.pairs + k] = fcos(angle) * args.scale;
  y[(2 * row + 1) * args.pairs + k] = fsin(angle) * args.scale;
}

// Head is one head of a row before its rotation: (x - mean)·scale·weight + bias.
struct Head {
  GLOBAL(const float) x;
  GLOBAL(const uchar) weight;
  GLOBAL(const uchar) bias;
  float mean, scale;
};

DEVICE Head head_of(ARGS(HeadArgs) a, int lane, GLOBAL(const float) x, GLOBAL(const uchar) weight, GLOBAL(const uchar) bias) {
  Head h = {x, weight, bias, 0, 1};
  if (a.norm == NoNorm) return h;
  if (a.norm == LayerNorm) {
    for (int i = lane; i < a.dim; i += WARP) h.mean += x[i];
    h.mean = warp_sum(h.mean) / float(a.dim);
  }
  float squares = 0;
  for (int i = lane; i < a.dim; i += WARP) squares += (x[i] - h.mean) * (x[i] - h.mean);
  h.scale = 1.0f / fsqrt(warp_sum(squares) / float(a.dim) + a.eps);
  return h;
}

DEVICE float normalised(ARGS(HeadArgs) a, Head h, int i) {
  if (a.norm == NoNorm) return h.x[i];
  float v = (h.x[i] - h.mean) * h.scale * load(h.weight, a.weightType, i);
  return a.norm == LayerNorm ? v + load(h.bias, a.biasType, i) : v;
}

// rotated pairs element i with element i + pairs.
DEVICE float rotated(ARGS(HeadArgs) a, Head h, GLOBAL(const float) rotary, int i) {
  float v = normalised(a, h, i);
  if (i < a.pairs) return v * rotary[i] - normalised(a, h, i + a.pairs) * rotary[a.pairs + i];
  if (i < 2 * a.pairs) return v * rotary[i - a.pairs] + normalised(a, h, i - a.pairs) * rotary[i];
  return v;
}

// rope: a warp for each head of each row.
KERNEL(rope, HeadArgs, BUF(0, const float, x), BUF(1, const float, rotary), BUF(2, const uchar, weight), BUF(3, const uchar, bias), BUF(4, float, y)) {
  const Thread t = THREAD;
  int at = warp_of(t), lane = t.index % WARP;
  if (at >= args.rows * args.heads) return;
  Head h = head_of(args, lane, x + long(at) * args.dim, weight, bias);
  for (int i = lane; i < args.dim; i += WARP) {
    float v = rotated(args, h, rotary + long(at / args.heads) * 2 * args.pairs, i);
    y[long(at) * args.dim + i] = args.round ? to_float(to_bf16(v)) : v;
  }
}

// cache_update writes each head of each row to its place in a layer of a
// cache [layers, slots, heads, capacity, dim]; padding and places outside are skipped.
KERNEL(cache_update, HeadArgs, BUF(0, const float, x), BUF(1, const float, rotary), BUF(2, const uchar, weight), BUF(3, const uchar, bias),
       BUF(4, const int, table), BUF(5, const int, places), BUF(6, uchar, cache)) {
  const Thread t = THREAD;
  int at = warp_of(t), lane = t.index % WARP;
  if (at >= args.rows * args.heads) return;
  int row = at / args.heads, head = at % args.heads, segment = places[2 * row], index = places[2 * row + 1];
  int slot = table[3 * segment], first = table[3 * segment + 1], real = table[3 * segment + 2];
  if (slot < 0 || slot >= args.slots || index >= real || first < -index || first >= args.capacity - index) return;
  Head h = head_of(args, lane, x + long(at) * args.dim, weight, bias);
  long to = (((long(args.layer) * args.slots + slot) * args.heads + head) * args.capacity + first + index) * args.dim;
  for (int i = lane; i < args.dim; i += WARP)
    store(cache, args.dtype, to + i, rotated(args, h, rotary + long(row) * 2 * args.pairs, i));
}

// cache_read copies one layer and slot, in words of 16 bits; a slot that does not exist reads slot 0.
KERNEL(cache_read, CacheArgs, BUF(0, const ushort, cache), BUF(1, const int, slot), BUF(2, ushort, y)) {
  const Thread t = THREAD;
  int i = element_of(t);
  if (i >= args.size) return;
  int s = slot[0] < 0 || slot[0] >= args.slots ? 0 : slot[0];
  y[i] = cache[(long(args.layer) * args.slots + s) * args.size + i];
}
