// Reductions, norms and softmax.

enum { Sum, Max };

// reduce_rows: a warp for each row of x [outer, count].
KERNEL(reduce_rows, ReduceArgs, BUF(0, const float, x), BUF(1, float, y)) {
  const Thread t = THREAD;
  int row = warp_of(t), lane = t.index % WARP;
  float v = args.op == Sum ? 0.0f : -infinity();
  if (row < args.outer)
    for (int i = lane; i < args.count; i += WARP) {
      float e = x[long(row) * args.count + i];
      v = args.op == Sum ? v + e : larger(v, e);
    }
  v = args.op == Sum ? warp_sum(v) : warp_max(v);
  if (row < args.outer && lane == 0) y[row] = v;
}

// reduce_columns: a thread for each result of x [outer, count, inner].
KERNEL(reduce_columns, ReduceArgs, BUF(0, const float, x), BUF(1, float, y)) {
  const Thread t = THREAD;
  int at = element_of(t);
  if (at >= args.outer * args.inner) return;
  long from = long(at / args.inner) * args.count * args.inner + at % args.inner;
  float v = args.op == Sum ? 0.0f : -infinity();
  for (int i = 0; i < args.count; i++) {
    float e = x[from + long(i) * args.inner];
    v = args.op == Sum ? v + e : larger(v, e);
  }
  y[at] = v;
}

// softmax: a block for each row.
KERNEL(softmax, RowArgs, BUF(0, const float, x), BUF(1, float, y)) {
  const Thread t = THREAD;
  SHARED(float, shared, WARP);
  long row = long(t.group_x) * args.width;
  float top = -infinity(), sum = 0;
  for (int i = t.index; i < args.width; i += t.count) top = larger(top, x[row + i]);
  top = block_max(t, top, shared);
  for (int i = t.index; i < args.width; i += t.count) {
    float e = fexp(x[row + i] - top);
    y[row + i] = e;
    sum += e;
  }
  sum = block_sum(t, sum, shared);
  for (int i = t.index; i < args.width; i += t.count) y[row + i] /= sum;
}

// normalise: a block for each group of elements.
KERNEL(normalise, NormArgs, BUF(0, const float, x), BUF(1, const uchar, weight), BUF(2, const uchar, bias), BUF(3, float, y)) {
  const Thread t = THREAD;
  SHARED(float, shared, WARP);
  long row = long(t.group_x) * args.width;
  Norm norm = norm_of(t, args.kind, args.eps, x + row, args.width, shared);
  for (int i = t.index; i < args.width; i += t.count) {
    float v = (x[row + i] - norm.mean) * norm.scale * load(weight, args.weightType, i);
    if (args.kind == LayerNorm) v += load(bias, args.biasType, i);
    y[row + i] = args.round ? to_float(to_bf16(v)) : v;
  }
}
