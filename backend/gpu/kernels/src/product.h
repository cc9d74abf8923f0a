// What products of few and of many rows have in common.

// finish applies bias and activation to a sum and combines it with another tensor.
DEVICE float finish(ARGS(ProductArgs) p, float v, int row, int column, int member, GLOBAL(const uchar) bias, GLOBAL(const float) residual) {
  if (p.biasType[member]) v += load(bias, p.biasType[member], column);
  v = activate(p.activation, v);
  if (p.addResidual) v += residual[long(row) * p.n[member] + column];
  return p.round ? to_float(to_bf16(v)) : v;
}

// gate finishes the two sums of a gated product.
DEVICE float gate(ARGS(ProductArgs) p, float v, float up, int column, GLOBAL(const uchar) bias, GLOBAL(const uchar) up_bias) {
  if (p.biasType[0]) v += load(bias, p.biasType[0], column);
  if (p.biasType[1]) up += load(up_bias, p.biasType[1], column);
  v = activate(SiLU, v) * up;
  return p.round ? to_float(to_bf16(v)) : v;
}

// share_place is where a partial sum of a share of k is kept.
DEVICE long share_place(ARGS(ProductArgs) p, int share, int member, int row, int column) {
  long before = member == 0 ? 0 : member == 1 ? p.n[0] : p.n[0] + p.n[1];
  return (long(share) * (p.n[0] + p.n[1] + p.n[2]) + before) * p.m + long(row) * p.n[member] + column;
}

// Member is one of the products of a launch.
template <class W> struct Member {
  GLOBAL(const W) w;
  GLOBAL(const uchar) bias;
  GLOBAL(float) y;
};
