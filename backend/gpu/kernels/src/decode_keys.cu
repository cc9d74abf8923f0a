// A round of keys on a desk, element by element, for any cache and any heads.

#if !MATRIX_KEYS
// Piece is 8 consecutive elements of a key or value as the cache stores them.
template <int Type> struct Piece {
  Words4 w[Type == BF16 ? 1 : 2];
};

template <int Type> DEVICE Piece<Type> piece_at(LOCAL(const uchar) portion, int element) {
  Piece<Type> p;
  UNROLL for (int i = 0; i < (Type == BF16 ? 1 : 2); i++) p.w[i] = local4(portion + element * (Type == BF16 ? 2 : 4) + 16 * i);
  return p;
}

template <int Type> DEVICE float element(const Piece<Type> &p, int i) {
  if (Type != BF16) return as_float(p.w[i / 4 % (Type == BF16 ? 1 : 2)].w[i % 4]);
  uint w = p.w[0].w[i / 2 % 4];
  return as_float(i % 2 == 0 ? w << 16 : w & 0xffff0000u);
}

// put_query stores an element of a query.
DEVICE void put_query(Desk desk, int head, int d, float v) { desk.query[head * DIM + d] = v; }

// query_piece is a piece of a query.
DEVICE Eight query_piece(Desk desk, int head, int piece) {
  Eight e = {};
  if (piece >= PIECES) return e;
  Four low = four(desk.query + head * DIM + 8 * piece), high = four(desk.query + head * DIM + 8 * piece + 4);
  UNROLL for (int i = 0; i < 4; i++) {
    e.v[i] = low.v[i];
    e.v[4 + i] = high.v[i];
  }
  return e;
}

// lanes_sum adds up the parts of the lanes that share a key.
DEVICE float lanes_sum(float v) {
  UNROLL for (int mask = KEY_LANES / 2; mask > 0; mask /= 2) v += as_float(shuffle_xor(as_uint(v), mask));
  return v;
}

// score_keys scores n cached keys of a portion; lanes share a key. Lanes past the last take that again.
template <int H> DEVICE void score_keys(LOCAL(const uchar) portion, int n, Desk desk, float scale, LOCAL(float) scores, int warp, int lane) {
  enum { deep = H == 1 ? 2 : 4 };
  const int place = lane / KEY_LANES;
  ROLLED for (int first = warp * KEYS; first < n; first += SPAN * deep) {
    float score[H][deep];
    UNROLL for (int u = 0; u < deep; u++)
      UNROLL for (int h = 0; h < H; h++) score[h][u] = 0;
    UNROLL for (int i = 0; i < PER_LANE; i++) {
      int piece = i * KEY_LANES + lane % KEY_LANES;
      if (piece >= PIECES) continue;
      Piece<KEY_TYPE> p[deep];
      UNROLL for (int u = 0; u < deep; u++) {
        int key = first + u * SPAN + place;
        p[u] = piece_at<KEY_TYPE>(portion, (key < n ? key : n - 1) * DIM + 8 * piece);
      }
      UNROLL for (int h = 0; h < H; h++) {
        Eight query = query_piece(desk, h, piece);
        UNROLL for (int u = 0; u < deep; u++)
          UNROLL for (int e = 0; e < 8; e++) score[h][u] += query.v[e] * element(p[u], e);
      }
    }
    UNROLL for (int h = 0; h < H; h++)
      UNROLL for (int u = 0; u < deep; u++) {
        int key = first + u * SPAN + place;
        float sum = lanes_sum(score[h][u]);
        if (lane % KEY_LANES == 0 && key < n) scores[h * SCORES + key] = sum * scale;
      }
  }
}

// Softmax is the state of an online softmax. Lanes that share a key have each some
// elements of its value; all threads agree on the top.
template <int H> struct Softmax {
  float top[H], sum[H], acc[H * HELD];
};

template <int H> DEVICE void begin(Softmax<H> &s) {
  UNROLL for (int i = 0; i < H * HELD; i++) s.acc[i] = 0;
  UNROLL for (int h = 0; h < H; h++) {
    s.top[h] = -infinity();
    s.sum[h] = 0;
  }
}

// take_values adds n scored keys of a portion to the state.
template <int H> DEVICE void take_values(Softmax<H> &s, LOCAL(const uchar) portion, int n, LOCAL(const float) scores, int warp, int lane) {
  UNROLL for (int h = 0; h < H; h++) {
    float top = s.top[h];
    ROLLED for (int j = lane; j < n; j += WARP) top = larger(top, scores[h * SCORES + j]);
    top = warp_max(top);
    if (s.top[h] != -infinity()) {
      float factor = rescale(s.top[h], top);
      s.sum[h] *= factor;
      UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] *= factor;
    }
    s.top[h] = top;
  }
  // A key's weight is wanted by all lanes that share it, for each head: lanes find these once and tell each other.
  enum { deep = H == 1 ? 2 : 4, weights = deep * H * KEYS, each = (weights + WARP - 1) / WARP };
  const int place = lane / KEY_LANES;
  ROLLED for (int first = warp * KEYS; first < n; first += SPAN * deep) {
    float weight[each];
    UNROLL for (int i = 0; i < each; i++) {
      int at = i * WARP + lane, head = at / KEYS % H, key = first + at / KEYS / H * SPAN + at % KEYS;
      float top = s.top[0];
      UNROLL for (int h = 1; h < H; h++) top = head == h ? s.top[h] : top;
      weight[i] = at < weights && key < n ? rescale(scores[head * SCORES + key], top) : 0.0f;
    }
    Piece<VALUE_TYPE> p[deep][PER_LANE];
    UNROLL for (int u = 0; u < deep; u++) {
      int key = first + u * SPAN + place;
      UNROLL for (int i = 0; i < PER_LANE; i++) {
        int piece = i * KEY_LANES + lane % KEY_LANES;
        p[u][i] = piece_at<VALUE_TYPE>(portion, (key < n ? key : n - 1) * DIM + 8 * (piece < PIECES ? piece : PIECES - 1));
      }
    }
    UNROLL for (int u = 0; u < deep; u++)
      UNROLL for (int h = 0; h < H; h++) {
        const int at = (u * H + h) * KEYS; // KEYS divides WARP
        float w = as_float(shuffle(as_uint(weight[at / WARP]), at % WARP + place));
        s.sum[h] += w;
        UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] += w * element(p[u][i / 8], i % 8);
      }
  }
}

// collect adds up the states of the lanes that hold the same elements of other keys and
// leaves the warp's result on the desk. Each exchange halves what a lane is left with.
template <int H> DEVICE void collect(Softmax<H> &s, Desk desk, int warp, int lane) {
  UNROLL for (int h = 0; h < H; h++) {
    float sum = s.sum[h];
    for (int mask = WARP / 2; mask >= KEY_LANES; mask /= 2) sum += as_float(shuffle_xor(as_uint(sum), mask));
    if (lane == 0) desk.sum[warp * H + h] = sum;
  }
  const int all = H * HELD;
  int n = all, first = 0;
  UNROLL for (int step = 0; step < 5; step++) {
    const int mask = WARP / 2 >> step;
    if (mask < KEY_LANES) continue;
    bool upper = (lane & mask) != 0;
    if (n % 2 == 0) {
      n /= 2;
      UNROLL for (int i = 0; i < all / 2; i++)
        if (i < n) {
          float keep = upper ? s.acc[i + n] : s.acc[i], send = upper ? s.acc[i] : s.acc[i + n];
          s.acc[i] = keep + as_float(shuffle_xor(as_uint(send), mask));
        }
      first += upper ? n : 0;
    } else {
      UNROLL for (int i = 0; i < all; i++)
        if (i < n) s.acc[i] += as_float(shuffle_xor(as_uint(s.acc[i]), mask));
    }
  }
  UNROLL for (int i = 0; i < all; i++)
    if (i < n) {
      int at = first + i, piece = at % HELD / 8 * KEY_LANES + lane % KEY_LANES;
      if (piece < PIECES) desk.part[(warp * H + at / HELD) * DIM + 8 * piece + at % 8] = s.acc[i];
    }
}
#endif
