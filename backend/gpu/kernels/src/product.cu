// Matrix products with f32 sums, and what finishes them.

// Batch is where the operands of one product of a batch begin.
struct Batch {
  long x, w, y;
};

DEVICE Batch batch_of(ARGS(ProductArgs) p, int z) {
  Batch b = {0, 0, long(z) * p.m * p.n[0]};
  for (int d = 3; d >= 0; d--) {
    int i = z % p.batch[d];
    z /= p.batch[d];
    b.x += long(i) * p.xBatch[d];
    b.w += long(i) * p.wBatch[d];
  }
  return b;
}

// stage_size is the floats of x that a block of vector holds.
enum { stage_size = 4096 };

// staged is the place of element i of a row: the two halves of each eight lie
// apart, so that neighbouring lanes read neighbouring 16 bytes.
DEVICE int staged(int i, int row_size) { return (i / 4 % 2) * (row_size / 2) + i / 8 * 4 + i % 4; }

// add_row adds what a row of w gives with the rows of x that the block holds.
template <int R, class W>
DEVICE void add_row(ARGS(ProductArgs) p, GLOBAL(const W) w, int length, int lane, LOCAL(const float) xs, OWN(float) sum) {
  const int size = stage_size / R;
  if (p.wide) {
    UNROLL_4 for (int i = 8 * lane; i < length; i += 8 * WARP) {
      Eight e = load8(w + i);
      UNROLL for (int r = 0; r < R; r++) {
        Four f = four(xs + r * size + i / 2), g = four(xs + r * size + size / 2 + i / 2);
        UNROLL for (int j = 0; j < 4; j++) sum[r] += e.v[j] * f.v[j] + e.v[4 + j] * g.v[j];
      }
    }
    return;
  }
  for (int i = lane; i < length; i += WARP) {
    float e = number(w, i);
    UNROLL for (int r = 0; r < R; r++) sum[r] += e * xs[r * size + staged(i, size)];
  }
}

// vector multiplies up to R rows of x, which the block holds in xs, by one row
// of a member's w a warp, w [n, k], or by one of each of two members that are
// gated. The members' columns follow each other.
template <int R, class W>
DEVICE void vector(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, Member<W> m0, Member<W> m1, Member<W> m2, GLOBAL(const float) residual,
                   GLOBAL(const uchar) norm_weight, GLOBAL(const uchar) norm_bias, LOCAL(float) xs, LOCAL(float) shared) {
  const int size = stage_size / R;
  int column = warp_of(t), lane = t.index % WARP, member = 0;
  while (!p.gated && member < 2 && column >= p.n[member]) column -= p.n[member++];
  Member<W> own = member == 0 ? m0 : member == 1 ? m1 : m2;
  bool inside = column < p.n[member]; // the whole warp
  Batch b = batch_of(p, t.group_z);
  float sum[R], up[R];
  UNROLL for (int r = 0; r < R; r++) sum[r] = up[r] = 0;
  if (p.stored && inside) {
    const int line = 128 / int(sizeof(W)); // of the L2 cache
    for (int i = line * lane; i < p.k; i += line * WARP) {
      prefetch(own.w + (long(column) * p.wColumn + i));
      if (p.gated) prefetch(m1.w + (long(column) * p.wColumn + i));
    }
  }
  inputs_ready();
  for (int k0 = 0; k0 < p.k; k0 += size) {
    int length = p.k - k0 < size ? p.k - k0 : size;
    if (k0 > 0) barrier(); // the last stage has been read
    for (int r = 0; r < p.m; r++) {
      GLOBAL(const float) row = x + (b.x + long(r) * p.k);
      Norm norm = norm_of(t, p.norm, p.eps, row, p.k, shared);
      for (int i = t.index; i < length; i += t.count) {
        float v = row[k0 + i];
        if (p.norm != NoNorm) v = (v - norm.mean) * norm.scale * load(norm_weight, p.normWeightType, k0 + i);
        if (p.norm == LayerNorm) v += load(norm_bias, p.normBiasType, k0 + i);
        if (p.roundNorm) v = to_float(to_bf16(v));
        xs[r * size + staged(i, size)] = v;
      }
    }
    barrier();
    if (!inside) continue;
    long at = b.w + long(column) * p.wColumn + k0;
    add_row<R>(p, own.w + at, length, lane, xs, sum);
    if (p.gated) add_row<R>(p, m1.w + at, length, lane, xs, up);
  }
  if (!inside) return;
  UNROLL for (int r = 0; r < R; r++) {
    float v = warp_sum(sum[r]), u = p.gated ? warp_sum(up[r]) : 0.0f;
    if (lane == r && r < p.m)
      own.y[b.y + long(r) * p.n[member] + column] =
          p.gated ? gate(p, v, u, column, m0.bias, m1.bias) : finish(p, v, r, column, member, own.bias, residual);
  }
}

// columns multiplies up to R rows of x by w [k, n]: a block takes WARP columns,
// of which each warp sums a share of k.
template <int R, class W>
DEVICE void columns(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, GLOBAL(const W) w, GLOBAL(const uchar) bias, GLOBAL(const float) residual,
                    GLOBAL(float) y, LOCAL(float) sums) {
  Batch b = batch_of(p, t.group_z);
  int lane = t.index % WARP, warp = t.index / WARP, warps = t.count / WARP, column = t.group_x * WARP + lane;
  float sum[R];
  UNROLL for (int r = 0; r < R; r++) sum[r] = 0;
  if (column < p.n[0])
    UNROLL_4 for (int k = warp; k < p.k; k += warps) {
      float e = number(w, b.w + long(k) * p.wRow + column);
      UNROLL for (int r = 0; r < R; r++)
        if (r < p.m) sum[r] += x[b.x + long(r) * p.k + k] * e;
    }
  UNROLL for (int r = 0; r < R; r++) sums[(warp * R + r) * WARP + lane] = sum[r];
  barrier();
  for (int r = warp; r < p.m && column < p.n[0]; r += warps) {
    float v = 0;
    for (int s = 0; s < warps; s++) v += sums[(s * R + r) * WARP + lane];
    y[b.y + long(r) * p.n[0] + column] = finish(p, v, r, column, 0, bias, residual);
  }
}

// A tile of the result is tile x tile, summed over depth elements of k at a time.
enum { tile = 64, depth = 16, padded = tile + 1 };

// tiles computes one tile a block; each of its 256 threads holds 4 x 4 sums.
template <class W>
DEVICE void tiles(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, GLOBAL(const W) w, GLOBAL(const uchar) bias, GLOBAL(const float) residual, GLOBAL(float) y, LOCAL(float) xt, LOCAL(float) wt) {
  Batch b = batch_of(p, t.group_z);
  int row0 = t.group_y * tile, column0 = t.group_x * tile;
  int r0 = t.index / 16 * 4, c0 = t.index % 16 * 4;
  float sum[4][4];
  UNROLL for (int r = 0; r < 4; r++)
    UNROLL for (int c = 0; c < 4; c++) sum[r][c] = 0;
  bool inside = row0 + r0 < p.m && column0 + c0 < p.n[0]; // of the result
  for (int k0 = 0; k0 < p.k; k0 += depth) {
    for (int i = t.index; i < tile * depth; i += t.count) {
      int k = i % depth, r = i / depth;
      xt[k * padded + r] = row0 + r < p.m && k0 + k < p.k ? x[b.x + long(row0 + r) * p.k + k0 + k] : 0.0f;
      int c = r;
      if (p.wRow != 1) { // neighbouring threads read neighbouring columns
        c = i % tile;
        k = i / tile;
      }
      wt[k * padded + c] = column0 + c < p.n[0] && k0 + k < p.k ? number(w, b.w + long(k0 + k) * p.wRow + long(column0 + c) * p.wColumn) : 0.0f;
    }
    barrier();
    UNROLL for (int k = 0; inside && k < depth; k++) {
      float a[4], e[4];
      UNROLL for (int i = 0; i < 4; i++) {
        a[i] = xt[k * padded + r0 + i];
        e[i] = wt[k * padded + c0 + i];
      }
      UNROLL for (int r = 0; r < 4; r++)
        UNROLL for (int c = 0; c < 4; c++) sum[r][c] += a[r] * e[c];
    }
    barrier();
  }
  UNROLL for (int r = 0; r < 4; r++)
    UNROLL for (int c = 0; c < 4; c++) {
      int row = row0 + r0 + r, column = column0 + c0 + c;
      if (row < p.m && column < p.n[0]) y[b.y + long(row) * p.n[0] + column] = finish(p, sum[r][c], row, column, 0, bias, residual);
    }
}

#define PRODUCT(name, W, ...)                                                                                        \
  KERNEL(name, ProductArgs, BUF(0, const float, x), BUF(1, const W, w0), BUF(2, const uchar, bias0), BUF(3, float, y0), \
         BUF(4, const float, residual), BUF(5, const uchar, norm_weight), BUF(6, const uchar, norm_bias),               \
         BUF(7, const W, w1), BUF(8, const uchar, bias1), BUF(9, float, y1),                                            \
         BUF(10, const W, w2), BUF(11, const uchar, bias2), BUF(12, float, y2)) {                                       \
    __VA_ARGS__                                                                                                        \
  }

#define VECTOR(R, W)                                                                                                   \
  PRODUCT(vector##R##_##W, W, SHARED(float, xs, stage_size); SHARED(float, shared, WARP);                              \
          Member<W> m0 = {w0, bias0, y0}; Member<W> m1 = {w1, bias1, y1}; Member<W> m2 = {w2, bias2, y2};              \
          vector<R>(EARLY_THREAD, args, x, m0, m1, m2, residual, norm_weight, norm_bias, xs, shared);)

// The 8 warps of a block of columns share R rows of sums.
#define COLUMNS(R, W)                                                                                                  \
  PRODUCT(columns##R##_##W, W, SHARED(float, sums, 8 * R * WARP); columns<R>(THREAD, args, x, w0, bias0, residual, y0, sums);)

#define PRODUCTS(W)                                                                                                    \
  VECTOR(1, W)                                                                                                         \
  VECTOR(4, W)                                                                                                         \
  VECTOR(16, W)                                                                                                        \
  COLUMNS(4, W)                                                                                                        \
  COLUMNS(16, W)                                                                                                       \
  PRODUCT(tiles_##W, W, SHARED(float, xt, depth *padded); SHARED(float, wt, depth *padded);                            \
          tiles(THREAD, args, x, w0, bias0, residual, y0, xt, wt);)

PRODUCTS(float)
PRODUCTS(bf16)
PRODUCTS(f16)

// patches gathers the inputs of each output position of a convolution, in the
// order of the kernel's elements: channel, row, column.
KERNEL(patches, PatchArgs, BUF(0, const float, x), BUF(1, float, y)) {
  const Thread t = THREAD;
  int size = args.channels * args.kernelHeight * args.kernelWidth;
  long at = long(t.group_x) * t.count + t.index;
  if (at >= long(args.outHeight) * args.outWidth * size) return;
  int place = int(at / size), i = int(at % size);
  int channel = i / (args.kernelHeight * args.kernelWidth), tap = i % (args.kernelHeight * args.kernelWidth);
  int row = place / args.outWidth * args.stride - args.padTop + tap / args.kernelWidth;
  int column = place % args.outWidth * args.stride - args.padLeft + tap % args.kernelWidth;
  bool inside = row >= 0 && row < args.height && column >= 0 && column < args.width;
  y[at] = inside ? x[(long(row) * args.width + column) * args.channels + channel] : 0.0f;
}
