// What norms of rows have in common.

// Norm is what is taken from a row's elements, and what they are then multiplied by.
struct Norm {
  float mean, scale;
};

// norm_of is the norm of a row that a block works on; shared has room for one number a warp.
DEVICE Norm norm_of(Thread t, int kind, float eps, GLOBAL(const float) x, int width, LOCAL(float) shared) {
  Norm n = {0, 1};
  if (kind == NoNorm) return n;
  if (kind == LayerNorm) {
    for (int i = t.index; i < width; i += t.count) n.mean += x[i];
    n.mean = block_sum(t, n.mean, shared) / float(width);
  }
  float squares = 0;
  for (int i = t.index; i < width; i += t.count) squares += (x[i] - n.mean) * (x[i] - n.mean);
  n.scale = 1.0f / fsqrt(block_sum(t, squares, shared) / float(width) + eps);
  return n;
}
