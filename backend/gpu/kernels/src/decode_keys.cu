// A round of keys on a desk, element by element, for any cache and any heads. Warps take keys of their own, so that none waits for another.

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

// Softmax is the state of an online softmax over the keys of the lanes that share one. Each has some elements of their values.
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

// take_keys adds the warp's keys of a round of n to the state; lanes share a key. Lanes past the last take that again, with no weight.
template <int H> DEVICE void take_keys(Softmax<H> &s, const Ring &r, Portion keys, Portion values, int n, Desk desk, float scale, int warp, int lane) {
  enum { most = H == 1 ? 2 : 4, deep = ROUND / SPAN < 1 ? 1 : ROUND / SPAN < most ? ROUND / SPAN : int(most) };
  const int place = lane / KEY_LANES;
  ROLLED for (int first = warp * KEYS; first < n; first += SPAN * deep) {
    int key[deep];
    bool there[deep];
    UNROLL for (int u = 0; u < deep; u++) {
      key[u] = first + u * SPAN + place;
      there[u] = key[u] < n;
      if (!there[u]) key[u] = n - 1;
    }
    float weight[H][deep];
    UNROLL for (int u = 0; u < deep; u++)
      UNROLL for (int h = 0; h < H; h++) weight[h][u] = 0;
    UNROLL for (int i = 0; i < PER_LANE; i++) {
      int piece = i * KEY_LANES + lane % KEY_LANES;
      if (piece >= PIECES) continue;
      Piece<KEY_TYPE> p[deep];
      UNROLL for (int u = 0; u < deep; u++) p[u] = piece_at<KEY_TYPE>(r.bytes + keys.at, key[u] * DIM + 8 * piece);
      UNROLL for (int h = 0; h < H; h++) {
        Eight query = query_piece(desk, h, piece);
        UNROLL for (int u = 0; u < deep; u++)
          UNROLL for (int e = 0; e < 8; e++) weight[h][u] += query.v[e] * element(p[u], e);
      }
    }
    UNROLL for (int h = 0; h < H; h++) {
      float top = s.top[h];
      UNROLL for (int u = 0; u < deep; u++) {
        float sum = lanes_sum(weight[h][u]) * scale;
        weight[h][u] = there[u] ? sum : -infinity();
        top = larger(top, weight[h][u]);
      }
      float factor = weight_of(s.top[h], top);
      s.top[h] = top;
      s.sum[h] *= factor;
      UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] *= factor;
      UNROLL for (int u = 0; u < deep; u++) s.sum[h] += weight[h][u] = weight_of(weight[h][u], top);
    }
    await(r, values);
    UNROLL for (int i = 0; i < PER_LANE; i++) {
      int piece = i * KEY_LANES + lane % KEY_LANES;
      Piece<VALUE_TYPE> p[deep];
      UNROLL for (int u = 0; u < deep; u++) p[u] = piece_at<VALUE_TYPE>(r.bytes + values.at, key[u] * DIM + 8 * (piece < PIECES ? piece : PIECES - 1));
      UNROLL for (int u = 0; u < deep; u++)
        UNROLL for (int h = 0; h < H; h++)
          UNROLL for (int e = 0; e < 8; e++) s.acc[h * HELD + 8 * i + e] += weight[h][u] * element(p[u], e);
    }
  }
}

// collect adds up the states of the lanes that hold the same elements of other keys and
// leaves the warp's result on the desk. Each exchange halves what a lane is left with.
template <int H> DEVICE void collect(Softmax<H> &s, Desk desk, int warp, int lane) {
  UNROLL for (int h = 0; h < H; h++) {
    float top = s.top[h];
    for (int mask = WARP / 2; mask >= KEY_LANES; mask /= 2) top = larger(top, as_float(shuffle_xor(as_uint(top), mask)));
    float factor = weight_of(s.top[h], top), sum = s.sum[h] * factor;
    UNROLL for (int i = 0; i < HELD; i++) s.acc[h * HELD + i] *= factor;
    for (int mask = WARP / 2; mask >= KEY_LANES; mask /= 2) sum += as_float(shuffle_xor(as_uint(sum), mask));
    if (lane == 0) {
      desk.sum[warp * H + h] = sum;
      desk.top[warp * H + h] = top;
    }
  }
  const int all = H * HELD;
  int n = all, first = 0;
  bool only = true; // lane with these elements that writes them
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
      only &= !upper;
    }
  }
  UNROLL for (int i = 0; i < all; i++)
    if (i < n && only) {
      int at = first + i, piece = at % HELD / 8 * KEY_LANES + lane % KEY_LANES;
      if (piece < PIECES) desk.part[(warp * H + at / HELD) * DIM + 8 * piece + at % 8] = s.acc[i];
    }
}
#endif
