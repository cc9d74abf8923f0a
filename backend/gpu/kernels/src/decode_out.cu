// The output of attention: a block multiplies the result of one head by that head's
// columns of some rows of the weight and adds what it gets to sums that all blocks
// read. So nobody waits for the results of all heads.
//
// Sums are in fixed point, since additions of integers give the same sum in any order.
// A word holds the number of its additions in the uppermost 8 bits and below it their
// sum, each with an offset that makes it positive, so that no bit is borrowed. The
// layers use two rows of sums by turns; a row's owner clears it while the other one is in
// use, when all have read it and nobody can add to it yet.

enum {
  ROW_PARTS = BLOCKS / HEADS < 1 ? 1 : BLOCKS / HEADS, // of the rows; each head has as many jobs
  OUT_JOBS = HEADS * ROW_PARTS,
  OUT_ROWS = 16, // that a warp multiplies at a time
  OUT_UNITS = (HIDDEN + OUT_ROWS - 1) / OUT_ROWS,
  OUT_BYTES = 2 * DIM,                         // of a head's part of a row
  OUT_SWAP = OUT_BYTES % 128 == 0 ? 4 : 0,     // in odd rows pieces of 16 bytes swap places, so that neighbouring rows lie in other banks
  OUT_TILE_ROWS = TILE / OUT_BYTES / OUT_ROWS * OUT_ROWS
};
static_assert(OUT_TILE_ROWS > 0 && HEADS < 256, "a tile holds rows of the output, and a sum counts the heads");

// out_rows are the rows of a job.
DEVICE Share out_rows(int job) {
  int part = job % ROW_PARTS, to = (part + 1) * OUT_UNITS / ROW_PARTS * OUT_ROWS;
  return Share{part * OUT_UNITS / ROW_PARTS * OUT_ROWS, to < HIDDEN ? to : int(HIDDEN)};
}

// by_heads brings the weight's columns head by head, so that a job's rows follow each other: a thread for two columns.
KERNEL(by_heads, DecodeArgs, BUF(0, const uint, weight), BUF(1, uint, y)) {
  const int i = element_of(THREAD), pairs = DIM / 2;
  if (i >= HIDDEN * HEADS * pairs) return;
  int pair = i % pairs, row = i / pairs % HIDDEN, head = i / pairs / HIDDEN;
  y[i] = weight[(row * HEADS + head) * pairs + (pair ^ (4 * OUT_SWAP * (row & 1)))];
}

// feed_out fills tiles with the rows of a job.
DEVICE void feed_out(Ring &r, ulong weight, int job) {
  Share rows = out_rows(job);
  GLOBAL(const uchar) w = at_address<const uchar>(weight, long(HIDDEN) * HEADS * OUT_BYTES) + long(job / ROW_PARTS) * HIDDEN * OUT_BYTES;
  ROLLED for (int first = rows.from; first < rows.to; first += OUT_TILE_ROWS) {
    int n = rows.to - first < OUT_TILE_ROWS ? rows.to - first : int(OUT_TILE_ROWS);
    push(r, w + long(first) * OUT_BYTES, n * OUT_BYTES);
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

DEVICE float sum_of(ulong added) {
  long fixed = long(added & ((1ul << 56) - 1)) - HEADS * (1l << 47);
  bool fits = fixed > -(1l << 46) && fixed < 1l << 46;
  return fits ? float(fixed) * (1.0f / 134217728.0f) : as_float(0x7fc00000u);
}

// multiply_out multiplies the result of a head, TERMS times DIM numbers in bf16, by a job's rows.
DEVICE void multiply_out(Ring &r, int &base, LOCAL(const uchar) result, int job, GLOBAL(ulong) sums, int warp, int lane) {
  const int g = lane / 4;
  Share rows = out_rows(job);
  ROLLED for (int first = rows.from; first < rows.to; first += OUT_TILE_ROWS) {
    int n = rows.to - first < OUT_TILE_ROWS ? rows.to - first : int(OUT_TILE_ROWS);
    await(r, base + 1);
    LOCAL(const uchar) tile = tile_of(r, base);
    ROLLED for (int row = (warp - first / OUT_ROWS % WARPS + WARPS) % WARPS * OUT_ROWS; row < n; row += WARPS * OUT_ROWS) {
      int low = row + g < n ? row + g : g & 1, high = row + g + 8 < n ? row + g + 8 : g & 1; // past the last any row that is there
      Four c[2 * TERMS];
      UNROLL for (int i = 0; i < 2 * TERMS; i++) c[i] = Four{{0, 0, 0, 0}};
      UNROLL for (int column = 0; column < DIM; column += 32) {
        int k = column + 8 * (lane % 4); // as in terms.h, a lane has 8 neighbours of k
        int place = 2 * k ^ (16 * OUT_SWAP * (g & 1)); // rows g and g + 8 are both odd or both even
        bool inside = k < DIM;
        Words4 zero = {{0, 0, 0, 0}}, a = zero, b = zero;
        if (inside) {
          a = local4(tile + low * OUT_BYTES + place);
          b = local4(tile + high * OUT_BYTES + place);
        }
        UNROLL for (int term = 0; term < TERMS; term++) {
          Words4 x = inside && g == 0 ? local4(result + term * OUT_BYTES + 2 * k) : zero; // the first of 8 columns
          matrix_add(c[2 * term], a.w[0], b.w[0], a.w[1], b.w[1], x.w[0], x.w[1]);
          matrix_add(c[2 * term + 1], a.w[2], b.w[2], a.w[3], b.w[3], x.w[2], x.w[3]);
        }
      }
      float sum[2] = {0, 0};
      UNROLL for (int i = 2 * TERMS - 1; i >= 0; i--) {
        sum[0] += c[i].v[0];
        sum[1] += c[i].v[2];
      }
      UNROLL for (int i = 0; i < 2; i++)
        if (lane % 4 == 0 && row + g + 8 * i < n) add_sum(sums, first + row + g + 8 * i, addend(sum[i]));
    }
    release(r, ++base, lane);
  }
}

// clear_sums sets the block's own sums back and shows that to all before what the block writes next.
DEVICE void clear_sums(GLOBAL(ulong) sums, Share own, int lane) {
  ROLLED for (int i = own.from + lane; i < own.to; i += WARP) clear_sum(sums, i);
  fence();
}
