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

// HeadPart are the heads of rows of one operand: how they are normalised and
// rotated, and where they go, rows like theirs or a layer of a cache.
struct HeadPart {
  int heads, dim, pairs, norm, weightType, biasType;
  float eps;
  int cached, dtype, layer, slots, capacity;
};

// Head is one head of a row before its rotation: (x - mean)·scale·weight + bias.
struct Head {
  GLOBAL(const float) x;
  GLOBAL(const uchar) weight;
  GLOBAL(const uchar) bias;
  float mean, scale;
};

DEVICE Head head_of(HeadPart a, int lane, GLOBAL(const float) x, GLOBAL(const uchar) weight, GLOBAL(const uchar) bias) {
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

DEVICE float normalised(HeadPart a, Head h, int i) {
  if (a.norm == NoNorm) return h.x[i];
  float v = (h.x[i] - h.mean) * h.scale * load(h.weight, a.weightType, i);
  return a.norm == LayerNorm ? v + load(h.bias, a.biasType, i) : v;
}

// part_heads is a warp's work: a head of a row, of which element i is rotated
// with element i + pairs. Those in a cache [layers, slots, heads, capacity, dim]
// go to their segment's slot; padding and places outside are skipped.
DEVICE void part_heads(HeadPart a, int at, int lane, int round, GLOBAL(const float) x, GLOBAL(const uchar) weight, GLOBAL(const uchar) bias,
                       GLOBAL(const float) rotary, GLOBAL(const int) table, GLOBAL(const int) places, GLOBAL(uchar) y) {
  int row = at / a.heads, head = at % a.heads, dtype = F32;
  long to = long(at) * a.dim;
  if (a.cached) {
    int segment = places[2 * row], index = places[2 * row + 1];
    int slot = table[3 * segment], first = table[3 * segment + 1], real = table[3 * segment + 2];
    if (slot < 0 || slot >= a.slots || index >= real || first < -index || first >= a.capacity - index) return;
    to = (((long(a.layer) * a.slots + slot) * a.heads + head) * a.capacity + first + index) * a.dim;
    dtype = a.dtype;
    round = 0;
  }
  Head h = head_of(a, lane, x + long(at) * a.dim, weight, bias);
  long angles = long(row) * 2 * a.pairs;
  for (int i = lane; i < a.pairs; i += WARP) {
    float u = normalised(a, h, i), v = normalised(a, h, i + a.pairs), cosine = rotary[angles + i], sine = rotary[angles + a.pairs + i];
    float low = u * cosine - v * sine, high = v * cosine + u * sine;
    store(y, dtype, to + i, round ? to_float(to_bf16(low)) : low);
    store(y, dtype, to + i + a.pairs, round ? to_float(to_bf16(high)) : high);
  }
  for (int i = 2 * a.pairs + lane; i < a.dim; i += WARP) {
    float v = normalised(a, h, i);
    store(y, dtype, to + i, round ? to_float(to_bf16(v)) : v);
  }
}

// heads: a warp for each head of each row of up to three operands.
KERNEL(heads, HeadsArgs, BUF(0, const float, rotary), BUF(1, const int, table), BUF(2, const int, places),
       BUF(3, const float, x0), BUF(4, const uchar, weight0), BUF(5, const uchar, bias0), BUF(6, uchar, y0),
       BUF(7, const float, x1), BUF(8, const uchar, weight1), BUF(9, const uchar, bias1), BUF(10, uchar, y1),
       BUF(11, const float, x2), BUF(12, const uchar, weight2), BUF(13, const uchar, bias2), BUF(14, uchar, y2)) {
  const Thread t = THREAD;
  int at = warp_of(t), lane = t.index % WARP, part = 0;
  while (part < 3 && at >= args.rows * args.heads[part]) at -= args.rows * args.heads[part++];
  if (part == 3) return; // the whole warp
  HeadPart a = {args.heads[part], args.dim, args.pairs[part], args.norm[part], args.weightType[part], args.biasType[part], args.eps[part],
                args.cached[part], args.dtype[part], args.layer[part], args.slots[part], args.capacity[part]};
  GLOBAL(const float) x = part == 0 ? x0 : part == 1 ? x1 : x2;
  GLOBAL(const uchar) weight = part == 0 ? weight0 : part == 1 ? weight1 : weight2;
  GLOBAL(const uchar) bias = part == 0 ? bias0 : part == 1 ? bias1 : bias2;
  GLOBAL(uchar) y = part == 0 ? y0 : part == 1 ? y1 : y2;
  part_heads(a, at, lane, args.round, x, weight, bias, rotary, table, places, y);
}

// cache_read copies one layer and slot, in words of 16 bits; a slot that does not exist reads slot 0.
KERNEL(cache_read, CacheArgs, BUF(0, const ushort, cache), BUF(1, const int, slot), BUF(2, ushort, y)) {
  const Thread t = THREAD;
  int i = element_of(t);
  if (i >= args.size) return;
  int s = slot[0] < 0 || slot[0] >= args.slots ? 0 : slot[0];
  y[i] = cache[(long(args.layer) * args.slots + s) * args.size + i];
}
