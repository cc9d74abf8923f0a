// Products of a few rows on matrix units, as fast as memory gives the weights.
//
// A warp multiplies all rows of x by 16 rows of stored weights over a share of k. They
// come straight from memory, with many loads of a lane under way: each
// is 8 elements of a row. x is taken apart into bf16 terms once a block, while
// the first weights are coming. What a block's warps have summed meets in shared
// memory; where blocks share k, the last of them to end adds up what all found.

#if MATRIX

enum { most_few = 48, few_columns = 16, few_warps = 16 };

// few_place is the member of the launch and the column where a warp's begin:
// 16 of a member's, or 8 of each of two that are gated.
struct FewPlace {
  int member, column;
};

DEVICE FewPlace few_place(ARGS(ProductArgs) p, int at) {
  const int width = p.gated ? few_columns / 2 : few_columns;
  int member = 0;
  for (; !p.gated && member < 2 && at >= (p.n[member] + width - 1) / width; member++) at -= (p.n[member] + width - 1) / width;
  return FewPlace{member, at * width};
}

// Raw are eight elements of a row of weights as stored.
template <class W> struct Raw {
  Words4 part[sizeof(W) / 2];
};

template <class W> DEVICE Raw<W> raw(GLOBAL(const W) w, long at, bool inside) {
  Raw<W> r;
  UNROLL for (int i = 0; i < int(sizeof(W)) / 2; i++) {
    r.part[i] = Words4{{0, 0, 0, 0}};
    if (inside) r.part[i] = words4(w + (at + 4 * i));
  }
  return r;
}

DEVICE Terms<3> few_terms(const Raw<float> &r) {
  Terms<3> s;
  UNROLL for (int i = 0; i < 4; i++) split<3>(s, i, as_float(r.part[i / 2].w[i % 2 * 2]), as_float(r.part[i / 2].w[i % 2 * 2 + 1]));
  return s;
}

DEVICE Terms<1> few_terms(const Raw<bf16> &r) {
  return Terms<1>{{{r.part[0].w[0], r.part[0].w[1], r.part[0].w[2], r.part[0].w[3]}}};
}

DEVICE Terms<2> few_terms(const Raw<f16> &r) {
  Terms<2> s;
  UNROLL for (int i = 0; i < 4; i++) split<2>(s, i, to_float(f16{ushort(r.part[0].w[i])}), to_float(f16{ushort(r.part[0].w[i] >> 16)}));
  return s;
}

// FewRows is a block's share of x, as pairs: [terms][rows][pitch].
struct FewRows {
  LOCAL(uint) at;
  int rows, pitch;
};

// few_rows places so many slabs; an odd number of them is a row, so that no two
// of eight lanes that read two rows meet in a bank.
DEVICE FewRows few_rows(LOCAL(uchar) shared, int rows, int slabs) { return FewRows{(LOCAL(uint))shared, rows, (slabs | 1) * (slab / 2)}; }

// few_norms finds the norm of each row, of which a warp takes one at a time.
DEVICE void few_norms(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, LOCAL(float) norms) {
  int lane = t.index % WARP;
  for (int r = t.index / WARP; r < p.m; r += t.count / WARP) {
    GLOBAL(const float) row = x + long(r) * p.k;
    float mean = 0, squares = 0;
    if (p.norm == LayerNorm) {
      for (int i = 8 * lane; i < p.k; i += 8 * WARP) {
        Eight e = load8(row + i);
        UNROLL for (int j = 0; j < 8; j++) mean += e.v[j];
      }
      mean = warp_sum(mean) / float(p.k);
    }
    UNROLL_4 for (int i = 8 * lane; i < p.k; i += 8 * WARP) {
      Eight e = load8(row + i);
      UNROLL for (int j = 0; j < 8; j++) squares += (e.v[j] - mean) * (e.v[j] - mean);
    }
    squares = warp_sum(squares);
    if (lane == 0) {
      norms[2 * r] = mean;
      norms[2 * r + 1] = 1.0f / fsqrt(squares / float(p.k) + p.eps);
    }
  }
}

// few_eight reads eight elements in any float type; 16 bytes of them are aligned.
DEVICE Eight few_eight(GLOBAL(const uchar) p, int dtype, int i) {
  if (dtype == BF16) return load8(AS(const bf16, p) + i);
  if (dtype == F16) return load8(AS(const f16, p) + i);
  return load8(AS(const float, p) + i);
}

// few_normal normalises elements of a row from k on.
DEVICE Eight few_normal(ARGS(ProductArgs) p, Eight e, int k, GLOBAL(const uchar) norm_weight, GLOBAL(const uchar) norm_bias, LOCAL(const float) norm) {
  Eight w = few_eight(norm_weight, p.normWeightType, k), b = {{0, 0, 0, 0, 0, 0, 0, 0}};
  if (p.norm == LayerNorm) b = few_eight(norm_bias, p.normBiasType, k);
  UNROLL for (int j = 0; j < 8; j++) {
    float v = (e.v[j] - norm[0]) * norm[1] * w.v[j] + b.v[j];
    e.v[j] = p.roundNorm ? to_float(to_bf16(v)) : v;
  }
  return e;
}

// few_stage brings the elements of x from `from` on, normalised, to shared
// memory. A thread has some loads under way before it uses what they bring.
template <int TX>
DEVICE void few_stage(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, GLOBAL(const uchar) norm_weight, GLOBAL(const uchar) norm_bias, int from,
                      int slabs, const FewRows &xs, LOCAL(float) norms) {
  if (p.norm != NoNorm) {
    few_norms(t, p, x, norms);
    barrier();
  }
  const int at_once = 3, chunks = slabs * (slab / 8);
  for (int first = t.index; first < p.m * chunks; first += at_once * t.count) {
    Eight e[at_once];
    UNROLL for (int u = 0; u < at_once; u++) {
      int i = first + u * t.count, row = i / chunks, k = from + 8 * (i % chunks);
      e[u] = Eight{{0, 0, 0, 0, 0, 0, 0, 0}};
      if (row < p.m && k < p.k) e[u] = load8(x + (long(row) * p.k + k));
    }
    UNROLL for (int u = 0; u < at_once; u++) {
      int i = first + u * t.count, row = i / chunks, chunk = i % chunks, k = from + 8 * chunk;
      if (row >= p.m) continue;
      if (p.norm != NoNorm && k < p.k) e[u] = few_normal(p, e[u], k, norm_weight, norm_bias, norms + 2 * row);
      Terms<TX> s;
      UNROLL for (int j = 0; j < 4; j++) split<TX>(s, j, e[u].v[2 * j], e[u].v[2 * j + 1]);
      UNROLL for (int n = 0; n < TX; n++) put_local4(xs.at + (n * xs.rows + row) * xs.pitch + 4 * chunk, s.pair[n]);
    }
  }
}

// few_x are the terms of a row's elements 8t to 8t + 7 of a slab. What rows past the last give is not used.
template <int TX> DEVICE Terms<TX> few_x(const FewRows &xs, int row, int s, int t) {
  Terms<TX> x;
  row = row < xs.rows ? row : xs.rows - 1;
  UNROLL for (int n = 0; n < TX; n++) {
    Words4 w = local4(xs.at + (n * xs.rows + row) * xs.pitch + s * (slab / 2) + 4 * t);
    UNROLL for (int i = 0; i < 4; i++) x.pair[n][i] = w.w[i];
  }
  return x;
}

// few_add is add_slab with a sum for each size of terms, so that matrix units
// need not wait for each other; the smallest are added first.
template <int NA, int NB> DEVICE void few_add(Four &c, const Terms<NA> &low, const Terms<NA> &high, const Terms<NB> &b) {
  const int sizes = NA + NB - 1 < 3 ? NA + NB - 1 : 3;
  if (sizes == 1) {
    add_slab(c, low, high, b);
    return;
  }
  Four sum[sizes];
  UNROLL for (int size = 0; size < sizes; size++) {
    sum[size] = Four{{0, 0, 0, 0}};
    UNROLL for (int i = 0; i < NA; i++)
      UNROLL for (int j = 0; j < NB; j++)
        if (i + j == size)
          UNROLL for (int step = 0; step < 4; step += 2)
            matrix_add(sum[size], low.pair[i][step], high.pair[i][step], low.pair[i][step + 1], high.pair[i][step + 1], b.pair[j][step], b.pair[j][step + 1]);
  }
  UNROLL for (int i = 0; i < 4; i++) {
    float all = sum[sizes - 1].v[i];
    UNROLL for (int size = sizes - 2; size >= 0; size--) all += sum[size].v[i];
    c.v[i] += all;
  }
}

// few_finish adds up a block's sums, [shares][rows][pitch], and the blocks' where they share k, and finishes them.
template <class W>
DEVICE void few_finish(Thread t, ARGS(ProductArgs) p, Member<W> m0, Member<W> m1, Member<W> m2, GLOBAL(const float) residual, GLOBAL(float) partial,
                       GLOBAL(uint) counts, LOCAL(float) sums, int shares, LOCAL(uint) order) {
  const int columns = few_columns * p.groups, pitch = columns + 8, size = p.m * columns;
  long tile = long(t.group_x) * p.splits * size;
  for (int i = t.index; i < size; i += t.count) {
    int at = i / columns * pitch + i % columns;
    float v = 0;
    for (int s = 0; s < shares; s++) v += sums[s * p.m * pitch + at];
    sums[at] = v;
    if (p.splits > 1) partial[tile + long(t.group_z) * size + i] = v;
  }
  if (p.splits > 1) {
    fence();
    barrier();
    if (t.index == 0) order[0] = count_up(counts, t.group_x);
    barrier();
    if (order[0] != uint(p.splits - 1)) return; // the whole block
    fence();
    for (int i = t.index; i < size; i += t.count) {
      float v = 0;
      for (int s = 0; s < p.splits; s++) v += partial[tile + long(s) * size + i];
      sums[i / columns * pitch + i % columns] = v;
    }
    if (t.index == 0) counts[t.group_x] = 0; // for the next launch
  }
  barrier();
  const int width = p.gated ? few_columns / 2 : few_columns;
  for (int i = t.index; i < p.m * width * p.groups; i += t.count) {
    int row = i / (width * p.groups), c = i % (width * p.groups), group = c / width;
    FewPlace place = few_place(p, t.group_x * p.groups + group);
    int column = place.column + c % width, n = p.n[place.member];
    if (column >= n) continue;
    Member<W> own = place.member == 0 ? m0 : place.member == 1 ? m1 : m2;
    LOCAL(const float) v = sums + row * pitch + group * few_columns + c % width;
    own.y[long(row) * n + column] = p.gated ? gate(p, v[0], v[8], column, m0.bias, m1.bias) : finish(p, v[0], row, column, place.member, own.bias, residual);
  }
}

// few: x has up to 16·MT rows of TX terms.
template <int MT, int TX, class W>
DEVICE void few(Thread t, ARGS(ProductArgs) p, GLOBAL(const float) x, Member<W> m0, Member<W> m1, Member<W> m2, GLOBAL(const float) residual,
                GLOBAL(const uchar) norm_weight, GLOBAL(const uchar) norm_bias, GLOBAL(float) partial, GLOBAL(uint) counts, LOCAL(uchar) shared,
                LOCAL(float) norms, LOCAL(uint) order) {
  const int N = TermsOf<W>::count, ahead = MT == 1 ? 8 / int(sizeof(W)) : N == 1 ? 2 : 1; // slabs under way
  int lane = t.index % WARP, g = lane / 4, four = lane % 4, warp = t.index / WARP;
  int shares = t.count / WARP / p.groups, group = warp % p.groups, share = warp / p.groups;
  int from = t.group_z * p.span, length = p.k - from < p.span ? p.k - from : p.span, slabs = (length + slab - 1) / slab;

  FewPlace place = few_place(p, t.group_x * p.groups + group);
  Member<W> own = place.member == 0 ? m0 : place.member == 1 ? m1 : m2;
  int low = place.column + g, high = p.gated ? low : low + 8, n = p.n[place.member];
  GLOBAL(const W) w0 = own.w;
  GLOBAL(const W) w1 = p.gated ? m1.w : own.w;
  long at0 = long(low) * p.k + from + 8 * four, at1 = long(high) * p.k + from + 8 * four;
  Raw<W> next[ahead][2];
  UNROLL for (int u = 0; u < ahead; u++) {
    int k = (share + u * shares) * slab;
    bool inside = k + 8 * four < length;
    next[u][0] = raw<W>(w0, at0 + k, inside && low < n);
    next[u][1] = raw<W>(w1, at1 + k, inside && high < n);
  }

  inputs_ready();
  FewRows xs = few_rows(shared, p.m, slabs);
  few_stage<TX>(t, p, x, norm_weight, norm_bias, from, slabs, xs, norms);
  barrier();
  Four sum[MT][2];
  UNROLL for (int i = 0; i < MT; i++) sum[i][0] = sum[i][1] = Four{{0, 0, 0, 0}};
  ROLLED for (int first = share; first < slabs; first += ahead * shares)
    UNROLL for (int u = 0; u < ahead; u++) {
      int s = first + u * shares, k = (s + ahead * shares) * slab;
      if (s >= slabs) continue; // the whole warp
      bool inside = k + 8 * four < length;
      UNROLL for (int j = 0; j < 2; j++) {
        Terms<N> b = few_terms(next[u][j]);
        next[u][j] = raw<W>(j ? w1 : w0, (j ? at1 : at0) + k, inside && (j ? high : low) < n);
        UNROLL for (int i = 0; i < MT; i++)
          if (16 * i < p.m) few_add(sum[i][j], few_x<TX>(xs, 16 * i + g, s, four), few_x<TX>(xs, 16 * i + 8 + g, s, four), b);
      }
    }

  barrier(); // x has been read
  LOCAL(float) sums = (LOCAL(float))shared;
  const int pitch = few_columns * p.groups + 8;
  UNROLL for (int i = 0; i < MT; i++)
    UNROLL for (int e = 0; e < 4; e++) {
      int row = 16 * i + 8 * (e / 2) + g;
      if (row >= p.m) continue;
      LOCAL(float) to = sums + (share * p.m + row) * pitch + few_columns * group + 2 * four + e % 2;
      to[0] = sum[i][0].v[e];
      to[8] = sum[i][1].v[e];
    }
  barrier();
  few_finish<W>(t, p, m0, m1, m2, residual, partial, counts, sums, shares, order);
}

#define FEW(name, MT, TX, W)                                                                                               \
  BOUNDED(WARP *few_warps, 1, name, ProductArgs, BUF(0, const float, x), BUF(1, const W, w0), BUF(2, const uchar, bias0), BUF(3, float, y0), \
          BUF(4, const float, residual), BUF(5, const uchar, norm_weight), BUF(6, const uchar, norm_bias),                 \
          BUF(7, const W, w1), BUF(8, const uchar, bias1), BUF(9, float, y1),                                              \
          BUF(10, const W, w2), BUF(11, const uchar, bias2), BUF(12, float, y2), BUF(13, float, partial), BUF(14, uint, counts)) { \
    DYNAMIC(shared);                                                                                                       \
    SHARED(float, norms, 2 * most_few);                                                                                    \
    SHARED(uint, order, 1);                                                                                                \
    Member<W> m0 = {w0, bias0, y0}; Member<W> m1 = {w1, bias1, y1}; Member<W> m2 = {w2, bias2, y2};                         \
    few<MT, TX, W>(EARLY_THREAD, args, x, m0, m1, m2, residual, norm_weight, norm_bias, partial, counts, shared, norms, order);  \
  }

// The numbers are those of the terms of x and, at the end, of the rows.
FEW(few1_float_16, 1, 1, float)
FEW(few3_float_16, 1, 3, float)
FEW(few1_bf16_16, 1, 1, bf16)
FEW(few3_bf16_16, 1, 3, bf16)
FEW(few3_f16_16, 1, 3, f16)
FEW(few1_float_48, 3, 1, float)
FEW(few3_float_48, 3, 3, float)
FEW(few1_bf16_48, 3, 1, bf16)
FEW(few3_bf16_48, 3, 3, bf16)
FEW(few3_f16_48, 3, 3, f16)

#endif
