// Matrix-vector products whose weights stream through the ring.
//
// A weight is a left operand of the matrix units, as it lies in memory. Where a block's share of a product fits there its operands go to
// registers before x is known.

enum { EARLY = HIDDEN <= 4 * THREADS ? 96 : 48 }; // registers for weights that a thread has before x is known; a long row takes some

// Product is the shape of one phase's products: each block takes an even share
// of Rows of Columns elements. With two Members, rows of two weights meet in one result.
// A warp multiplies two rows at a time, a pair. Split warps, a group, share their columns.
template <int Rows, int Columns, int Split, int Members> struct Product {
  enum {
    rows = Rows,
    k = Columns,
    split = Split,
    members = Members,
    unit = Members == 2 ? 1 : 2, // rows of a member in a pair
    pairs = (Rows + unit - 1) / unit,
    groups = WARPS / Split,
    stride = 8 * WARP * Split, // columns of a step, 8 for each lane of a group
    steps = (Columns + stride - 1) / stride,
    ragged = steps * stride != Columns, // the last step has columns past the last
    fit = PORTION / (4 * Columns),
    portion_pairs = fit >= groups ? groups : fit >= 4 ? 4 : fit >= 2 ? 2 : 1, // a power of two, as groups
    portion_steps = fit > 0 ? steps : PORTION / (4 * stride),
    chunks = (steps + portion_steps - 1) / portion_steps, // portions of the columns of a pair
    held = chunks == 1 && steps * TERMS <= 16,            // x stays in registers
    turns = groups / portion_pairs,                       // portions in which each group has a pair
    most = (pairs + BLOCKS - 1) / BLOCKS,                 // pairs of a block
    rounds = (most + groups - 1) / groups,                // of a pair for each group
    room = RING / (fit > 0 ? portion_pairs * 4 * Columns : int(PORTION)) - 1,
    wanted = rounds <= 4 ? rounds : 2,
    batch = chunks == 1 && wanted * turns <= room ? wanted : 1, // rounds whose sums are added up together
    together = rounds <= batch && batch * turns <= room ? batch * turns : 1, // portions that are waited for together
    whole = rounds <= batch && int(together) == batch * turns,               // these are all of a share
    operands = 2 * batch * steps,                                            // of a warp's part of it
    early = held && whole && 4 * operands <= EARLY ? operands : 0,           // that are in registers before x is known
    even = pairs % BLOCKS == 0 && most % (batch * groups) == 0 && Rows % 2 == 0 // no group is ever without a pair
  };
  static_assert(WARPS % Split == 0 && int(groups) % int(portion_pairs) == 0, "every group has a pair of a round's portions");
  static_assert(int(together) <= PORTIONS, "there is a gate for each portion that is waited for together");
};

// Share is a block's part of a phase.
struct Share {
  int from, to;
};

template <class P> DEVICE Share share_of(int block) {
  if (P::pairs % BLOCKS == 0 && P::rows % P::unit == 0) return Share{block * P::most * P::unit, (block + 1) * P::most * P::unit};
  int from = P::unit * int(long(block) * P::pairs / BLOCKS), to = P::unit * int(long(block + 1) * P::pairs / BLOCKS);
  return Share{from, to < P::rows ? to : int(P::rows)};
}

// within is the part of a share that lies in rows first..first+count-1.
DEVICE Share within(Share s, int first, int count) {
  int from = s.from > first ? s.from : first, to = s.to < first + count ? s.to : first + count;
  return Share{from, to < from ? from : to};
}

// Part is the shape of a portion: rows of each member, and bytes of a row.
struct Part {
  int rows, row_bytes;
};

template <class P> DEVICE Part part_of(int rows, int portion, int chunk) {
  const int full = P::portion_pairs * P::unit, wide = P::portion_steps * P::stride;
  int left = rows - portion * full, columns = P::k - chunk * wide;
  return Part{P::even || left > full ? full : left, 2 * (P::chunks == 1 ? int(P::k) : columns < wide ? columns : wide)};
}

// feed fills portions with a block's share. rows(portion, offset, from, n, column, bytes) fills n rows from
// the given one on with their bytes from a column on. Where rows take several portions, the
// first chunk of a pair for each group comes before the second, as multiply_pairs takes them.
template <class P, class Rows> DEVICE void feed(Ring &r, Share s, Rows rows) {
  const int all = s.to - s.from, full = P::portion_pairs * P::unit, several = P::chunks == 1 ? 1 : int(P::turns);
  ROLLED for (int first = 0; first * full < all; first += several)
    ROLLED for (int chunk = 0; chunk < P::chunks; chunk++)
      ROLLED for (int i = first; i < first + several && i * full < all; i++) {
        Part part = part_of<P>(all, i, chunk);
        int bytes = P::members * part.rows * part.row_bytes, column = chunk * P::portion_steps * P::stride;
        Portion p = open_portion(r, bytes, bytes);
        if (P::chunks == 1) {
          rows(p, 0, s.from + i * full, part.rows, column, part.row_bytes);
        } else {
          ROLLED for (int row = 0; row < part.rows; row++) rows(p, row * part.row_bytes, s.from + i * full + row, 1, column, part.row_bytes);
        }
      }
}

// fill_rows fills a part of a portion with rows of a weight, as feed asks for.
template <class P> DEVICE void fill_rows(Ring &r, Portion p, int offset, ulong weight, int from, int n, int column, int bytes) {
  GLOBAL(const uchar) w = at_address<const uchar>(weight, 2l * (from + n) * P::k);
  fill(r, p, offset, w + 2 * (long(from) * P::k + column), n * bytes);
}

// feed_weight feeds a block's share of one weight.
template <class P> DEVICE void feed_weight(Ring &r, Share s, ulong weight) {
  feed<P>(r, s, [&](Portion p, int offset, int from, int n, int column, int bytes) { fill_rows<P>(r, p, offset, weight, from, n, column, bytes); });
}

// Vector is x in shared memory, TERMS times k numbers in bf16 whose sums over the
// terms are x, and a warp's part of it in registers if it fits.
template <class P> struct Vector {
  LOCAL(const uchar) shared;
  int slice; // of the columns of each step, the warp's
  Words4 own[P::held ? P::steps * TERMS : 1];
};

// byte_of is where in a row of bf16 a warp's part of a step begins.
template <class P> DEVICE int byte_of(int step, int slice) { return 2 * (step * P::stride + slice * 8 * WARP); }

// vector_at is the warp's part of a step of x as the right operands for it: their columns i are its 16 bytes from 16 i on, from 128 + 16 i on and so on.
template <class P> DEVICE Words4 vector_at(LOCAL(const uchar) shared, int slice, int step, int term, int lane) {
  const int first = byte_of<P>(step, slice), end = 2 * P::k;
  LOCAL(const uchar) x = shared + term * end;
  Words4 v = matrices(lane, [&](int i) { return x + (P::ragged && first + 16 * i >= end ? 0 : first + 16 * i); });
  UNROLL for (int i = 0; P::ragged && i < 4; i++)
    if (first + 128 * i + 4 * lane >= end) v.w[i] = 0;
  return v;
}

// rows_at is the left operand for the first or the second 256 bytes of it: row i are 16 bytes of a row from 16 i on and those
// 128 bytes on, row 8 + i those of another row. Past their end it is any of their numbers.
template <class P> DEVICE Words4 rows_at(LOCAL(const uchar) row, LOCAL(const uchar) other, int first, int end, int lane) {
  return matrices(lane, [&](int i) {
    int at = first + i / 16 * 128 + i % 8 * 16;
    return (i % 16 < 8 ? row : other) + (P::ragged && at >= end ? 0 : at);
  });
}

template <class P> DEVICE Vector<P> hold(LOCAL(const uchar) shared, int warp, int lane) {
  Vector<P> x;
  x.shared = shared;
  x.slice = warp % P::split;
  if (P::held) {
    UNROLL for (int i = 0; i < P::steps * TERMS; i++) x.own[i] = vector_at<P>(shared, x.slice, i / TERMS, i % TERMS, lane);
  }
  return x;
}

// Sums are partial sums in the layout of matrix_add, several so that no
// multiplication waits for the last.
enum { CHAINS = TERMS == 1 ? 2 : int(TERMS) };
struct Sums2 {
  Four c[CHAINS];
};

// add_step adds a step of two rows. Row i of the left operand and column i of the right one hold the
// same columns of the product's matrix, so the diagonal of the result is wanted.
template <class P> DEVICE void add_step(Sums2 &s, const Vector<P> &x, const Words4 &w0, const Words4 &w1, int at, int lane) {
  UNROLL for (int term = 0; term < TERMS; term++) {
    Words4 v = P::held ? x.own[P::held ? at * TERMS + term : 0] : vector_at<P>(x.shared, x.slice, at, term, lane);
    matrix_add(s.c[term], w0.w[0], w0.w[1], w0.w[2], w0.w[3], v.w[0], v.w[1]);
    matrix_add(s.c[TERMS == 1 ? 1 : term], w1.w[0], w1.w[1], w1.w[2], w1.w[3], v.w[2], v.w[3]);
  }
}

// add_steps adds the steps of a chunk.
template <class P> DEVICE void add_steps(Sums2 &s, const Vector<P> &x, LOCAL(const uchar) row, LOCAL(const uchar) other, int row_bytes, int chunk, int lane) {
  auto step = [&](int i) {
    Words4 w[2];
    UNROLL for (int j = 0; j < 2; j++) w[j] = rows_at<P>(row, other, byte_of<P>(i, x.slice) + 256 * j, row_bytes, lane);
    add_step<P>(s, x, w[0], w[1], chunk * P::portion_steps + i, lane);
  };
  if (P::held) {
    UNROLL for (int i = 0; i < P::steps; i++) step(i);
    return;
  }
  int n = P::steps - chunk * P::portion_steps;
  if (n > P::portion_steps) n = P::portion_steps;
  UNROLL_BY(2) for (int i = 0; i < n; i++) step(i);
}

// pair_sum adds up what a warp's lanes have: its lower half gets the first row's sum, the upper half the second's.
DEVICE float pair_sum(Sums2 &s, int lane) {
  UNROLL for (int i = 1; i < CHAINS; i++)
    UNROLL for (int j = 0; j < 4; j++) s.c[0].v[j] += s.c[i].v[j];
  int g = lane / 4;
  bool odd = g % 2 == 1, diagonal = lane % 4 == g / 2, upper = lane >= WARP / 2;
  float first = !diagonal ? 0.0f : odd ? s.c[0].v[1] : s.c[0].v[0], second = !diagonal ? 0.0f : odd ? s.c[0].v[3] : s.c[0].v[2];
  float v = (upper ? second : first) + as_float(shuffle_xor(as_uint(upper ? first : second), WARP / 2));
  UNROLL for (int mask = WARP / 4; mask > 0; mask /= 2) v += as_float(shuffle_xor(as_uint(v), mask));
  return v;
}

// take_turn takes portions of a batch of pairs, those of a turn and of as many after it as are waited for together, and calls
// use(i, row, other, row_bytes) with the place of both rows of each of the group's pairs in them.
template <class P, class Use> DEVICE void take_turn(Ring &r, int rows, int first, int chunk, int turn, int group, int lane, Use use) {
  const int pairs = (rows + P::unit - 1) / P::unit;
  Portion p[P::together];
  Part part[P::together];
  UNROLL for (int i = 0; i < P::together; i++) {
    int portion = first / P::portion_pairs + turn + i;
    if (!P::even && portion * P::portion_pairs >= pairs) continue;
    part[i] = part_of<P>(rows, portion, chunk);
    p[i] = next_portion(r, P::members * part[i].rows * part[i].row_bytes);
  }
  UNROLL for (int i = 0; i < P::together; i++)
    if (P::even || first + (turn + i) * P::portion_pairs < pairs) await(r, p[i]);
  UNROLL for (int i = 0; i < P::batch; i++) {
    bool valid = P::even || first + i * P::groups + group < pairs;
    if (!P::whole && P::together == 1 && (!valid || turn != i * P::turns + group / P::portion_pairs)) continue;
    Portion mine = p[0];
    Part of = part[0];
    UNROLL for (int t = 0; P::together > 1 && t < P::turns; t++)
      if (t == group / P::portion_pairs && valid) mine = p[P::together > 1 ? i * P::turns + t : 0], of = part[P::together > 1 ? i * P::turns + t : 0];
    int row = valid ? group % P::portion_pairs * P::unit : 0;
    int other = P::members == 2 ? of.rows + row : P::rows % 2 == 0 || row + 1 < of.rows ? row + 1 : row;
    LOCAL(const uchar) at = r.bytes + mine.at;
    use(i, at + row * of.row_bytes, at + other * of.row_bytes, of.row_bytes);
  }
  warp_barrier();
  UNROLL for (int i = 0; i < P::together; i++)
    if (P::even || first + (turn + i) * P::portion_pairs < pairs) leave(r, p[i]);
}

// Early is the left operands of a warp's pairs, if they fit into registers. They go there while x is waited for, so that the ring has room for
// what comes after them and the product itself reads nothing from shared memory but x.
struct Early {
  Words4 w[EARLY / 4];
};

// take_early takes a share's portions, if it is one that goes into registers.
template <class P> DEVICE void take_early(Early &e, Ring &r, int rows, int warp, int lane) {
  if (P::early == 0 || (int(P::pairs) < BLOCKS && rows == 0)) return;
  take_turn<P>(r, rows, 0, 0, 0, warp / P::split, lane, [&](int i, LOCAL(const uchar) row, LOCAL(const uchar) other, int row_bytes) {
    UNROLL for (int step = 0; step < P::steps; step++)
      UNROLL for (int j = 0; j < 2; j++)
        e.w[P::early > 0 ? 2 * (i * P::steps + step) + j : 0] = rows_at<P>(row, other, byte_of<P>(step, warp % P::split) + 256 * j, row_bytes, lane);
  });
}

// multiply_pairs multiplies x by the pairs of rows of a share. Lanes i and WARP / 2 + i then call each(pair, sum, valid) for the
// rows of pair i of the group's batch, so that what they write goes out at once.
template <class P, class Each>
DEVICE void multiply_pairs(Ring &r, const Vector<P> &x, const Early &e, int rows, int group, int lane, Each each) {
  const int pairs = (rows + P::unit - 1) / P::unit, own = lane % (WARP / 2);
  ROLLED for (int first = 0; first < pairs; first += P::groups * P::batch) {
    Sums2 s[P::batch];
    UNROLL for (int i = 0; i < P::batch; i++)
      UNROLL for (int j = 0; j < CHAINS; j++) s[i].c[j] = Four{{0, 0, 0, 0}};
    UNROLL for (int step = 0; P::early > 0 && step < P::steps; step++)
      UNROLL for (int i = 0; i < P::batch; i++) {
        const int at = P::early > 0 ? 2 * (i * P::steps + step) : 0;
        add_step<P>(s[i], x, e.w[at], e.w[at + 1], step, lane);
      }
    ROLLED for (int chunk = 0; P::early == 0 && chunk < P::chunks; chunk++)
      ROLLED for (int turn = 0; turn < P::batch * P::turns; turn += P::together)
        take_turn<P>(r, rows, first, chunk, turn, group, lane, [&](int i, LOCAL(const uchar) row, LOCAL(const uchar) other, int row_bytes) {
          add_steps<P>(s[i], x, row, other, row_bytes, chunk, lane);
        });
    float sum = 0;
    UNROLL for (int i = 0; i < P::batch; i++) {
      float v = pair_sum(s[i], lane);
      sum = own == i ? v : sum;
    }
    int pair = first + own * P::groups + group;
    each(pair, sum, own < P::batch && (P::even || pair < pairs));
    if (P::early > 0) break; // these were all, which the compiler cannot tell
  }
}

// multiply_rows calls finish(row, sum) on one lane for each row, or with two
// members finish(row, first, second).
template <class P, class Finish>
DEVICE void multiply_rows(Ring &r, const Vector<P> &x, const Early &e, int rows, int warp, int lane, Finish finish) {
  const int half = lane / (WARP / 2);
  multiply_pairs<P>(r, x, e, rows, warp, lane, [&](int pair, float sum, bool valid) {
    if (P::members == 2) {
      float second = as_float(shuffle_xor(as_uint(sum), WARP / 2));
      if (valid && half == 0) finish(pair, sum, second);
    } else if (valid && (P::even || 2 * pair + half < rows))
      finish(2 * pair + half, sum, 0.0f);
  });
}

// multiply_split is multiply_rows for few rows: P::split warps share the columns
// of each, and after a barrier one thread a row adds up what they found in sums.
template <class P, class Finish>
DEVICE void multiply_split(Ring &r, const Vector<P> &x, const Early &e, int rows, int warp, int lane, LOCAL(float) sums, Finish finish) {
  enum { stride = 2 * P::most };
  multiply_pairs<P>(r, x, e, rows, warp / P::split, lane, [&](int pair, float sum, bool valid) {
    if (valid) sums[warp % P::split * stride + 2 * pair + lane / (WARP / 2)] = sum;
  });
  barrier_of(THREADS);
  ROLLED for (int row = warp * WARP + lane; row < rows; row += THREADS) {
    float sum[2] = {0, 0};
    UNROLL for (int m = 0; m < P::members; m++)
      UNROLL for (int s = 0; s < P::split; s++) sum[m] += sums[s * stride + row * P::members + m];
    finish(row, sum[0], sum[1]);
  }
}

template <class P, class Finish>
DEVICE void multiply(Ring &r, const Vector<P> &x, const Early &e, int rows, int warp, int lane, LOCAL(float) sums, Finish finish) {
  if (P::split == 1)
    multiply_rows<P>(r, x, e, rows, warp, lane, finish);
  else
    multiply_split<P>(r, x, e, rows, warp, lane, sums, finish);
}
