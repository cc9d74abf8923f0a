// Products on matrix units, for targets that have them.
//
// A matrix unit multiplies bf16 exactly and adds in f32. A number of more bits
// is split into the sum of up to three of 8 bits each, largest first, which
// holds all 24 bits of an f32; products of terms that lie below its precision
// are left out (Henry, Tang and Heinecke 2019). So bf16 weights cost three
// products for any x, and one for x that is bf16 already.

#if MATRIX

// slab is the number of elements of k that a stage of the pipeline holds.
enum { slab = 32 };

// TermsOf is the number of terms that hold a number.
template <class T> struct TermsOf {
  enum { count = 3 };
};
template <> struct TermsOf<bf16> {
  enum { count = 1 };
};
template <> struct TermsOf<f16> {
  enum { count = 2 };
};

// Terms are eight consecutive elements of a row, as pairs, split in N terms.
template <int N> struct Terms {
  uint pair[N][4];
};

// split takes a pair apart; one term is enough for numbers that are bf16.
template <int N> DEVICE void split(Terms<N> &s, int i, float a, float b) {
  if (N == 1) s.pair[0][i] = high_halves(as_uint(a), as_uint(b));
  UNROLL for (int n = 0; N > 1 && n < N; n++) {
    uint u = bf16_pair(a, b);
    s.pair[n][i] = u;
    a -= as_float(u << 16);
    b -= as_float(u & 0xffff0000u);
  }
}

// A row of a tile is a slab. Those of f32 take 128 bytes, so odd rows hold each
// two chunks of 16 bytes in swapped order: no two threads of eight meet in a bank.
DEVICE int chunk_place(LOCAL(const float), int row, int chunk) { return 4 * (chunk ^ (row & 1)); }
DEVICE int chunk_place(LOCAL(const bf16), int, int chunk) { return 8 * chunk; }
DEVICE int chunk_place(LOCAL(const f16), int, int chunk) { return 8 * chunk; }

// terms reads elements 8t to 8t + 7 of a row.
template <int N> DEVICE Terms<N> terms(LOCAL(const float) tile, int row, int t) {
  Terms<N> s;
  UNROLL for (int half = 0; half < 2; half++) {
    Words4 w = local4(tile + row * slab + chunk_place(tile, row, 2 * t + half));
    split<N>(s, 2 * half, as_float(w.w[0]), as_float(w.w[1]));
    split<N>(s, 2 * half + 1, as_float(w.w[2]), as_float(w.w[3]));
  }
  return s;
}

template <int N> DEVICE Terms<N> terms(LOCAL(const bf16) tile, int row, int t) {
  Words4 w = local4(tile + row * slab + 8 * t);
  return Terms<N>{{{w.w[0], w.w[1], w.w[2], w.w[3]}}};
}

template <int N> DEVICE Terms<N> terms(LOCAL(const f16) tile, int row, int t) {
  Words4 w = local4(tile + row * slab + 8 * t);
  Terms<N> s;
  UNROLL for (int i = 0; i < 4; i++) split<N>(s, i, to_float(f16{ushort(w.w[i])}), to_float(f16{ushort(w.w[i] >> 16)}));
  return s;
}

// add_slab adds to c the product of rows g and g + 8 of a with row g of b over
// a slab. Thread t of a row's four takes elements 8t to 8t + 7 as the two steps'
// elements 2t, 2t + 1, 2t + 8 and 2t + 9: a sum has no order. What is more
// than one product is added up apart, since matrix units add less exactly.
template <int NA, int NB> DEVICE void add_slab(Four &c, const Terms<NA> &low, const Terms<NA> &high, const Terms<NB> &b) {
  Four sum = {{0, 0, 0, 0}};
  if (NA * NB == 1) sum = c;
  UNROLL for (int last = NA + NB - 2 < 2 ? NA + NB - 2 : 2; last >= 0; last--) // the smallest first
    UNROLL for (int i = 0; i < NA; i++)
      UNROLL for (int j = 0; j < NB; j++)
        if (i + j == last)
          UNROLL for (int step = 0; step < 4; step += 2)
            matrix_add(sum, low.pair[i][step], high.pair[i][step], low.pair[i][step + 1], high.pair[i][step + 1], b.pair[j][step], b.pair[j][step + 1]);
  UNROLL for (int i = 0; i < 4; i++) c.v[i] = NA * NB == 1 ? sum.v[i] : c.v[i] + sum.v[i];
}

#endif
