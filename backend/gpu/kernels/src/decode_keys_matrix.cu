// A round of keys on a desk by matrix units, for caches in bf16 and heads of a multiple of 64 elements.
//
// A warp takes 16 keys at a time, from scores to values, in registers. Keys are the rows of the left operand for the scores, elements for
// the values; heads are the columns. Lane l is at place t = l % 4 of group g = l / 4. What matrix_add sums over may have any order
// as long as both operands have the same, so lanes read keys and values 16 bytes at a time.

#if MATRIX_KEYS
enum {
  HALVES = DIM / 64,             // of a key: 128 bytes; of what a lane has of a value: 16 bytes
  WEIGHT_TERMS = ROUNDED ? 2 : 3 // of bf16 to a weight
};
static_assert(JOB_HEADS <= 8, "there is a column for each head");

// put_query stores an element of a query as TERMS numbers in bf16, [TERMS, JOB_HEADS, DIM].
DEVICE void put_query(Desk desk, int head, int d, float v) {
  LOCAL(ushort) to = (LOCAL(ushort))desk.query + head * DIM + d;
  UNROLL for (int term = 0; term < TERMS; term++) {
    bf16 b = to_bf16(v);
    to[term * JOB_HEADS * DIM] = b.bits;
    v -= to_float(b);
  }
}

// swap_if lets two change places.
DEVICE void swap_if(bool swap, Words4 &a, Words4 &b) {
  UNROLL for (int j = 0; j < 4; j++) {
    uint w = a.w[j];
    a.w[j] = swap ? b.w[j] : w;
    b.w[j] = swap ? w : b.w[j];
  }
}

// Softmax is the state of an online softmax over a warp's keys, of heads 2 t and 2 t + 1: the top, the lane's part of the sum of
// weights and in accumulator i elements DIM / 8 g + 2 i (v[0], v[1]) and the next (v[2], v[3]).
template <int H> struct Softmax {
  float top[2], sum[2];
  bool begun;
  Four c[DIM / 16];
};

template <int H> DEVICE void begin(Softmax<H> &s) {
  UNROLL for (int j = 0; j < 2; j++) {
    s.top[j] = -infinity();
    s.sum[j] = 0;
  }
  s.begun = false;
  UNROLL for (int i = 0; i < DIM / 16; i++) s.c[i] = Four{{0, 0, 0, 0}};
}

// score_keys scores 16 keys of a portion of n, those past the last as -∞: key g (v[0], v[1]) and the eighth after it (v[2], v[3]) by heads 2 t and 2 t + 1.
template <int H> DEVICE Four score_keys(LOCAL(const uchar) portion, int first, int n, Desk desk, float scale, int lane) {
  const int g = lane / 4, t = lane % 4;
  const bool odd = g % 2 == 1;
  Four c[CHAINS];
  UNROLL for (int i = 0; i < CHAINS; i++) c[i] = Four{{0, 0, 0, 0}};
  LOCAL(const uchar) key[2];
  UNROLL for (int i = 0; i < 2; i++) key[i] = portion + (first + 8 * i + g < n ? first + 8 * i + g : n - 1) * KEY_BYTES + 16 * t;
  UNROLL for (int half = 0; half < HALVES; half++) {
    Words4 k[2][2], q[TERMS][2];
    UNROLL for (int i = 0; i < 2; i++) {
      UNROLL for (int j = 0; j < 2; j++) k[i][j] = local4(key[i] + 128 * half + (odd ? 64 - 64 * j : 64 * j)); // groups beside each other read other banks
      swap_if(odd, k[i][0], k[i][1]);
    }
    UNROLL for (int term = 0; term < TERMS; term++)
      UNROLL for (int j = 0; j < 2; j++) {
        q[term][j] = Words4{{0, 0, 0, 0}};
        if (g < H) q[term][j] = local4((LOCAL(const uchar))desk.query + 2 * (term * JOB_HEADS + g) * DIM + 128 * half + 64 * j + 16 * t);
      }
    UNROLL for (int j = 0; j < 2; j++)
      UNROLL for (int w = 0; w < 4; w += 2)
        UNROLL for (int term = 0; term < TERMS; term++)
          matrix_add(c[TERMS == 1 ? j : term], k[0][j].w[w], k[1][j].w[w], k[0][j].w[w + 1], k[1][j].w[w + 1], q[term][j].w[w], q[term][j].w[w + 1]);
  }
  Four score;
  UNROLL for (int i = 0; i < 4; i++) {
    float sum = c[CHAINS - 1].v[i];
    UNROLL for (int j = CHAINS - 2; j >= 0; j--) sum += c[j].v[i];
    score.v[i] = first + i / 2 * 8 + g < n ? sum * scale : -infinity();
  }
  return score;
}

// weigh makes scores weights and all that the state has relative to the new top.
template <int H> DEVICE void weigh(Softmax<H> &s, Four &score) {
  float factor[2] = {0, 0};
  UNROLL for (int j = 0; j < (H > 1 ? 2 : 1); j++) {
    float top = larger(score.v[j], score.v[2 + j]);
    UNROLL for (int mask = 4; mask < WARP; mask *= 2) top = larger(top, as_float(shuffle_xor(as_uint(top), mask)));
    top = larger(top, s.top[j]);
    factor[j] = weight_of(s.top[j], top);
    s.top[j] = top;
    UNROLL for (int i = j; i < 4; i += 2) score.v[i] = weight_of(score.v[i], top);
    s.sum[j] = s.sum[j] * factor[j] + (score.v[j] + score.v[2 + j]);
  }
  if (s.begun) {
    UNROLL for (int i = 0; i < DIM / 16; i++)
      UNROLL for (int j = 0; j < 4; j++) s.c[i].v[j] *= factor[j % 2];
  }
  s.begun = true;
}

// add_values adds 16 values of a portion of n times their weights.
template <int H> DEVICE void add_values(Softmax<H> &s, LOCAL(const uchar) portion, int first, int n, Four weight, int lane) {
  const int g = lane / 4, t = lane % 4;
  const bool odd = HALVES % 2 == 0 && t % 2 == 1;
  Words4 v[4][HALVES]; // of keys 2 t, 2 t + 1, 2 t + 8 and 2 t + 9
  UNROLL for (int i = 0; i < 4; i++) {
    int at = first + 2 * t + i % 2 + i / 2 * 8;
    LOCAL(const uchar) value = portion + (at < n ? at : n - 1) * VALUE_BYTES + DIM / 4 * g;
    UNROLL for (int half = 0; half < HALVES; half++) v[i][half] = local4(value + 16 * (odd ? half ^ 1 : half)); // places beside each other read other banks
    UNROLL for (int half = 0; half + 1 < HALVES; half += 2) swap_if(odd, v[i][half], v[i][half + 1]);
  }
  uint p[WEIGHT_TERMS][2]; // of head g and the same keys
  UNROLL for (int term = 0; term < WEIGHT_TERMS; term++)
    UNROLL for (int i = 0; i < 2; i++) {
      uint pair = bf16_pair(weight.v[2 * i], weight.v[2 * i + 1]);
      p[term][i] = transposed(pair);
      weight.v[2 * i] -= as_float(pair << 16);
      weight.v[2 * i + 1] -= as_float(pair & 0xffff0000u);
    }
  UNROLL for (int term = 0; term < WEIGHT_TERMS; term++)
    UNROLL for (int i = 0; i < DIM / 16; i++) {
      uint w[4];
      UNROLL for (int j = 0; j < 4; j++) w[j] = v[j][i / 4].w[i % 4];
      matrix_add(s.c[i], low_halves(w[0], w[1]), high_halves(w[0], w[1]), low_halves(w[2], w[3]), high_halves(w[2], w[3]), p[term][0], p[term][1]);
    }
}

// take_keys adds the warp's keys of a round of n to the state.
template <int H> DEVICE void take_keys(Softmax<H> &s, const Ring &r, Portion keys, Portion values, int n, Desk desk, float scale, int warp, int lane) {
  ROLLED for (int first = 16 * warp; first < n; first += 16 * WARPS) {
    Four weight = score_keys<H>(r.bytes + keys.at, first, n, desk, scale, lane);
    weigh<H>(s, weight);
    await(r, values);
    add_values<H>(s, r.bytes + values.at, first, n, weight, lane);
  }
}

// collect leaves a warp's result on the desk.
template <int H> DEVICE void collect(Softmax<H> &s, Desk desk, int warp, int lane) {
  const int g = lane / 4, t = lane % 4;
  UNROLL for (int j = 0; j < (H > 1 ? 2 : 1); j++) {
    float sum = s.sum[j];
    UNROLL for (int mask = 4; mask < WARP; mask *= 2) sum += as_float(shuffle_xor(as_uint(sum), mask));
    if (g == 0 && 2 * t + j < H) {
      desk.sum[warp * H + 2 * t + j] = sum;
      desk.top[warp * H + 2 * t + j] = s.top[j];
    }
  }
  UNROLL for (int j = 0; j < (H > 1 ? 2 : 1); j++) {
    if (2 * t + j >= H) continue;
    LOCAL(float) part = desk.part + (warp * H + 2 * t + j) * DIM + DIM / 8 * g;
    UNROLL for (int i = 0; i < DIM / 16; i += 2) {
      uint w[4] = {as_uint(s.c[i].v[j]), as_uint(s.c[i].v[2 + j]), as_uint(s.c[i + 1].v[j]), as_uint(s.c[i + 1].v[2 + j])};
      put_local4((LOCAL(uint))part + 2 * i, w);
    }
  }
}
#endif
