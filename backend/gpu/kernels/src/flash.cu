// Attention of many rows on matrix units (Dao 2023): a block serves a tile of
// rows of one head and walks over their keys, tile by tile, with the online
// softmax. Scores and weights stay in registers.

#if MATRIX

// A tile has 64 keys. The four warps of a block have 16 rows each, or share the
// keys of 16 rows where there are few.
enum { flash_warps = 4, flash_tile = 64 };

// value_place is where chunk c of 16 bytes of a key's values lies: the chunks
// that eight threads read at once lie in different banks.
DEVICE int value_place(LOCAL(const bf16), int key, int chunk) { return 8 * (chunk ^ (key & 6)); }
DEVICE int value_place(LOCAL(const float), int key, int chunk) { return 4 * (chunk ^ (key & 6) ^ (chunk >> 1 & 1)); }

// Values are elements 8g to 8g + 7 of two keys, as N terms of pairs.
template <int N> struct Values {
  uint pair[N][8];
};

template <int N> DEVICE Values<N> values(LOCAL(const bf16) tile, int width, int key, int chunk) {
  Words4 a = local4(tile + key * width + value_place(tile, key, chunk)), b = local4(tile + (key + 1) * width + value_place(tile, key + 1, chunk));
  Values<N> s;
  UNROLL for (int i = 0; i < 4; i++) {
    s.pair[0][2 * i] = low_halves(a.w[i], b.w[i]);
    s.pair[0][2 * i + 1] = high_halves(a.w[i], b.w[i]);
  }
  return s;
}

template <int N> DEVICE Values<N> values(LOCAL(const float) tile, int width, int key, int chunk) {
  Values<N> s;
  UNROLL for (int half = 0; half < 2; half++) {
    Words4 a = local4(tile + key * width + value_place(tile, key, 2 * chunk + half));
    Words4 b = local4(tile + (key + 1) * width + value_place(tile, key + 1, 2 * chunk + half));
    UNROLL for (int i = 0; i < 4; i++) {
      Terms<N> pair;
      split<N>(pair, 0, as_float(a.w[i]), as_float(b.w[i]));
      UNROLL for (int n = 0; n < N; n++) s.pair[n][4 * half + i] = pair.pair[n][0];
    }
  }
  return s;
}

// quad_sum and quad_max combine the numbers of the four lanes that share rows.
DEVICE float quad_sum(float v) {
  v += as_float(shuffle_xor(as_uint(v), 1));
  return v + as_float(shuffle_xor(as_uint(v), 2));
}

DEVICE float quad_max(float v) {
  v = larger(v, as_float(shuffle_xor(as_uint(v), 1)));
  return larger(v, as_float(shuffle_xor(as_uint(v), 2)));
}

// Keys says where a block's keys or values lie in memory.
struct Keys {
  long base;
  int step, dim, end;
};

// fetch_keys copies a tile of R keys, or queries, as [width / slab][keys][slab].
template <class T, int D, int R> DEVICE void fetch_keys(Thread t, Keys s, GLOBAL(const T) k, int key0, LOCAL(T) tile) {
  const int chunks = D * int(sizeof(T)) / 16, per_chunk = 16 / int(sizeof(T));
  for (int i = t.index; i < R * chunks; i += WARP * flash_warps) {
    int key = i / chunks, d = i % chunks * per_chunk;
    bool inside = key0 + key < s.end && d < s.dim;
    LOCAL(T) part = tile + d / slab * R * slab;
    copy16(part + key * slab + chunk_place(part, key, d % slab / per_chunk), k + (inside ? s.base + long(key0 + key) * s.step + d : 0), inside);
  }
}

// fetch_values copies a tile as [keys][width].
template <class T, int D> DEVICE void fetch_values(Thread t, Keys s, GLOBAL(const T) v, int key0, LOCAL(T) tile) {
  const int chunks = D * int(sizeof(T)) / 16, per_chunk = 16 / int(sizeof(T));
  for (int i = t.index; i < flash_tile * chunks; i += WARP * flash_warps) {
    int key = i / chunks, chunk = i % chunks, d = chunk * per_chunk;
    bool inside = key0 + key < s.end && d < s.dim;
    copy16(tile + key * D + value_place(tile, key, chunk), v + (inside ? s.base + long(key0 + key) * s.step + d : 0), inside);
  }
}

// power is what a score counts relative to another: with TQ terms, of which one
// is rounded to bf16, scores are logarithms to base e or, for one, 2.
template <int TQ> DEVICE float power(float s) { return TQ == 1 ? fexp2(s) : fexp(s); }

// weigh turns a tile's scores into weights relative to the largest score of
// their row so far, and returns the factor of what was summed before. The keys
// begin..end are seen, all if whole.
template <int TQ, int P> DEVICE float weigh(Four (&score)[P], int half, float scale, bool whole, int begin, int end, float &top, float &sum) {
  float most = top;
  if (TQ == 1) scale *= LOG2E;
  UNROLL for (int j = 0; j < P; j++)
    UNROLL for (int e = 0; e < 2; e++) score[j].v[2 * half + e] *= scale;
  if (!whole)
    UNROLL for (int j = 0; j < P; j++)
      UNROLL for (int e = 0; e < 2; e++) {
        int key = 8 * j + e;
        if (key < begin || key >= end) score[j].v[2 * half + e] = -infinity();
      }
  UNROLL for (int j = 0; j < P; j++)
    UNROLL for (int e = 0; e < 2; e++) most = larger(score[j].v[2 * half + e], most);
  most = quad_max(most);
  float from = most == -infinity() ? 0.0f : most; // no key yet: all weights are 0
  float factor = power<TQ>(top - from);
  top = most;
  sum *= factor;
  UNROLL for (int j = 0; j < P; j++)
    UNROLL for (int e = 0; e < 2; e++) {
      float w = power<TQ>(score[j].v[2 * half + e] - from);
      score[j].v[2 * half + e] = w;
      sum += w;
    }
  return factor;
}

// weights are the terms of two neighbouring ones; one term is rounded.
template <int N> DEVICE Terms<N> weights(const Four &low, const Four &high) {
  Terms<N> s;
  UNROLL for (int i = 0; i < 4; i++) {
    const Four &w = i < 2 ? low : high;
    float a = w.v[2 * (i % 2)], b = w.v[2 * (i % 2) + 1];
    if (N == 1)
      s.pair[0][i] = bf16_pair(a, b);
    else
      split<N>(s, i, a, b);
  }
  return s;
}

// add_values adds to out the weighted values of 16 keys: out's columns 2t and
// 2t + 1 of piece i are elements 64(i / 8) + 16t + i % 8 and 8 more.
template <int TQ, int N, int D, class T> DEVICE void add_values(Four (&out)[D / 8], const Terms<TQ> &w, LOCAL(const T) tile, int g, int four) {
  UNROLL for (int part = 0; part < D / 64; part++) {
    Values<N> low = values<N>(tile, D, 2 * four, 8 * part + g), high = values<N>(tile, D, 8 + 2 * four, 8 * part + g);
    UNROLL for (int j = 0; j < 8; j++) {
      if (TQ * N == 1) {
        matrix_add(out[8 * part + j], w.pair[0][0], w.pair[0][1], w.pair[0][2], w.pair[0][3], low.pair[0][j], high.pair[0][j]);
        continue;
      }
      Four more = {{0, 0, 0, 0}};
      UNROLL for (int last = TQ + N - 2 < 2 ? TQ + N - 2 : 2; last >= 0; last--)
        UNROLL for (int i = 0; i < TQ; i++)
          UNROLL for (int n = 0; n < N; n++)
            if (i + n == last) matrix_add(more, w.pair[i][0], w.pair[i][1], w.pair[i][2], w.pair[i][3], low.pair[n][j], high.pair[n][j]);
      UNROLL for (int e = 0; e < 4; e++) out[8 * part + j].v[e] += more.v[e];
    }
  }
}

// FlashPart is where the warps that share keys leave what they found of rows:
// weighted values [warps][rows][width], and of each row the largest score and the sum.
template <int Rows, int D> DEVICE LOCAL(float) part_values(LOCAL(float) parts, int share, int row) { return parts + (share * Rows + row) * D; }
template <int Rows, int D> DEVICE LOCAL(float) part_sums(LOCAL(float) parts, int share, int row) {
  return parts + flash_warps * 16 * D + 2 * (share * Rows + row);
}

// put_part leaves a warp's part of the row g of each half.
template <int Rows, int D>
DEVICE void put_part(LOCAL(float) parts, int share, int row, int half, int four, const Four (&out)[D / 8], float top, float sum) {
  UNROLL for (int i = 0; i < D / 8; i++)
    UNROLL for (int e = 0; e < 2; e++) part_values<Rows, D>(parts, share, row)[i / 8 * 64 + 16 * four + 8 * e + i % 8] = out[i].v[2 * half + e];
  if (four > 0) return;
  part_sums<Rows, D>(parts, share, row)[0] = top;
  part_sums<Rows, D>(parts, share, row)[1] = sum;
}

// add_parts adds up what the shares of the keys gave.
template <int TQ, int Rows, int D>
DEVICE void add_parts(Thread t, ARGS(AttentionArgs) a, LOCAL(float) parts, int rows, int row0, GLOBAL(float) y) {
  const int shares = flash_warps * 16 / Rows;
  for (int i = t.index; i < rows * a.dim; i += WARP * flash_warps) {
    int row = i / a.dim, d = i % a.dim;
    float top = -infinity(), sum = 0, v = 0;
    UNROLL for (int s = 0; s < shares; s++) top = larger(top, part_sums<Rows, D>(parts, s, row)[0]);
    UNROLL for (int s = 0; s < shares; s++) {
      float factor = power<TQ>(part_sums<Rows, D>(parts, s, row)[0] - (top == -infinity() ? 0.0f : top));
      sum += factor * part_sums<Rows, D>(parts, s, row)[1];
      v += factor * part_values<Rows, D>(parts, s, row)[d];
    }
    v /= sum;
    y[(long(row0 + row) * a.heads + t.group_y) * a.dim + d] = a.round ? to_float(to_bf16(v)) : v;
  }
}

// flash: T is the type of keys and values, N the terms that hold them, TQ those
// of queries and weights; D is the width of a head with its padding. RW warps
// have rows of their own.
template <int TQ, class T, int N, int D, int RW>
DEVICE void flash(Thread t, ARGS(AttentionArgs) a, GLOBAL(const float) q, GLOBAL(const T) k, GLOBAL(const T) v, GLOBAL(const int) table,
                  GLOBAL(const int) tiles, GLOBAL(float) y, LOCAL(uchar) shared) {
  int place = 3 * (a.rows - 1 - t.group_x), head = t.group_y; // rows counts tiles; the longest come first
  int segment = tiles[place], first = tiles[place + 1], row0 = tiles[place + 2];
  int slot = table[3 * segment], offset = first, real = table[3 * segment + 2];
  const int most_rows = 16 * RW, pieces = 8 * RW / flash_warps; // of eight keys, a warp's
  int rows = real - first < most_rows ? real - first : most_rows;
  if (slot < 0 || rows <= 0) return; // padding: the whole block
  if (a.cached) offset += table[3 * segment + 1];

  Keys keys = {long(row0 - first) * a.kvHeads * a.dim, a.kvHeads * a.dim, a.dim, a.causal ? offset + rows : a.cached ? a.keys : real};
  int kv = head / (a.heads / a.kvHeads), from = a.window > 0 && offset >= a.window ? (offset - a.window + 1) / flash_tile * flash_tile : 0;
  if (a.cached) {
    keys.base = ((long(a.layer) * a.slots + (slot < a.slots ? slot : 0)) * a.kvHeads + kv) * a.capacity * a.dim;
    keys.step = a.dim;
    if (keys.end > a.capacity) keys.end = a.capacity;
  } else {
    keys.base += kv * a.dim;
  }

  LOCAL(float) qs = (LOCAL(float))shared;
  LOCAL(T) ks = (LOCAL(T))(qs + most_rows * D);
  LOCAL(T) vs = ks + flash_tile * D;
  fetch_keys<float, D, most_rows>(t, Keys{(long(row0) * a.heads + head) * a.dim, a.heads * a.dim, a.dim, rows}, q, 0, qs);
  fetch_keys<T, D, flash_tile>(t, keys, k, from, ks);
  copies_end();
  int warp = t.index / WARP % RW, share = t.index / WARP / RW, g = t.index % WARP / 4, four = t.index % 4;
  Four out[D / 8];
  UNROLL for (int i = 0; i < D / 8; i++) out[i] = Four{{0, 0, 0, 0}};
  float top[2] = {-infinity(), -infinity()}, sum[2] = {0, 0};

  // Queries of one term stay in registers.
  const int held = TQ == 1 ? D / slab : 1;
  Terms<TQ> low[held], high[held];
  copies_wait<0>();
  barrier();
  if (TQ == 1)
    UNROLL for (int part = 0; part < held; part++) {
      LOCAL(const float) qt = qs + (part * most_rows + 16 * warp) * slab;
      low[part] = terms<TQ>(qt, g, four);
      high[part] = terms<TQ>(qt, g + 8, four);
    }

  for (int key0 = from; key0 < keys.end; key0 += flash_tile) {
    copies_wait<0>();
    barrier(); // the keys are here, the last values have been used
    fetch_values<T, D>(t, keys, v, key0, vs);
    copies_end();
    Four score[pieces];
    UNROLL for (int j = 0; j < pieces; j++) score[j] = Four{{0, 0, 0, 0}};
    UNROLL_BY(held) for (int part = 0; part < D / slab; part++) {
      if (16 * warp >= rows) continue;
      LOCAL(const float) qt = qs + (part * most_rows + 16 * warp) * slab;
      LOCAL(const T) kt = ks + (part * flash_tile + 8 * pieces * share) * slab;
      if (TQ > 1) {
        low[0] = terms<TQ>(qt, g, four);
        high[0] = terms<TQ>(qt, g + 8, four);
      }
      const int at = TQ == 1 ? part : 0;
      UNROLL for (int j = 0; j < pieces; j++) add_slab(score[j], low[at], high[at], terms<N>(kt, 8 * j + g, four));
    }
    bool whole = key0 + flash_tile <= keys.end && (!a.causal || key0 + flash_tile <= offset + 1) && (a.window <= 0 || key0 > offset + rows - 1 - a.window);
    UNROLL for (int half = 0; half < 2; half++) {
      int position = offset + 16 * warp + 8 * half + g, end = a.causal && position < keys.end ? position + 1 : keys.end;
      int begin = a.window > 0 ? position - a.window + 1 : 0, lane0 = key0 + 8 * pieces * share + 2 * four;
      float factor = weigh<TQ>(score, half, a.scale, whole, begin - lane0, end - lane0, top[half], sum[half]);
      UNROLL for (int i = 0; i < D / 8; i++)
        UNROLL for (int e = 0; e < 2; e++) out[i].v[2 * half + e] *= factor;
    }
    copies_wait<0>();
    barrier(); // the values are here, the keys have been used
    if (key0 + flash_tile < keys.end) fetch_keys<T, D, flash_tile>(t, keys, k, key0 + flash_tile, ks);
    copies_end();
    UNROLL for (int s = 0; s < pieces / 2; s++)
      if (16 * warp < rows)
        add_values<TQ, N, D>(out, weights<TQ>(score[2 * s], score[2 * s + 1]), (LOCAL(const T))(vs + (8 * pieces * share + 16 * s) * D), g, four);
  }
  if (RW < flash_warps) barrier(); // all values have been used

  UNROLL for (int half = 0; half < 2; half++) {
    int row = 16 * warp + 8 * half + g;
    float total = quad_sum(sum[half]);
    if (row >= rows) continue;
    if (RW < flash_warps) {
      put_part<most_rows, D>((LOCAL(float))shared, share, row, half, four, out, top[half], total);
      continue;
    }
    long own = (long(row0 + row) * a.heads + head) * a.dim;
    UNROLL for (int i = 0; i < D / 8; i++)
      UNROLL for (int e = 0; e < 2; e++) {
        int d = i / 8 * 64 + 16 * four + 8 * e + i % 8;
        float o = out[i].v[2 * half + e] / total;
        if (d < a.dim) y[own + d] = a.round ? to_float(to_bf16(o)) : o;
      }
  }
  if (RW == flash_warps) return;
  barrier();
  add_parts<TQ, most_rows, D>(t, a, (LOCAL(float))shared, rows, row0, y);
}

#define FLASH(name, BLOCKS, TQ, T, N, D, RW)                                                                                \
  BOUNDED(WARP *flash_warps, BLOCKS, name, AttentionArgs, BUF(0, const float, q), BUF(1, const T, k), BUF(2, const T, v),   \
          BUF(3, const int, table), BUF(4, const int, tiles), BUF(5, float, y)) {                                           \
    DYNAMIC(shared);                                                                                                        \
    flash<TQ, T, N, D, RW>(THREAD, args, q, k, v, table, tiles, y, shared);                                                 \
  }

// The number of terms of q, then the type of keys and values and the width, of which a program has one.
#if FLASH_WIDTH == 64
FLASH(flash1_bf16_64, 3, 1, bf16, 1, 64, 4)
FLASH(flash3_bf16_64, 3, 3, bf16, 1, 64, 4)
FLASH(flash1_float_64, 3, 1, float, 1, 64, 4)
FLASH(flash3_float_64, 2, 3, float, 3, 64, 4)
FLASH(narrow1_bf16_64, 3, 1, bf16, 1, 64, 1)
FLASH(narrow3_bf16_64, 3, 3, bf16, 1, 64, 1)
FLASH(narrow1_float_64, 3, 1, float, 1, 64, 1)
FLASH(narrow3_float_64, 3, 3, float, 3, 64, 1)
#else
FLASH(flash1_bf16_128, 2, 1, bf16, 1, 128, 4)
FLASH(flash3_bf16_128, 2, 3, bf16, 1, 128, 4)
FLASH(flash1_float_128, 2, 1, float, 1, 128, 4)
FLASH(flash3_float_128, 2, 3, float, 3, 128, 4)
#endif

#endif
