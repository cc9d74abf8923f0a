// What products of few and of many rows have in common.

// combine applies activation to a sum with its bias and adds an element of another tensor.
DEVICE float combine(ARGS(ProductArgs) p, float v, float other) {
  v = activate(p.activation, v);
  if (p.addResidual) v += other;
  return p.round ? to_float(to_bf16(v)) : v;
}

// finish applies bias and activation to a sum and combines it with another tensor.
DEVICE float finish(ARGS(ProductArgs) p, float v, int row, int column, int member, GLOBAL(const uchar) bias, GLOBAL(const float) residual) {
  if (p.biasType[member]) v += load(bias, p.biasType[member], column);
  return combine(p, v, p.addResidual ? residual[long(row) * p.n[member] + column] : 0.0f);
}

// combine_gated is the result of two sums, with their biases, of a gated product.
DEVICE float combine_gated(ARGS(ProductArgs) p, float v, float up) {
  v = activate(SiLU, v) * up;
  return p.round ? to_float(to_bf16(v)) : v;
}

// gate finishes the two sums of a gated product.
DEVICE float gate(ARGS(ProductArgs) p, float v, float up, int column, GLOBAL(const uchar) bias, GLOBAL(const uchar) up_bias) {
  if (p.biasType[0]) v += load(bias, p.biasType[0], column);
  if (p.biasType[1]) up += load(up_bias, p.biasType[1], column);
  return combine_gated(p, v, up);
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
