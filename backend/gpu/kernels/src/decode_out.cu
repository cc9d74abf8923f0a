// The output of attention: a block multiplies the result of one head by that head's
// columns of some rows of the weight and adds what it gets to sums that all blocks
// read. So nobody waits for the results of all heads.
//
// Sums are in fixed point, since additions of integers give the same sum in any order.
// A word holds the number of its additions in the uppermost 8 bits and below it their
// sum, each with an offset that makes it positive, so that no bit is borrowed. Nobody
// clears it: a block takes what was there after the layer before from it, modulo 2^64.
// Nobody can add for the next layer either before all have read it.

enum {
  ROW_PARTS = BLOCKS / HEADS < 1 ? 1 : BLOCKS / HEADS, // of the rows; each head has as many jobs
  OUT_JOBS = HEADS * ROW_PARTS,
  OUT_ROWS = 16, // that a warp multiplies at a time
  OUT_UNITS = (HIDDEN + OUT_ROWS - 1) / OUT_ROWS,
  OUT_BYTES = 2 * DIM,                         // of a head's part of a row
  OUT_SWAP = DIM % 64 == 0 ? 7 : DIM % 32 == 0 ? 3 : DIM % 16 == 0 ? 1 : 0, // pieces of 16 bytes swap places, so that neighbouring rows' lie in other banks
  OUT_PORTION = PORTION / OUT_BYTES / OUT_ROWS * OUT_ROWS // rows of a portion
};
static_assert(OUT_PORTION > 0 && HEADS < 256, "a portion holds rows of the output, and a sum counts the heads");

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
  y[i] = weight[(row * HEADS + head) * pairs + (pair ^ (4 * (row & OUT_SWAP)))];
}

// feed_out fills portions with the rows of a job.
DEVICE void feed_out(Ring &r, ulong weight, int job) {
  Share rows = out_rows(job);
  GLOBAL(const uchar) w = at_address<const uchar>(weight, long(HIDDEN) * HEADS * OUT_BYTES) + long(job / ROW_PARTS) * HIDDEN * OUT_BYTES;
  ROLLED for (int first = rows.from; first < rows.to; first += OUT_PORTION) {
    int n = rows.to - first < OUT_PORTION ? rows.to - first : int(OUT_PORTION);
    fill(r, open_portion(r, n * OUT_BYTES, n * OUT_BYTES), 0, w + long(first) * OUT_BYTES, n * OUT_BYTES);
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
  bool fits = uint(int(fixed >> 32) + (1 << 14)) < 1u << 15; // |fixed| is less than 2^46, or just that
  return fits ? float(fixed) * (1.0f / 134217728.0f) : as_float(0x7fc00000u);
}

// multiply_out multiplies the result of a head, TERMS times DIM numbers in bf16, by a job's rows.
DEVICE void multiply_out(Ring &r, LOCAL(const uchar) result, int job, GLOBAL(ulong) sums, int warp, int lane) {
  Share rows = out_rows(job);
  ROLLED for (int first = rows.from; first < rows.to; first += OUT_PORTION) {
    int n = rows.to - first < OUT_PORTION ? rows.to - first : int(OUT_PORTION);
    Portion p = next_portion(r, n * OUT_BYTES);
    await(r, p);
    LOCAL(const uchar) portion = r.bytes + p.at;
    ROLLED for (int row = (warp - first / OUT_ROWS % WARPS + WARPS) % WARPS * OUT_ROWS; row < n; row += WARPS * OUT_ROWS) {
      Four c[2 * TERMS];
      UNROLL for (int i = 0; i < 2 * TERMS; i++) c[i] = Four{{0, 0, 0, 0}};
      UNROLL for (int column = 0; column < DIM; column += 32) {
        Words4 w[2];
        UNROLL for (int j = 0; j < 2; j++)
          w[j] = matrices(lane, [&](int i) { // past the last any row and piece that are there
            int at = row + i % 16 < n ? row + i % 16 : i & OUT_SWAP, piece = column / 8 + 2 * j + i / 16;
            return portion + at * OUT_BYTES + 16 * ((piece < PIECES ? piece : 0) ^ (i & OUT_SWAP));
          });
        UNROLL for (int term = 0; term < TERMS; term++) {
          Words4 x = matrices(lane, [&](int i) { // all columns are the same
            int piece = column / 8 + i / 8;
            return result + term * OUT_BYTES + 16 * (piece < PIECES ? piece : 0);
          });
          UNROLL for (int j = 0; j < 2; j++) {
            if (column / 8 + 2 * j >= PIECES) continue;
            uint high = column / 8 + 2 * j + 1 < PIECES ? x.w[2 * j + 1] : 0;
            matrix_add(c[2 * term + j], w[j].w[0], w[j].w[1], w[j].w[2], w[j].w[3], x.w[2 * j], high);
          }
        }
      }
      float low = 0, high = 0; // of row lane / 4 and the eighth after it
      UNROLL for (int i = 2 * TERMS - 1; i >= 0; i--) {
        low += c[i].v[0];
        high += c[i].v[2];
      }
      int at = row + lane / 4 + lane % 4 * 8;
      if (lane % 4 < 2 && at < n) add_sum(sums, first + at, addend(lane % 4 == 0 ? low : high));
    }
    warp_barrier();
    leave(r, p, lane);
  }
}
