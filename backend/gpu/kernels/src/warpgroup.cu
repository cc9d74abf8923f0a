// Products of many rows by warpgroups: four warps at a time multiply tiles that
// lie in shared memory, and a warp beside them keeps filling it, for the next
// tile too while they finish the last.
//
// Both operands are bf16: x in one term or three, as terms.h splits numbers,
// each a matrix of its own that follows the last. The blocks of a cluster have
// the same columns of tiles below each other: each brings a share of w for all.

#if WARPGROUP

// A box is what is copied at once: rows of a slab of k.
enum { deep = 64, box_rows = 64, box_bytes = 2 * deep * box_rows, group_threads = 4 * WARP };

// A warp's sums pass through shared memory in sheets of 16 rows. Small ones
// leave room for one more stage of tiles of G = 1 box of rows, whose stages are few.
template <int G> struct Sheet {
  enum { rows = 16, columns = G == 1 ? 32 : 64, pitch = columns + (G == 1 ? 8 : 4), size = rows * pitch };
};

// Part is a member of a product.
struct Part {
  const Boxes *w;
  GLOBAL(const uchar) bias;
  GLOBAL(float) y;
};

// Tile is what a block computes at a time.
struct Tile {
  int member, row, column, share, from, slabs;
};

// tiles_down is the number of tiles, of a cluster each, one below the other.
template <int G> DEVICE int tiles_down(ARGS(ProductArgs) p) {
  int rows = G * box_rows * p.cluster;
  return (p.m + rows - 1) / rows;
}

// tile_of finds a block's part of a cluster's tile i: G boxes of rows by so many
// columns of a member. A gated product has half as many columns of each of two.
template <int G> DEVICE Tile tile_of(ARGS(ProductArgs) p, int i, int rank, int columns) {
  int down = tiles_down<G>(p);
  Tile tile = {0, (i % down * p.cluster + rank) * G * box_rows, i / down % p.across, i / down / p.across, 0, 0};
  for (; !p.gated && tile.member < 2 && tile.column >= (p.n[tile.member] + columns - 1) / columns; tile.member++)
    tile.column -= (p.n[tile.member] + columns - 1) / columns;
  tile.column *= columns;
  tile.from = tile.share * p.span;
  int to = tile.from + p.span < p.k ? tile.from + p.span : p.k;
  tile.slabs = (to - tile.from + deep - 1) / deep;
  return tile;
}

// Ring goes round the stages in shared memory. Each has a gate that opens when
// it is full and, as many further on, one that opens when the cluster has read it.
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

// feed fills a stage for each slab of a tile: one thread's task. A stage holds
// the boxes of x, of each term G, and then those of w.
template <int TX, int TW, int G, int N>
DEVICE void feed(ARGS(ProductArgs) p, Tile tile, int rank, const Boxes &x, const Boxes &w, const Boxes &up, Ring &ring) {
  const int boxes = N / box_rows;
  for (int s = 0; s < tile.slabs; s++, Ring::turn(ring)) {
    LOCAL(ulong) full = Ring::full(ring);
    gate_wait(Ring::free(ring), ring.round + 1);
    gate_expect(full, ring.bytes);
    LOCAL(uchar) to = Ring::stage(ring);
    int k = tile.from + s * deep;
    ROLLED for (int i = 0; i < TX * G; i++) copy_box(to + i * box_bytes, x, k, i / G * p.m + tile.row + i % G * box_rows, full);
    ROLLED for (int i = rank; i < TW * boxes; i += p.cluster) {
      int box = i % boxes, row = i / boxes * p.n[tile.member] + tile.column;
      bool second = p.gated && box >= boxes / 2;
      row += (second ? box - boxes / 2 : box) * box_rows;
      share_box(to + (TX * G + i) * box_bytes, second ? up : w, k, row, full, p.cluster);
    }
  }
}

// release tells the feeders of all blocks of the cluster that a warp has read a stage.
DEVICE void release(Thread t, ARGS(ProductArgs) p, LOCAL(ulong) gate) {
  if (t.index % WARP < p.cluster) gate_arrive_of(gate, t.index % WARP);
}

// multiply adds up the tile's slabs, of which a warpgroup has 64 rows. What is
// more than one product is added up apart, slab by slab, as in terms.h.
template <int TX, int TW, int G, int N> DEVICE GroupSums<N> multiply(Thread t, ARGS(ProductArgs) p, int slabs, Ring &ring) {
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
    if (apart || s > 0) release(t, p, last); // this stage, or the one before
    last = Ring::free(ring);
    if (apart) UNROLL for (int i = 0; i < N / 2; i++) total.v[i] += sum.v[i];
  }
  group_wait<0>(sum);
  if (!apart && slabs > 0) release(t, p, last);
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

// biases are those of up to four columns.
DEVICE Four biases(GLOBAL(const uchar) bias, int dtype, int column, int left) {
  Four b = {{0, 0, 0, 0}};
  if (dtype) UNROLL for (int e = 0; e < 4; e++)
      if (e < left) b.v[e] = load(bias, dtype, column + e);
  return b;
}

// others are up to four elements of the tensor that is added.
DEVICE Four others(GLOBAL(const float) residual, long at, int left, bool wide) {
  Four o = {{0, 0, 0, 0}};
  if (wide) {
    Words4 w = words4(residual + at);
    UNROLL for (int e = 0; e < 4; e++) o.v[e] = as_float(w.w[e]);
  } else {
    UNROLL for (int e = 0; e < 4; e++)
      if (e < left) o.v[e] = residual[at + e];
  }
  return o;
}

// conclude finishes a tile's sums and stores them. A warp's pass through its
// sheet, so that lanes have columns that follow each other: some of each half of
// the tile at a time. Sums move down, so that the code for it is there once.
template <int G, int N>
DEVICE void conclude(Thread t, ARGS(ProductArgs) p, Tile tile, GroupSums<N> sum, Part own, Part gated, GLOBAL(const float) residual, GLOBAL(float) shares,
                     LOCAL(float) sheet) {
  const int half = Sheet<G>::columns / 2, pitch = Sheet<G>::pitch;
  int lane = t.index % WARP, g = lane / 4, four_of = lane % 4, n = p.n[tile.member], row0 = tile.row + t.index / WARP * Sheet<G>::rows;
  int lanes = p.gated ? half / 4 : Sheet<G>::columns / 4, at = lane % lanes * 4; // of a row
  ROLLED for (int first = 0; first < N / 2; first += half) {
    UNROLL for (int i = 0; i < Sheet<G>::columns / 4; i++) {
      int v = i < half / 4 ? 2 * i : N / 4 + 2 * i - half / 2;
      put2(sheet + (i % 2 * 8 + g) * pitch + i / 2 * 8 + 2 * four_of, sum.v[v], sum.v[v + 1]);
    }
    UNROLL for (int i = 0; i < N / 4 - half / 2; i++) {
      sum.v[i] = sum.v[i + half / 2];
      sum.v[N / 4 + i] = sum.v[N / 4 + i + half / 2];
    }
    warp_barrier();
    int column = tile.column + first + (at < half ? at : N / 2 + at - half), left = n - column;
    Four bias = biases(own.bias, p.biasType[tile.member], column, left), up_bias = bias;
    if (p.gated) up_bias = biases(gated.bias, p.biasType[1], column, left);
    ROLLED for (int r = lane / lanes; r < Sheet<G>::rows; r += WARP / lanes) {
      int row = row0 + r;
      if (row >= p.m || left <= 0) break;
      LOCAL(const float) from = sheet + r * pitch + at;
      Four v = four(from), second = v; // the other sum of a gated product, or what is added
      if (p.gated) second = four(from + half);
      long place = long(row) * n + column;
      if (p.splits > 1) {
        put(shares, share_place(p, tile.share, tile.member, row, column), v, left, p.wide);
        if (p.gated) put(shares, share_place(p, tile.share, 1, row, column), second, left, p.wide);
        continue;
      }
      if (p.addResidual) second = others(residual, place, left, p.wide);
      UNROLL for (int e = 0; e < 4; e++)
        v.v[e] = p.gated ? combine_gated(p, v.v[e] + bias.v[e], second.v[e] + up_bias.v[e]) : combine(p, v.v[e] + bias.v[e], second.v[e]);
      put(own.y, place, v, left, p.wide);
    }
    warp_barrier(); // the sheet has been read
  }
}

template <int TX, int TW, int G, int N>
DEVICE void groups(Thread t, ARGS(ProductArgs) p, const Boxes &x, Part m0, Part m1, Part m2, GLOBAL(const float) residual, GLOBAL(float) shares, LOCAL(uchar) shared) {
  const int bytes = (TX * G + TW * (N / box_rows)) * box_bytes, columns = p.gated ? N / 2 : N;
  LOCAL(float) sheets = (LOCAL(float))(shared + p.stages * bytes);
  Ring ring = {shared, (LOCAL(ulong))(sheets + 4 * G * Sheet<G>::size), p.stages, bytes, 0, 0};
  if (t.index == 0) {
    for (int i = 0; i < p.stages; i++) {
      gate_init(ring.gates + i, 1);
      gate_init(ring.gates + p.stages + i, 4 * G * p.cluster);
    }
    gates_ready();
  }
  gates_barrier();
  inputs_ready();
  int rank = t.group_x % p.cluster, first = t.group_x / p.cluster, tiles = tiles_down<G>(p) * p.across * p.splits;
  if (t.index < G * group_threads)
    for (int i = first; i < tiles; i += p.step) {
      Tile tile = tile_of<G>(p, i, rank, columns);
      Part own = tile.member == 0 ? m0 : tile.member == 1 ? m1 : m2;
      GroupSums<N> sum = multiply<TX, TW, G, N>(t, p, tile.slabs, ring);
      conclude<G, N>(t, p, tile, sum, own, m1, residual, shares, sheets + t.index / WARP * Sheet<G>::size);
    }
  else if (t.index == G * group_threads)
    for (int i = first; i < tiles; i += p.step) {
      Tile tile = tile_of<G>(p, i, rank, columns);
      feed<TX, TW, G, N>(p, tile, rank, x, *(tile.member == 0 ? m0 : tile.member == 1 ? m1 : m2).w, *m1.w, ring);
    }
  cluster_barrier(); // no block ends whose gates others may open
}

#define GROUPS(name, BLOCKS, TX, TW, G, N)                                                                                                    \
  BOUNDED(G *group_threads + WARP, BLOCKS, name, ProductArgs, BOXES(0, x), BOXES(1, w0), BUF(2, const uchar, bias0), BUF(3, float, y0),       \
          BUF(4, const float, residual), BUF(5, float, shares), BOXES(6, w1), BUF(7, const uchar, bias1), BUF(8, float, y1), BOXES(9, w2),    \
          BUF(10, const uchar, bias2), BUF(11, float, y2)) {                                                                                  \
    TILES(shared);                                                                                                                            \
    Part m0 = {&w0, bias0, y0}; Part m1 = {&w1, bias1, y1}; Part m2 = {&w2, bias2, y2};                                                        \
    groups<TX, TW, G, N>(EARLY_THREAD, args, x, m0, m1, m2, residual, shares, shared);                                                              \
  }

// The names hold the terms of x and of w, and the tile's rows and columns.
GROUPS(group11_128_256, 1, 1, 1, 2, 256)
GROUPS(group11_128_128, 1, 1, 1, 2, 128)
GROUPS(group11_64_128, 2, 1, 1, 1, 128)
GROUPS(group31_128_128, 1, 3, 1, 2, 128)
GROUPS(group31_64_128, 1, 3, 1, 1, 128)
GROUPS(group33_128_128, 1, 3, 3, 2, 128)
GROUPS(group33_64_128, 1, 3, 3, 1, 128)

#endif
