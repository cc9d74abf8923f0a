// Products whose columns are shared out, the output of attention and down: a block multiplies a slice of x, of attention that is
// the result of one head, by the slice's columns of some rows of the weight and adds what it gets to sums that all blocks
// read. So nobody waits for all of x.
//
// Sums are in fixed point, since additions of integers give the same sum in any order.
// A word holds the number of its additions in the uppermost 8 bits and below it their
// sum, each with an offset that makes it positive, so that no bit is borrowed. Nobody
// clears it: a block takes what was there after the layer before from it, modulo 2^64.
//
// Nobody can add for the next layer before all have read the sum: the sums of one product are complete when all rows of the
// product before it have been used, of which each block has some, and a block uses what it has read in order.

enum { SLICE_ROWS = 16 }; // that a warp multiplies at a time

// Sliced is the shape of such a product. A job is a slice's columns of some rows.
template <int Slices, int Width> struct Sliced {
  enum {
    slices = Slices,
    width = Width,
    pieces = Width / 8,
    bytes = 2 * Width, // of a slice's part of a row
    row_parts = BLOCKS / Slices < 1 ? 1 : BLOCKS / Slices,
    jobs = Slices * row_parts,
    units = (HIDDEN + SLICE_ROWS - 1) / SLICE_ROWS,
    swap = Width % 64 == 0 ? 7 : Width % 32 == 0 ? 3 : Width % 16 == 0 ? 1 : 0, // pieces of 16 bytes swap places, so that neighbouring rows' lie in other banks
    portion = PORTION / bytes / SLICE_ROWS * SLICE_ROWS,                        // rows of a portion
    most = (units + row_parts - 1) / row_parts,                                 // times 16 rows of a job
    operands = 2 * ((Width + 31) / 32),                                         // of 16 rows
    early = most <= WARPS && 8 * operands <= EARLY ? operands : 0               // that are in registers before the slice is known: half of them, beside attention's own
  };
  static_assert(int(portion) > 0 && Slices < 256, "a portion holds rows of a slice, and a sum counts the slices");
};
typedef Sliced<HEADS, DIM> Out;
typedef Sliced<DOWN_SLICES, INNER / DOWN_SLICES> Down;

// rows_of are the rows of a job.
template <class P> DEVICE Share rows_of(int job) {
  int part = job % P::row_parts, to = (part + 1) * P::units / P::row_parts * SLICE_ROWS;
  return Share{part * P::units / P::row_parts * SLICE_ROWS, to < HIDDEN ? to : int(HIDDEN)};
}

// slice brings a weight's columns slice by slice, so that a job's rows follow each other: a thread for two columns.
template <class P> DEVICE void slice(int i, GLOBAL(const uint) weight, GLOBAL(uint) y) {
  const int pairs = P::width / 2;
  if (i >= HIDDEN * P::slices * pairs) return;
  int pair = i % pairs, row = i / pairs % HIDDEN, of = i / pairs / HIDDEN;
  y[i] = weight[(row * P::slices + of) * pairs + (pair ^ (4 * (row & P::swap)))];
}
KERNEL(slice_out, DecodeArgs, BUF(0, const uint, weight), BUF(1, uint, y)) { slice<Out>(element_of(THREAD), weight, y); }
KERNEL(slice_down, DecodeArgs, BUF(0, const uint, weight), BUF(1, uint, y)) { slice<Down>(element_of(THREAD), weight, y); }

// feed_slice fills portions with the rows of a job.
template <class P> DEVICE void feed_slice(Ring &r, ulong weight, int job) {
  Share rows = rows_of<P>(job);
  GLOBAL(const uchar) w = at_address<const uchar>(weight, long(HIDDEN) * P::slices * P::bytes) + long(job / P::row_parts) * HIDDEN * P::bytes;
  ROLLED for (int first = rows.from; first < rows.to; first += P::portion) {
    int n = rows.to - first < P::portion ? rows.to - first : int(P::portion);
    fill(r, open_portion(r, n * P::bytes, n * P::bytes), 0, w + long(first) * P::bytes, n * P::bytes);
  }
}

// A number in fixed point is a multiple of 2^-27. What is not a number, or too large for
// one, is added as the largest; a sum that large is not a number.
DEVICE ulong addend(float v) {
  const long largest = (1l << 47) - 1;
  bool fits = v > -524288.0f && v < 524288.0f; // 2^19
  float scaled = fits ? v * 134217728.0f : 0.0f;
  long fixed = fits ? long(scaled + (scaled < 0 ? -0.5f : 0.5f)) : largest;
  return (1ul << 56) + ulong(fixed + (1l << 47));
}

// sum_of is the sum of some addends. What converts 64 bits is slow, so the lower 23 bits and those above them are put
// into numbers whose exponent is known; only their sum is rounded.
DEVICE float sum_of(ulong added, int addends) {
  uint high = uint(added >> 23) - (uint(addends) << 24);
  bool fits = high + (1u << 22) < 1u << 23; // |sum| is less than 2^18, or just that
  float low = as_float(0x4b000000u | (uint(added) & 0x7fffffu)) - 8388608.0f; // 2^23
  float upper = as_float(0x4b400000u + (fits ? high : 0)) - 12582912.0f;      // 1.5 2^23
  return fits ? upper * 0.0625f + low * (1.0f / 134217728.0f) : as_float(0x7fc00000u);
}

// warp_rows takes a job's portions and calls use(portion, first, row, n) for each 16 rows of the warp: they begin with a row of
// a portion of n that begins with a row of the weight.
template <class P, class Use> DEVICE void warp_rows(Ring &r, int job, int warp, int lane, Use use) {
  Share rows = rows_of<P>(job);
  ROLLED for (int first = rows.from; first < rows.to; first += P::portion) {
    int n = rows.to - first < P::portion ? rows.to - first : int(P::portion);
    Portion p = next_portion(r, n * P::bytes);
    await(r, p);
    ROLLED for (int row = (warp - first / SLICE_ROWS % WARPS + WARPS) % WARPS * SLICE_ROWS; row < n; row += WARPS * SLICE_ROWS) use(r.bytes + p.at, first, row, n);
    warp_barrier();
    leave(r, p);
  }
}

// slice_at is the left operand of 16 rows for columns from one on. Past the last it is any row and piece that are there.
template <class P> DEVICE Words4 slice_at(LOCAL(const uchar) portion, int row, int n, int column, int lane) {
  return matrices(lane, [&](int i) {
    int at = row + i % 16 < n ? row + i % 16 : i & P::swap, piece = column / 8 + i / 16;
    return portion + at * P::bytes + 16 * ((piece < P::pieces ? piece : 0) ^ (i & P::swap));
  });
}

// add_rows multiplies a slice of x by 16 rows, whose left operands are weights(column), and adds what it gets to the sums from row first on, of which some are there.
template <class P, class Weights> DEVICE void add_rows(LOCAL(const uchar) x, int first, int some, GLOBAL(ulong) sums, int lane, Weights weights) {
  Four c[2 * TERMS];
  UNROLL for (int i = 0; i < 2 * TERMS; i++) c[i] = Four{{0, 0, 0, 0}};
  UNROLL_BY(8) for (int column = 0; column < P::width; column += 32) {
    Words4 w[2];
    UNROLL for (int j = 0; j < 2; j++) w[j] = weights(column + 16 * j);
    UNROLL for (int term = 0; term < TERMS; term++) {
      Words4 v = matrices(lane, [&](int i) { // all columns are the same
        int piece = column / 8 + i / 8;
        return x + term * P::bytes + 16 * (piece < P::pieces ? piece : 0);
      });
      UNROLL for (int j = 0; j < 2; j++) {
        if (column / 8 + 2 * j >= P::pieces) continue;
        uint high = column / 8 + 2 * j + 1 < P::pieces ? v.w[2 * j + 1] : 0;
        matrix_add(c[2 * term + j], w[j].w[0], w[j].w[1], w[j].w[2], w[j].w[3], v.w[2 * j], high);
      }
    }
  }
  float low = 0, high = 0; // of row lane / 4 and the eighth after it
  UNROLL for (int i = 2 * TERMS - 1; i >= 0; i--) {
    low += c[i].v[0];
    high += c[i].v[2];
  }
  int at = lane / 4 + lane % 4 * 8;
  if (lane % 4 < 2 && at < some) add_sum(sums, first + at, addend(lane % 4 == 0 ? low : high));
}

// EarlySlice is the left operands of a warp's 16 rows of a job, if it has no more and they fit into registers, as Early.
template <class P> struct EarlySlice {
  int first, some; // of the rows in the sums, and how many are there
  Words4 w[P::early > 0 ? P::early : 1];
};

// take_slice takes a job's portions, if a warp has no more than 16 of their rows.
template <class P> DEVICE EarlySlice<P> take_slice(Ring &r, int job, int warp, int lane) {
  EarlySlice<P> e;
  e.first = e.some = 0;
  if (P::early == 0) return e;
  UNROLL for (int i = 0; i < P::early; i++) e.w[i] = Words4{{0, 0, 0, 0}};
  warp_rows<P>(r, job, warp, lane, [&](LOCAL(const uchar) portion, int first, int row, int n) {
    e.first = first + row;
    e.some = n - row;
    UNROLL for (int i = 0; i < P::early; i++) e.w[i] = slice_at<P>(portion, row, n, 16 * i, lane);
  });
  return e;
}

// multiply_slice multiplies a slice of x, TERMS times P::width numbers in bf16, by a job's rows, which take_slice has taken or which it takes itself.
template <class P> DEVICE void multiply_slice(Ring &r, LOCAL(const uchar) x, const EarlySlice<P> &e, int job, GLOBAL(ulong) sums, int warp, int lane) {
  if (P::early > 0) {
    add_rows<P>(x, e.first, e.some, sums, lane, [&](int column) { return e.w[P::early > 0 ? column / 16 : 0]; });
    return;
  }
  warp_rows<P>(r, job, warp, lane, [&](LOCAL(const uchar) portion, int first, int row, int n) {
    add_rows<P>(x, first + row, n - row, sums, lane, [&](int column) { return slice_at<P>(portion, row, n, column, lane); });
  });
}
