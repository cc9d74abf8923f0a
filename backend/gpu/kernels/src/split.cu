// Rows of f32 numbers as the bf16 terms of warpgroup.cu, each term a matrix.

#if WARPGROUP

// put_terms stores eight elements, of which at is the first, in N terms of count elements.
template <int N> DEVICE void put_terms(GLOBAL(uint) y, long at, long count, Eight e) {
  Terms<N> s;
  UNROLL for (int i = 0; i < 4; i++) split<N>(s, i, e.v[2 * i], e.v[2 * i + 1]);
  UNROLL for (int n = 0; n < N; n++) put4(y + (n * count + at) / 2, s.pair[n][0], s.pair[n][1], s.pair[n][2], s.pair[n][3]);
}

// split_terms: a thread for each eight elements.
KERNEL(split_terms, SplitArgs, BUF(0, const float, x), BUF(1, uint, y)) {
  long at = 8 * (long(THREAD.group_x) * THREAD.count + THREAD.index), count = long(args.rows) * args.width;
  if (at >= count) return;
  if (args.terms == 1)
    put_terms<1>(y, at, count, load8(x + at));
  else
    put_terms<3>(y, at, count, load8(x + at));
}

// normalise_terms: a block for each row, in one term if it is rounded and else in three.
KERNEL(normalise_terms, NormArgs, BUF(0, const float, x), BUF(1, const uchar, weight), BUF(2, const uchar, bias), BUF(3, uint, y)) {
  const Thread t = THREAD;
  SHARED(float, shared, WARP);
  long row = long(t.group_x) * args.width, count = long(args.rows) * args.width;
  Norm norm = norm_of(t, args.kind, args.eps, x + row, args.width, shared);
  for (int i = 8 * t.index; i < args.width; i += 8 * t.count) {
    Eight e = load8(x + (row + i));
    UNROLL for (int j = 0; j < 8; j++) {
      float v = (e.v[j] - norm.mean) * norm.scale * load(weight, args.weightType, i + j);
      if (args.kind == LayerNorm) v += load(bias, args.biasType, i + j);
      e.v[j] = args.round ? to_float(to_bf16(v)) : v;
    }
    if (args.round)
      put_terms<1>(y, row + i, count, e);
    else
      put_terms<3>(y, row + i, count, e);
  }
}

#endif
