// Matrix products with f32 sums, and what finishes them.

enum { NoCombine, AddResidual, MultiplyResidual };

// Batch is where the operands of one product of a batch begin.
struct Batch {
  long x, w, y;
};

DEVICE Batch batch_of(ARGS(ProductArgs) p, int z) {
  Batch b = {0, 0, long(z) * p.m * p.n};
  for (int d = 3; d >= 0; d--) {
    int i = z % p.batch[d];
    z /= p.batch[d];
    b.x += long(i) * p.xBatch[d];
    b.w += long(i) * p.wBatch[d];
  }
  return b;
}

// finish applies bias and activation to a sum and combines it with another tensor.
DEVICE float finish(ARGS(ProductArgs) p, float v, int row, int column, GLOBAL(const uchar) bias, GLOBAL(const float) residual) {
  if (p.biasType) v += load(bias, p.biasType, column);
  v = activate(p.activation, v);
  long at = long(row) * p.n + column;
  if (p.combine == AddResidual) return residual[at] + v;
  if (p.combine == MultiplyResidual) return residual[at] * v;
  return v;
}

// vector multiplies up to R rows of x by one row of w a warp, w [n, k].
template <int R, class W>
DEVICE void vector(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, GLOBAL(const W) w, GLOBAL(const uchar) bias, GLOBAL(const float) residual, GLOBAL(float) y) {
  int column = (t.group_x * t.count + t.index) / WARP, lane = t.index % WARP;
  if (column >= p.n) return; // the whole warp
  Batch b = batch_of(p, t.group_z);
  int first = t.group_y * R;
  float sum[R];
  int from[R]; // of each row; rows past the last repeat it
  UNROLL for (int r = 0; r < R; r++) {
    sum[r] = 0;
    from[r] = (first + r < p.m ? first + r : p.m - 1) * p.k;
  }
  GLOBAL(const float) xs = x + b.x;
  GLOBAL(const W) ws = w + (b.w + long(column) * p.wColumn);
  if (p.wide) {
    UNROLL_4 for (int i = 8 * lane; i < p.k; i += 8 * WARP) {
      Eight e = load8(ws + i);
      UNROLL for (int r = 0; r < R; r++) {
        Eight f = load8(xs + (from[r] + i));
        UNROLL for (int j = 0; j < 8; j++) sum[r] += e.v[j] * f.v[j];
      }
    }
  } else {
    for (int i = lane; i < p.k; i += WARP) {
      float e = to_float(ws[i]);
      UNROLL for (int r = 0; r < R; r++) sum[r] += e * xs[from[r] + i];
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    float v = warp_sum(sum[r]);
    if (lane == r && first + r < p.m) y[b.y + long(first + r) * p.n + column] = finish(p, v, first + r, column, bias, residual);
  }
}

// A tile of the result is tile x tile, summed over depth elements of k at a time.
const int tile = 64, depth = 16, padded = tile + 1;

// tiles computes one tile a block; each of its 256 threads holds 4 x 4 sums.
template <class W>
DEVICE void tiles(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, GLOBAL(const W) w, GLOBAL(const uchar) bias, GLOBAL(const float) residual, GLOBAL(float) y, LOCAL(float) xt, LOCAL(float) wt) {
  Batch b = batch_of(p, t.group_z);
  int row0 = t.group_y * tile, column0 = t.group_x * tile;
  int r0 = t.index / 16 * 4, c0 = t.index % 16 * 4;
  float sum[4][4];
  UNROLL for (int r = 0; r < 4; r++)
    UNROLL for (int c = 0; c < 4; c++) sum[r][c] = 0;
  bool inside = row0 + r0 < p.m && column0 + c0 < p.n; // of the result
  for (int k0 = 0; k0 < p.k; k0 += depth) {
    for (int i = t.index; i < tile * depth; i += t.count) {
      int k = i % depth, r = i / depth;
      xt[k * padded + r] = row0 + r < p.m && k0 + k < p.k ? x[b.x + long(row0 + r) * p.k + k0 + k] : 0.0f;
      int c = r;
      if (p.wRow != 1) { // neighbouring threads read neighbouring columns
        c = i % tile;
        k = i / tile;
      }
      wt[k * padded + c] = column0 + c < p.n && k0 + k < p.k ? to_float(w[b.w + long(k0 + k) * p.wRow + long(column0 + c) * p.wColumn]) : 0.0f;
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
      if (row < p.m && column < p.n) y[b.y + long(row) * p.n + column] = finish(p, sum[r][c], row, column, bias, residual);
    }
}

#define PRODUCT(name, W, ...)                                                                                                  \
  KERNEL(name, ProductArgs, BUF(0, const float, x), BUF(1, const W, w), BUF(2, const uchar, bias), BUF(3, const float, residual), BUF(4, float, y)) { \
    __VA_ARGS__                                                                                                                \
  }

#define PRODUCTS(W)                                                                            \
  PRODUCT(vector1_##W, W, vector<1>(THREAD, args, x, w, bias, residual, y);)                   \
  PRODUCT(vector4_##W, W, vector<4>(THREAD, args, x, w, bias, residual, y);)                   \
  PRODUCT(vector16_##W, W, vector<16>(THREAD, args, x, w, bias, residual, y);)                 \
  PRODUCT(tiles_##W, W, SHARED(float, xt, depth *padded); SHARED(float, wt, depth *padded);    \
          tiles(THREAD, args, x, w, bias, residual, y, xt, wt);)

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
