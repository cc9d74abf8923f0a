// A round of keys on a desk by matrix units, for caches in bf16 and heads of a multiple of 64 elements.
//
// Lane l is at place t = l % 4 of group g = l / 4. What matrix_add sums over may have any order
// as long as both operands have the same, so lanes read keys and values 16 bytes at a time.

#if MATRIX_KEYS
enum {
  HALVES = DIM / 64,
  WEIGHT_TERMS = ROUNDED ? 2 : 3 // of bf16 to a weight
};

// put_query stores an element of a query as TERMS numbers in bf16, [TERMS, JOB_HEADS, DIM].
DEVICE void put_query(Desk desk, int head, int d, float v) {
  LOCAL(ushort) to = (LOCAL(ushort))desk.query + head * DIM + d;
  UNROLL for (int term = 0; term < TERMS; term++) {
    bf16 b = to_bf16(v);
    to[term * JOB_HEADS * DIM] = b.bits;
    v -= to_float(b);
  }
}

// score_keys scores n keys of a portion, eight of a warp at a time: a group has a key, and as
// a row of the left operand a head. Groups past the last take that key again.
template <int H> DEVICE void score_keys(LOCAL(const uchar) portion, int n, Desk desk, float scale, LOCAL(float) scores, int warp, int lane) {
  const int g = lane / 4, t = lane % 4;
  const bool odd = g % 2 == 1;
  const Words4 zero = {{0, 0, 0, 0}};
  Words4 q[TERMS][2 * HALVES];
  UNROLL for (int term = 0; term < TERMS; term++)
    UNROLL for (int i = 0; i < 2 * HALVES; i++)
      q[term][i] = g < H ? local4((LOCAL(const uchar))desk.query + 2 * (term * JOB_HEADS + g) * DIM + 64 * i + 16 * t) : zero;
  ROLLED for (int first = 8 * warp; first < n; first += 8 * WARPS) {
    LOCAL(const uchar) key = portion + (first + g < n ? first + g : n - 1) * KEY_BYTES + 16 * t;
    Four c[TERMS];
    UNROLL for (int term = 0; term < TERMS; term++) c[term] = Four{{0, 0, 0, 0}};
    UNROLL for (int i = 0; i < 2 * HALVES; i += 2) {
      // Groups beside each other read other banks.
      Words4 mine = local4(key + 64 * (i + (odd ? 1 : 0))), next = local4(key + 64 * (i + (odd ? 0 : 1)));
      UNROLL for (int j = 0; j < 4; j++) {
        uint w = mine.w[j];
        mine.w[j] = odd ? next.w[j] : w;
        next.w[j] = odd ? w : next.w[j];
      }
      UNROLL for (int term = 0; term < TERMS; term++)
        UNROLL for (int j = 0; j < 4; j += 2) {
          matrix_add(c[term], q[term][i].w[j], 0, q[term][i].w[j + 1], 0, mine.w[j], mine.w[j + 1]);
          matrix_add(c[term], q[term][i + 1].w[j], 0, q[term][i + 1].w[j + 1], 0, next.w[j], next.w[j + 1]);
        }
    }
    UNROLL for (int i = 0; i < 2; i++) {
      float sum = 0;
      UNROLL for (int term = TERMS - 1; term >= 0; term--) sum += c[term].v[i];
      if (g < H && first + 2 * t + i < n) scores[g * SCORES + first + 2 * t + i] = sum * scale;
    }
  }
}

// Softmax is the state of an online softmax. All threads agree on the top. Group g has a part of the sum of head g's weights;
// accumulator 8 i + m has elements 128 i + 8 g + m and 64 after these of heads 2 t and 2 t + 1.
template <int H> struct Softmax {
  float top[H], sum;
  Four c[8 * ((HALVES + 1) / 2)];
};

template <int H> DEVICE void begin(Softmax<H> &s) {
  UNROLL for (int h = 0; h < H; h++) s.top[h] = -infinity();
  UNROLL for (int i = 0; i < 8 * ((HALVES + 1) / 2); i++) s.c[i] = Four{{0, 0, 0, 0}};
  s.sum = 0;
}

// of_head is a head's number of several, or any.
template <int H> DEVICE float of_head(const float *v, int head) {
  float x = v[0];
  UNROLL for (int h = 1; h < H; h++) x = head == h ? v[h] : x;
  return x;
}

// take_values adds n scored keys of a portion to the state, 16 of a warp at a time: place t has keys 2 t, 2 t + 1, 2 t + 8 and 2 t + 9.
template <int H> DEVICE void take_values(Softmax<H> &s, LOCAL(const uchar) portion, int n, LOCAL(const float) scores, int warp, int lane) {
  const int g = lane / 4, t = lane % 4;
  bool begun = false;
  float factor[H];
  UNROLL for (int h = 0; h < H; h++) {
    float top = s.top[h];
    ROLLED for (int j = lane; j < n; j += WARP) top = larger(top, scores[h * SCORES + j]);
    top = warp_max(top);
    begun |= s.top[h] != -infinity();
    factor[h] = rescale(s.top[h], top);
    s.top[h] = top;
  }
  if (begun) {
    const float low = of_head<H>(factor, 2 * t), high = of_head<H>(factor, 2 * t + 1);
    s.sum *= of_head<H>(factor, g);
    UNROLL for (int i = 0; i < 8 * ((HALVES + 1) / 2); i++)
      UNROLL for (int j = 0; j < 4; j++) s.c[i].v[j] *= j % 2 == 0 ? low : high;
  }
  const float top = of_head<H>(s.top, g);
  ROLLED for (int first = 16 * warp; first < n; first += 16 * WARPS) {
    float weight[4];
    Words4 v[4][HALVES];
    UNROLL for (int i = 0; i < 4; i++) {
      int key = first + 2 * t + i % 2 + i / 2 * 8;
      weight[i] = g < H && key < n ? rescale(scores[g * SCORES + key], top) : 0.0f;
      s.sum += weight[i];
      UNROLL for (int half = 0; half < HALVES; half++) v[i][half] = local4(portion + (key < n ? key : n - 1) * VALUE_BYTES + 128 * half + 16 * g);
    }
    uint p[WEIGHT_TERMS][2];
    UNROLL for (int term = 0; term < WEIGHT_TERMS; term++)
      UNROLL for (int i = 0; i < 2; i++) {
        uint pair = bf16_pair(weight[2 * i], weight[2 * i + 1]);
        p[term][i] = pair;
        weight[2 * i] -= as_float(pair << 16);
        weight[2 * i + 1] -= as_float(pair & 0xffff0000u);
      }
    UNROLL for (int half = 0; half < HALVES; half += 2)
      UNROLL for (int m = 0; m < 8; m++) {
        uint a[4];
        UNROLL for (int i = 0; i < 4; i++) { // as matrix_add wants them: of the first half and the second, of the first keys and the last
          int from = half + i % 2;
          uint even = from < HALVES ? v[i / 2 * 2][from < HALVES ? from : 0].w[m / 2] : 0, odd = from < HALVES ? v[i / 2 * 2 + 1][from < HALVES ? from : 0].w[m / 2] : 0;
          a[i] = m % 2 == 0 ? low_halves(even, odd) : high_halves(even, odd);
        }
        UNROLL for (int term = 0; term < WEIGHT_TERMS; term++) matrix_add(s.c[4 * half + m], a[0], a[1], a[2], a[3], p[term][0], p[term][1]);
      }
  }
}

// collect leaves a warp's result on the desk.
template <int H> DEVICE void collect(Softmax<H> &s, Desk desk, int warp, int lane) {
  const int g = lane / 4, t = lane % 4;
  float sum = s.sum;
  UNROLL for (int mask = 1; mask < 4; mask *= 2) sum += as_float(shuffle_xor(as_uint(sum), mask));
  if (t == 0 && g < H) desk.sum[warp * H + g] = sum;
  UNROLL for (int i = 0; i < 4; i++) {
    const int head = 2 * t + i % 2;
    if (head >= H) continue;
    UNROLL for (int half = i / 2; half < HALVES; half += 2)
      UNROLL for (int m = 0; m < 8; m++) desk.part[(warp * H + head) * DIM + 64 * half + 8 * g + m] = s.c[half / 2 * 8 + m].v[i];
  }
}
#endif
