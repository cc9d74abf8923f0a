// Matrix-vector products whose weights stream through shared memory.
//
// A warp of its own, the feeder, walks all that the block reads, weights and
// cached keys and values, in the order of their use and keeps a ring of tiles
// full with bulk copies. It waits for no other block, so that they keep coming
// while the others wait for each other's numbers. All multiplying warps see every tile in order, in which
// they wait for it and free it, so that a gate's one bit of parity is enough.

enum { THREADS = WARPS * WARP, TERMS = ROUNDED ? 1 : 3 }; // of bf16 to a number of x

// Product is the shape of one phase's products: each block takes an even share
// of rows of K elements. With two Members, rows of two weights meet in one result.
template <int Rows, int Columns, int Split, int Members> struct Product {
  enum {
    rows = Rows,
    k = Columns,
    split = Split, // warps that share the columns of a row
    members = Members,
    pairs = Members == 2 ? Rows : (Rows + 1) / 2, // of rows: what a warp multiplies at a time
    row_bytes = 2 * Columns,
    tile_rows = TILE / row_bytes, // 0: a row takes several tiles
    row_tiles = tile_rows > 0 ? 1 : (row_bytes + TILE - 1) / TILE,
    steps = (Columns + 8 * WARP - 1) / (8 * WARP), // a lane takes 8 elements in each
    slice = (steps + Split - 1) / Split,           // steps of a warp
    held = slice * TERMS <= 16,                    // x stays in registers
    ragged = slice * Split * 8 * WARP != Columns,  // some lanes have columns past the last
    groups = WARPS / Split,                        // of warps, each with pairs of its own
    unit = Members == 2 ? 1 : 2,                   // rows of a member in a pair
    most = (pairs + BLOCKS - 1) / BLOCKS,          // pairs of a block
    turns = (most + groups - 1) / groups,
    span = Members * (tile_rows > 0 ? most * unit / (tile_rows > 0 ? int(tile_rows) : 1) + 1 : most * unit * row_tiles), // tiles of a block
    batch = turns <= 4 && span + 4 <= SLOTS ? int(turns) : 1 // pairs at a time: all, if the ring holds them and more
  };
};

// Share is a block's part of a phase.
struct Share {
  int from, to;
};

template <class P> DEVICE Share share_of(int block) {
  int unit = P::members == 2 ? 1 : 2;
  int from = unit * int(long(block) * P::pairs / BLOCKS), to = unit * int(long(block + 1) * P::pairs / BLOCKS);
  return Share{from, to < P::rows ? to : int(P::rows)};
}

// within is the part of a share that lies in rows first..first+count-1 of it.
DEVICE Share within(Share s, int first, int count) {
  int from = s.from - first, to = s.to - first;
  from = from < 0 ? 0 : from;
  to = to > count ? count : to;
  return Share{from, to < from ? from : to};
}

template <class P> DEVICE int tiles_of(int rows) {
  if (P::tile_rows == 0) return rows * P::row_tiles * P::members;
  const int n = P::tile_rows > 0 ? int(P::tile_rows) : 1;
  return (rows + n - 1) / n * P::members;
}

// Ring is the tiles and, for each, the gate that opens when it is full and the one
// that opens when it is empty.
struct Ring {
  LOCAL(uchar) tiles;
  LOCAL(ulong) full;
  LOCAL(ulong) empty;
  uint seen, freed; // the feeder: tiles that were filled; others: that were waited for, and left
  uint pace;        // the feeder: tiles on their way at most, or 0
};

// push fills the ring's next tile, once it is empty and the tiles up to the pace-th before it have come.
DEVICE void push(Ring &r, GLOBAL(const uchar) from, int bytes) {
  int slot = r.seen % SLOTS;
  gate_wait(r.empty + slot, r.seen / SLOTS + 1);
  if (r.pace > 0 && r.seen >= r.pace) gate_wait(r.full + (r.seen - r.pace) % SLOTS, (r.seen - r.pace) / SLOTS);
  gate_expect(r.full + slot, bytes);
  bulk_copy(r.tiles + slot * TILE, from, bytes, r.full + slot);
  r.seen++;
}

// feed fills tiles with consecutive rows of one weight, or of two by turns.
template <class P> DEVICE void feed(Ring &r, ulong a, ulong b, Share s) {
  long size = long(s.to) * P::row_bytes;
  GLOBAL(const uchar) first = at_address<const uchar>(a, size);
  GLOBAL(const uchar) second = at_address<const uchar>(b, size);
  const int rows = P::tile_rows > 0 ? int(P::tile_rows) : 1;
  ROLLED for (int row = s.from; row < s.to; row += rows)
    ROLLED for (int part = 0; part < P::row_tiles; part++) {
      long at = long(row) * P::row_bytes + part * TILE;
      int bytes = (row + rows < s.to ? rows : s.to - row) * P::row_bytes - part * TILE;
      if (bytes > TILE) bytes = TILE;
      push(r, first + at, bytes);
      if (P::members == 2) push(r, second + at, bytes);
    }
}

// await waits until the tiles before n are full, of which it asks for several at a time; release leaves them, seen or not.
DEVICE void await(Ring &r, uint n) {
  enum { several = 4 };
  if (r.seen >= n) return;
  ROLLED for (uint first = r.seen; first < n; first += several) {
    bool open;
    do {
      open = true;
      UNROLL for (uint i = 0; i < several; i++)
        if (first + i < n) open &= gate_open(r.full + (first + i) % SLOTS, (first + i) / SLOTS);
    } while (!open);
  }
  r.seen = n;
}

DEVICE void release(Ring &r, uint n, int lane) {
  if (r.freed >= n) return;
  await(r, n);
  warp_barrier(); // all lanes have read them
  ROLLED for (; r.freed < n; r.freed++)
    if (lane == 0) gate_arrive(r.empty + r.freed % SLOTS);
}

DEVICE LOCAL(uchar) tile_of(const Ring &r, int tile) { return r.tiles + uint(tile) % SLOTS * TILE; }

// Weights finds elements of a member's row in the ring; base is its part's first tile.
template <class P> DEVICE int tile_at(int base, int row, int member, int column) {
  if (P::tile_rows == 0) return base + (row * P::row_tiles + 2 * column / TILE) * P::members + member;
  const int n = P::tile_rows > 0 ? int(P::tile_rows) : 1;
  return base + uint(row) / n * P::members + member;
}

template <class P> DEVICE Words4 weights_at(const Ring &r, int base, int row, int member, int column) {
  if (P::ragged && column >= P::k) return Words4{{0, 0, 0, 0}};
  const int n = P::tile_rows > 0 ? int(P::tile_rows) : 1;
  int at = P::tile_rows == 0 ? 2 * column % TILE : uint(row) % n * P::row_bytes + 2 * column;
  return local4(tile_of(r, tile_at<P>(base, row, member, column)) + at);
}

// Vector is x in shared memory, TERMS times k numbers in bf16 whose sums over the
// terms are x, and a warp's part of it in registers if it fits.
template <class P> struct Vector {
  LOCAL(const uchar) shared;
  Words4 own[P::held ? P::slice * TERMS : 1];
};

template <class P> DEVICE Words4 vector_at(LOCAL(const uchar) shared, int term, int column) {
  if (P::ragged && column >= P::k) return Words4{{0, 0, 0, 0}};
  return local4(shared + term * P::row_bytes + 2 * column);
}

template <class P> DEVICE Vector<P> hold(LOCAL(const uchar) shared, int slice, int lane) {
  Vector<P> x;
  x.shared = shared;
  if (P::held) {
    UNROLL for (int i = 0; i < P::slice * TERMS; i++)
      x.own[i] = vector_at<P>(shared, i % TERMS, ((i / TERMS * P::split + slice) * WARP + lane) * 8);
  }
  return x;
}

// Sums are partial sums in the layout of matrix_add, several so that no
// multiplication waits for the last.
enum { CHAINS = TERMS == 1 ? 4 : 2 * TERMS };
struct Sums2 {
  Four c[CHAINS];
};

// add multiplies 8 columns a lane of two rows by x. The lanes of a row of a
// and of a column of b hold the same columns, so the diagonal of c is wanted.
template <class P> DEVICE void add(Sums2 &s, const Ring &r, const Vector<P> &x, int base, int row, int other, int i, int odd, int slice, int lane) {
  int column = ((i * P::split + slice) * WARP + lane) * 8;
  Words4 a = weights_at<P>(r, base, row, 0, column), b = weights_at<P>(r, base, other, P::members - 1, column);
  UNROLL for (int term = 0; term < TERMS; term++) {
    Words4 v = P::held ? x.own[P::held ? i * TERMS + term : 0] : vector_at<P>(x.shared, term, column);
    int chain = TERMS == 1 ? 2 * odd : 2 * term;
    matrix_add(s.c[chain], a.w[0], b.w[0], a.w[1], b.w[1], v.w[0], v.w[1]);
    matrix_add(s.c[chain + 1], a.w[2], b.w[2], a.w[3], b.w[3], v.w[2], v.w[3]);
  }
}

// Pair is one lane's part of the sums of two rows.
struct Pair {
  float first, second;
};

template <class P> DEVICE Pair multiply_pair(const Ring &r, const Vector<P> &x, int base, int row, int other, int slice, int lane) {
  Sums2 s;
  UNROLL for (int i = 0; i < CHAINS; i++) s.c[i] = Four{{0, 0, 0, 0}};
  if (P::held) {
    UNROLL for (int i = 0; i < P::slice; i++) add<P>(s, r, x, base, row, other, i, i % 2, slice, lane);
  } else {
    for (int i = 0; i + 1 < P::slice; i += 2) {
      add<P>(s, r, x, base, row, other, i, 0, slice, lane);
      add<P>(s, r, x, base, row, other, i + 1, 1, slice, lane);
    }
    if (P::slice % 2 == 1) add<P>(s, r, x, base, row, other, P::slice - 1, 0, slice, lane);
  }
  UNROLL for (int i = 1; i < CHAINS; i++)
    UNROLL for (int j = 0; j < 4; j++) s.c[0].v[j] += s.c[i].v[j];
  Four c = s.c[0];
  int g = lane / 4;
  bool diagonal = lane % 4 == g / 2;
  return Pair{!diagonal ? 0.0f : g % 2 ? c.v[1] : c.v[0], !diagonal ? 0.0f : g % 2 ? c.v[3] : c.v[2]};
}

// pair_sum adds up a warp's parts: its lower half gets the first row's sum, the upper half the second's.
DEVICE float pair_sum(Pair p, int lane) {
  bool upper = lane >= WARP / 2;
  float v = upper ? p.second : p.first;
  v += as_float(shuffle_xor(as_uint(upper ? p.first : p.second), WARP / 2));
  for (int mask = WARP / 4; mask > 0; mask /= 2) v += as_float(shuffle_xor(as_uint(v), mask));
  return v;
}

// multiply_pairs multiplies x by the pairs of rows of one part of a phase, whose
// tiles begin at base: a batch of neighbours at a time, the first-th of groups of
// them by turns. Lanes i and WARP / 2 + i then call each(pair, sum, valid) for the
// rows of pair i of the batch, so that what they write lies side by side.
template <class P, class Each>
DEVICE void multiply_pairs(Ring &r, int &base, const Vector<P> &x, int rows, int first, int slice, int lane, Each each) {
  const int unit = P::members == 2 ? 1 : 2, own = lane % (WARP / 2);
  int pairs = (rows + unit - 1) / unit;
  ROLLED for (int p = first * P::batch; p < pairs; p += P::groups * P::batch) {
    int last = p + P::batch - 1;
    last = last < pairs ? last : pairs - 1;
    int end = last * unit + unit - 1;
    release(r, tile_at<P>(base, p * unit, 0, 0), lane);
    await(r, tile_at<P>(base, end < rows ? end : rows - 1, P::members - 1, P::k - 1) + 1);
    Pair sums[P::batch];
    UNROLL for (int i = 0; i < P::batch; i++) { // without a branch, so that they run side by side
      int row = (p + i < pairs ? p + i : pairs - 1) * unit, other = P::members == 2 || row + 1 >= rows ? row : row + 1;
      sums[i] = multiply_pair<P>(r, x, base, row, other, slice, lane);
    }
    float sum = 0;
    UNROLL for (int i = 0; i < P::batch; i++) {
      float s = pair_sum(sums[i], lane);
      sum = own == i ? s : sum;
    }
    each(p + own, sum, own < P::batch && p + own < pairs);
  }
  base += tiles_of<P>(rows);
}

// multiply_rows calls finish(row, sum) on one lane for each row, or with two
// members finish(row, first, second). turn is the warp that begins.
template <class P, class Finish>
DEVICE void multiply_rows(Ring &r, int &base, const Vector<P> &x, int rows, int turn, int warp, int lane, Finish finish) {
  int first = warp - turn % WARPS, half = lane / (WARP / 2);
  multiply_pairs<P>(r, base, x, rows, first < 0 ? first + WARPS : first, 0, lane, [&](int pair, float sum, bool valid) {
    if (P::members == 2) {
      float second = as_float(shuffle_xor(as_uint(sum), WARP / 2));
      if (valid && half == 0) finish(pair, sum, second);
    } else if (valid && 2 * pair + half < rows)
      finish(2 * pair + half, sum, 0.0f);
  });
  release(r, base, lane);
}

// multiply_split is multiply_rows for few rows: P::split warps share the columns
// of each, and after a barrier one thread a row adds up what they found in sums.
template <class P, class Finish>
DEVICE void multiply_split(Ring &r, int &base, const Vector<P> &x, int rows, int warp, int lane, LOCAL(float) sums, Finish finish) {
  const int stride = 2 * ((P::pairs + BLOCKS - 1) / BLOCKS);
  int slice = warp % P::split;
  multiply_pairs<P>(r, base, x, rows, warp / P::split, slice, lane, [&](int pair, float sum, bool valid) {
    if (valid) sums[slice * stride + 2 * pair + lane / (WARP / 2)] = sum;
  });
  barrier_of(THREADS);
  ROLLED for (int row = warp * WARP + lane; row < rows; row += THREADS) {
    float sum[2] = {0, 0};
    UNROLL for (int m = 0; m < P::members; m++)
      UNROLL for (int s = 0; s < P::split; s++) sum[m] += sums[s * stride + row * P::members + m];
    finish(row, sum[0], sum[1]);
  }
  release(r, base, lane);
}

template <class P, class Finish>
DEVICE void multiply(Ring &r, int &base, const Vector<P> &x, int rows, int turn, int warp, int lane, LOCAL(float) sums, Finish finish) {
  if (P::split == 1)
    multiply_rows<P>(r, base, x, rows, turn, warp, lane, finish);
  else
    multiply_split<P>(r, base, x, rows, warp, lane, sums, finish);
}
