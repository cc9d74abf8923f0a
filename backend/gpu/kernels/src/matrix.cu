// Products of many rows on matrix units.

#if MATRIX

// matrices computes one tile a block: WM x WN warps of MT x NT pieces of 16 x 8.
// The columns of two members that are gated take turns, eight by eight.
template <int TX, class W, int MT, int NT, int WM, int WN, int Stages>
DEVICE void matrices(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, Member<W> m0, Member<W> m1, Member<W> m2, GLOBAL(const float) residual,
                     GLOBAL(float) shares, LOCAL(uchar) shared) {
  const int rows = 16 * MT * WM, columns = 8 * NT * WN, threads = WARP * WM * WN;
  const int x_chunks = 8, w_chunks = 2 * int(sizeof(W)), w_chunk = 16 / int(sizeof(W)); // of a row
  LOCAL(float) xs = (LOCAL(float))shared;
  LOCAL(W) ws = (LOCAL(W))(xs + Stages * rows * slab);

  int width = p.gated ? columns / 2 : columns, at = t.group_x, member = 0;
  for (; !p.gated && member < 2 && at >= (p.n[member] + width - 1) / width; member++) at -= (p.n[member] + width - 1) / width;
  Member<W> own = member == 0 ? m0 : member == 1 ? m1 : m2;
  int row0 = t.group_y * rows, column0 = at * width, n = p.n[member];
  int from = t.group_z * p.span, to = from + p.span < p.k ? from + p.span : p.k;
  int slabs = (to - from + slab - 1) / slab;

  int warp = t.index / WARP, g = t.index % WARP / 4, four = t.index % 4;
  int warp_row = warp / WN * MT * 16, warp_column = warp % WN * NT * 8;
  Four sum[MT][NT];
  UNROLL for (int i = 0; i < MT; i++)
    UNROLL for (int j = 0; j < NT; j++) sum[i][j] = Four{{0, 0, 0, 0}};

  for (int s = 1 - Stages; s < slabs; s++) {
    if (s >= 0) {
      copies_wait<Stages - 2>();
      barrier();
    }
    int next = s + Stages - 1, k0 = from + next * slab;
    if (next < slabs) {
      LOCAL(float) xt = xs + next % Stages * rows * slab;
      UNROLL for (int i = t.index; i < rows * x_chunks; i += threads) {
        int row = i / x_chunks, chunk = i % x_chunks, k = k0 + 4 * chunk;
        bool inside = row0 + row < p.m && k < to;
        copy16(xt + row * slab + chunk_place(xt, row, chunk), x + (inside ? (row0 + row) * p.k + k : 0), inside);
      }
      LOCAL(W) wt = ws + next % Stages * columns * slab;
      UNROLL for (int i = t.index; i < columns * w_chunks; i += threads) {
        int row = i / w_chunks, chunk = i % w_chunks, k = k0 + w_chunk * chunk;
        int column = column0 + (p.gated ? row / 16 * 8 + row % 8 : row);
        bool inside = column < n && k < to;
        GLOBAL(const W) w = p.gated && row & 8 ? m1.w : own.w;
        copy16(wt + row * slab + chunk_place(wt, row, chunk), w + (inside ? column * p.k + k : 0), inside);
      }
    }
    copies_end();
    if (s < 0 || row0 + warp_row >= p.m) continue; // the whole warp
    LOCAL(const float) xt = xs + s % Stages * rows * slab + warp_row * slab;
    LOCAL(const W) wt = ws + s % Stages * columns * slab + warp_column * slab;
    Terms<TermsOf<W>::count> b[NT];
    UNROLL for (int j = 0; j < NT; j++) b[j] = terms<TermsOf<W>::count>(wt, 8 * j + g, four);
    UNROLL for (int i = 0; i < MT; i++) {
      if (i > 0 && row0 + warp_row + 16 * i >= p.m) continue;
      Terms<TX> low = terms<TX>(xt, 16 * i + g, four), high = terms<TX>(xt, 16 * i + 8 + g, four);
      UNROLL for (int j = 0; j < NT; j++) add_slab(sum[i][j], low, high, b[j]);
    }
  }

  // The sums pass through shared memory, so that neighbouring threads finish
  // neighbouring columns and the code for it is there once.
  const int pitch = columns + 8; // no two threads of eight meet in a bank
  LOCAL(float) tile = (LOCAL(float))shared;
  barrier();
  UNROLL for (int i = 0; i < MT; i++)
    UNROLL for (int j = 0; j < NT; j++)
      UNROLL for (int e = 0; e < 4; e++) tile[(warp_row + 16 * i + 8 * (e / 2) + g) * pitch + warp_column + 8 * j + 2 * four + e % 2] = sum[i][j].v[e];
  barrier();
  for (int i = t.index; i < rows * width; i += threads) {
    int r = i / width, c = i % width, row = row0 + r, column = column0 + c;
    if (row >= p.m || column >= n) continue;
    LOCAL(const float) v = tile + r * pitch + (p.gated ? c / 8 * 16 + c % 8 : c);
    if (p.splits > 1) {
      shares[share_place(p, t.group_z, member, row, column)] = v[0];
      if (p.gated) shares[share_place(p, t.group_z, 1, row, column)] = v[8];
    } else {
      own.y[long(row) * n + column] = p.gated ? gate(p, v[0], v[8], column, m0.bias, m1.bias) : finish(p, v[0], row, column, member, own.bias, residual);
    }
  }
}

#define MATRICES(name, BLOCKS, TX, W, MT, NT, WM, WN, STAGES)                                                                      \
  BOUNDED(WARP *WM *WN, BLOCKS, name, ProductArgs, BUF(0, const float, x), BUF(1, const W, w0), BUF(2, const uchar, bias0), BUF(3, float, y0), \
          BUF(4, const float, residual), BUF(5, float, shares), BUF(6, const W, w1), BUF(7, const uchar, bias1), BUF(8, float, y1),  \
          BUF(9, const W, w2), BUF(10, const uchar, bias2), BUF(11, float, y2)) {                                                  \
    DYNAMIC(shared);                                                                                                               \
    Member<W> m0 = {w0, bias0, y0}; Member<W> m1 = {w1, bias1, y1}; Member<W> m2 = {w2, bias2, y2};                                 \
    matrices<TX, W, MT, NT, WM, WN, STAGES>(THREAD, args, x, m0, m1, m2, residual, shares, shared);                                \
  }

// Small tiles are 64 x 64, large ones, of the commoner types, 128 x 128. The number before the weights'
// type is that of the terms of x.
MATRICES(small1_float, 3, 1, float, 2, 4, 2, 2, 4)
MATRICES(small3_float, 3, 3, float, 2, 4, 2, 2, 4)
MATRICES(small1_bf16, 4, 1, bf16, 2, 4, 2, 2, 4)
MATRICES(small3_bf16, 3, 3, bf16, 2, 4, 2, 2, 4)
MATRICES(small3_f16, 3, 3, f16, 2, 4, 2, 2, 4)
MATRICES(large3_float, 1, 3, float, 4, 4, 2, 4, 3)
MATRICES(large1_bf16, 2, 1, bf16, 4, 4, 2, 4, 4)
MATRICES(large3_bf16, 1, 3, bf16, 4, 4, 2, 4, 4)

// shares_sum adds up the shares of k and finishes the products.
KERNEL(shares_sum, ProductArgs, BUF(0, const float, shares), BUF(1, const uchar, bias0), BUF(2, float, y0), BUF(3, const float, residual),
       BUF(4, const uchar, bias1), BUF(5, float, y1), BUF(6, const uchar, bias2), BUF(7, float, y2)) {
  const Thread t = THREAD;
  int i = element_of(t), member = 0;
  while (member < 2 && (args.gated ? 0 : i >= args.m * args.n[member])) i -= args.m * args.n[member++];
  int n = args.n[member], row = n == 0 ? 0 : i / n, column = n == 0 ? 0 : i % n;
  if (n == 0 || row >= args.m) return;
  float v = 0, up = 0;
  for (int s = 0; s < args.splits; s++) {
    v += shares[share_place(args, s, member, row, column)];
    if (args.gated) up += shares[share_place(args, s, 1, row, column)];
  }
  GLOBAL(float) y = member == 0 ? y0 : member == 1 ? y1 : y2;
  GLOBAL(const uchar) bias = member == 0 ? bias0 : member == 1 ? bias1 : bias2;
  y[i] = args.gated ? gate(args, v, up, column, bias0, bias1) : finish(args, v, row, column, member, bias, residual);
}

#endif
