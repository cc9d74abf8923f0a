// Products of many rows by warpgroups: four warps at a time multiply tiles that
// lie in shared memory, and a warp beside them keeps filling it.
//
// Both operands are bf16: x in one term or three, as terms.h splits numbers,
// each a matrix of its own that follows the last.

#if WARPGROUP

// A box is what is copied at once: rows of a slab of k.
enum { deep = 64, box_rows = 64, box_bytes = 2 * deep * box_rows, group_threads = 4 * WARP };

// Part is a member of a product.
struct Part {
  const Boxes *w;
  GLOBAL(const uchar) bias;
  GLOBAL(float) y;
};

// Tile is what a block computes.
struct Tile {
  int member, row, column, from, slabs;
};

// tile_of finds a block's tile, G boxes of rows by so many columns of a member.
// A gated product has half as many columns of each of two.
template <int G> DEVICE Tile tile_of(Thread t, ARGS(ProductArgs) p, int columns) {
  Tile tile = {0, t.group_y * G * box_rows, t.group_x, t.group_z * p.span, 0};
  for (; !p.gated && tile.member < 2 && tile.column >= (p.n[tile.member] + columns - 1) / columns; tile.member++)
    tile.column -= (p.n[tile.member] + columns - 1) / columns;
  tile.column *= columns;
  int to = tile.from + p.span < p.k ? tile.from + p.span : p.k;
  tile.slabs = (to - tile.from + deep - 1) / deep;
  return tile;
}

// Ring goes round the stages in shared memory. Each has a gate that opens when
// it is full and, as many further on, one that opens when it is free.
struct Ring {
  LOCAL(uchar) memory;
  LOCAL(ulong) gates;
  int stages, bytes, slot;
  uint round;
  DEVICE LOCAL(uchar) stage(const Ring &r) { return r.memory + r.slot * r.bytes; }
  DEVICE LOCAL(ulong) full(const Ring &r) { return r.gates + r.slot; }
  DEVICE LOCAL(ulong) free(const Ring &r) { return r.gates + r.stages + r.slot; }
  DEVICE void turn(Ring &r) {
    if (++r.slot < r.stages) return;
    r.slot = 0;
    r.round++;
  }
};

// feed keeps the stages full: one thread's task. A stage holds the boxes of x,
// of each term G, and then those of w.
template <int TX, int TW, int G, int N> DEVICE void feed(ARGS(ProductArgs) p, Tile tile, const Boxes &x, const Boxes &w, const Boxes &up, Ring ring) {
  const int boxes = N / box_rows;
  for (int s = 0; s < tile.slabs; s++, Ring::turn(ring)) {
    gate_wait(Ring::free(ring), ring.round + 1);
    gate_expect(Ring::full(ring), ring.bytes);
    LOCAL(uchar) to = Ring::stage(ring);
    int k = tile.from + s * deep;
    UNROLL for (int i = 0; i < TX * G; i++, to += box_bytes) copy_box(to, x, k, i / G * p.m + tile.row + i % G * box_rows, Ring::full(ring));
    UNROLL for (int i = 0; i < TW * boxes; i++, to += box_bytes) {
      int box = i % boxes, row = i / boxes * p.n[tile.member] + tile.column;
      if (p.gated && box >= boxes / 2)
        copy_box(to, up, k, row + (box - boxes / 2) * box_rows, Ring::full(ring));
      else
        copy_box(to, w, k, row + box * box_rows, Ring::full(ring));
    }
  }
}

// multiply adds up the tile's slabs, of which a warpgroup has 64 rows. What is
// more than one product is added up apart, slab by slab, as in terms.h.
template <int TX, int TW, int G, int N> DEVICE GroupSums<N> multiply(Thread t, int slabs, Ring ring) {
  const bool apart = TX * TW > 1;
  const int boxes = N / box_rows, least = TX + TW - 2 < 2 ? TX + TW - 2 : 2;
  GroupSums<N> sum, total;
  UNROLL for (int i = 0; i < N / 2; i++) sum.v[i] = total.v[i] = 0;
  LOCAL(ulong) last = Ring::free(ring);
  for (int s = 0; s < slabs; s++, Ring::turn(ring)) {
    gate_wait(Ring::full(ring), ring.round);
    LOCAL(uchar) xs = Ring::stage(ring);
    ulong a = box_descriptor(xs + t.index / group_threads * box_bytes), b = box_descriptor(xs + TX * G * box_bytes);
    bool add = !apart && s > 0;
    group_begin(sum);
    UNROLL for (int both = least; both >= 0; both--) // the smallest first
      UNROLL for (int i = 0; i < TX; i++)
        UNROLL for (int j = 0; j < TW; j++)
          if (i + j == both)
            UNROLL for (int k = 0; k < 2 * deep; k += 32) {
              group_multiply(sum, a + (i * G * box_bytes + k) / 16, b + (j * boxes * box_bytes + k) / 16, add);
              add = true;
            }
    group_end();
    group_wait<apart ? 0 : 1>(sum);
    if (apart) last = Ring::free(ring);
    if ((apart || s > 0) && t.index % WARP == 0) gate_arrive(last); // this stage, or the one before, has been read
    last = Ring::free(ring);
    if (apart) UNROLL for (int i = 0; i < N / 2; i++) total.v[i] += sum.v[i];
  }
  group_wait<0>(sum);
  return apart ? total : sum;
}

// put stores up to four numbers of a row.
DEVICE void put(GLOBAL(float) y, long at, Four v, int left, bool wide) {
  if (wide)
    put4(y + at, v);
  else
    UNROLL for (int e = 0; e < 4; e++)
      if (e < left) y[at + e] = v.v[e];
}

// conclude finishes a tile's sums and stores them. They pass through shared
// memory, so that a thread has columns that follow each other.
template <int G, int N>
DEVICE void conclude(Thread t, ARGS(ProductArgs) p, Tile tile, const GroupSums<N> &sum, Part own, Part gated, GLOBAL(const float) residual, GLOBAL(float) shares,
                     LOCAL(float) rows) {
  const int pitch = N + 8; // no two threads of a half warp meet in a bank
  int warp = t.index / WARP, g = t.index % WARP / 4, four_of = t.index % 4;
  barrier_of(G * group_threads); // the stages have been read
  UNROLL for (int i = 0; i < N / 4; i++)
    put2(rows + (16 * warp + i % 2 * 8 + g) * pitch + i / 2 * 8 + 2 * four_of, sum.v[2 * i], sum.v[2 * i + 1]);
  barrier_of(G * group_threads);
  int width = p.gated ? N / 2 : N, n = p.n[tile.member];
  for (int i = 4 * t.index; i < G * box_rows * width; i += 4 * G * group_threads) {
    int r = i / width, row = tile.row + r, column = tile.column + i % width, left = n - column;
    if (row >= p.m || left <= 0) continue;
    LOCAL(const float) at = rows + r * pitch + i % width;
    Four v = four(at), up = p.gated ? four(at + N / 2) : v;
    if (p.splits > 1) {
      put(shares, share_place(p, t.group_z, tile.member, row, column), v, left, p.wide);
      if (p.gated) put(shares, share_place(p, t.group_z, 1, row, column), up, left, p.wide);
      continue;
    }
    UNROLL for (int e = 0; e < 4; e++)
      if (e < left)
        v.v[e] = p.gated ? gate(p, v.v[e], up.v[e], column + e, own.bias, gated.bias)
                         : finish(p, v.v[e], row, column + e, tile.member, own.bias, residual);
    put(own.y, long(row) * n + column, v, left, p.wide);
  }
}

template <int TX, int TW, int G, int N>
DEVICE void groups(Thread t, ARGS(ProductArgs) p, const Boxes &x, Part m0, Part m1, Part m2, GLOBAL(const float) residual, GLOBAL(float) shares, LOCAL(uchar) shared) {
  Tile tile = tile_of<G>(t, p, p.gated ? N / 2 : N);
  Part own = tile.member == 0 ? m0 : tile.member == 1 ? m1 : m2;
  const int bytes = (TX * G + TW * (N / box_rows)) * box_bytes;
  Ring ring = {shared, (LOCAL(ulong))(shared + p.stages * bytes), p.stages, bytes, 0, 0};
  if (t.index == 0) {
    for (int i = 0; i < p.stages; i++) {
      gate_init(ring.gates + i, 1);
      gate_init(ring.gates + p.stages + i, 4 * G);
    }
    gates_ready();
  }
  barrier();
  if (t.index >= G * group_threads) {
    if (t.index == G * group_threads) feed<TX, TW, G, N>(p, tile, x, *own.w, *m1.w, ring);
    return;
  }
  GroupSums<N> sum = multiply<TX, TW, G, N>(t, tile.slabs, ring);
  conclude<G, N>(t, p, tile, sum, own, m1, residual, shares, (LOCAL(float))shared);
}

#define GROUPS(name, BLOCKS, TX, TW, G, N)                                                                                                    \
  BOUNDED(G *group_threads + WARP, BLOCKS, name, ProductArgs, BOXES(0, x), BOXES(1, w0), BUF(2, const uchar, bias0), BUF(3, float, y0),       \
          BUF(4, const float, residual), BUF(5, float, shares), BOXES(6, w1), BUF(7, const uchar, bias1), BUF(8, float, y1), BOXES(9, w2),    \
          BUF(10, const uchar, bias2), BUF(11, float, y2)) {                                                                                  \
    TILES(shared);                                                                                                                            \
    Part m0 = {&w0, bias0, y0}; Part m1 = {&w1, bias1, y1}; Part m2 = {&w2, bias2, y2};                                                        \
    groups<TX, TW, G, N>(THREAD, args, x, m0, m1, m2, residual, shares, shared);                                                              \
  }

// The names hold the terms of x and of w, and the tile's rows and columns.
GROUPS(group11_128_256, 1, 1, 1, 2, 256)
GROUPS(group11_128_128, 2, 1, 1, 2, 128)
GROUPS(group11_64_128, 2, 1, 1, 1, 128)
GROUPS(group31_128_128, 1, 3, 1, 2, 128)
GROUPS(group31_64_128, 1, 3, 1, 1, 128)
GROUPS(group33_128_128, 1, 3, 3, 2, 128)
GROUPS(group33_64_128, 1, 3, 3, 1, 128)

#endif
