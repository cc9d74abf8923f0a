// Attention of one row over a cache. Few keys are taken by every block that multiplies a head's result; many are shared among blocks.

// attend computes the attention of H heads from query head first on over a job's keys, in rounds of a portion.
// finish(h, d, element, sum, top) gets the elements of the result, times sum. If write,
// the row's key and value go into the caches.
template <int H, class Finish>
DEVICE void attend(ARGS(DecodeArgs) a, Ring &r, Keys k, int head, bool write, int position, GLOBAL(uchar) keys, GLOBAL(uchar) values,
                   GLOBAL(const float) vectors, GLOBAL(Word) qkv, uint epoch, Desk desk, int warp, int lane, Finish finish) {
  const int kv = kv_head(head);
  const long place = k.element + long(position) * DIM;
  const bool own = k.own;
  Round n = first_round(k);
  Portion some_keys = {0, 0}, some_values = {0, 0};
  auto take_portions = [&]() {
    if (n.all == 0) return;
    some_keys = next_portion(r, n.all * KEY_BYTES);
    some_values = next_portion(r, n.all * VALUE_BYTES);
  };
  take_portions();
  ROLLED for (int task = warp; task < H + 2; task += WARPS) {
    if (task < H) {
      prepare(qkv, (head + task) * DIM, epoch, vectors + QUERY_NORM, a.headEps, true, desk.raw + task * DIM, desk.rotary, lane,
              [&](int d, float x) { put_query(desk, task, d, rounded(x)); });
      continue;
    }
    const bool of_keys = task == H;
    if (own) await(r, of_keys ? some_keys : some_values); // its memory is ours from then on
    if (of_keys) {
      LOCAL(uchar) row = r.bytes + some_keys.at + n.cached * KEY_BYTES;
      prepare(qkv, (HEADS + kv) * DIM, epoch, vectors + KEY_NORM, a.headEps, true, desk.raw + H * DIM, desk.rotary, lane, [&](int d, float x) {
        if (own) put_element<KEY_TYPE>(row, d, x);
        if (write) store(keys, KEY_TYPE, place + d, x);
      });
    } else {
      LOCAL(uchar) row = r.bytes + some_values.at + n.cached * VALUE_BYTES;
      prepare(qkv, (HEADS + KV_HEADS + kv) * DIM, epoch, vectors, 0.0f, false, desk.raw + H * DIM, desk.rotary, lane, [&](int d, float x) {
        if (own) put_element<VALUE_TYPE>(row, d, x);
        if (write) store(values, VALUE_TYPE, place + d, x);
      });
    }
    copies_follow();
  }
  barrier_of(THREADS);

  Softmax<H> s;
  begin(s);
  ROLLED while (n.all > 0) {
    await(r, some_keys);
    take_keys<H>(s, r, some_keys, some_values, n.all, desk, a.scale * LOG2E, warp, lane);
    await(r, some_values); // also without keys of the round
    warp_barrier();
    leave(r, some_keys);
    leave(r, some_values);
    n = next_round(k, n);
    take_portions();
  }
  collect(s, desk, warp, lane);
  barrier_of(THREADS);
  ROLLED for (int i = warp * WARP + lane; i < H * DIM; i += THREADS) {
    int h = i / DIM;
    float top = desk.top[h], sum = 0, e = 0;
    UNROLL for (int w = 1; w < WARPS; w++) top = larger(top, desk.top[w * H + h]);
    UNROLL for (int w = 0; w < WARPS; w++) {
      float factor = weight_of(desk.top[w * H + h], top);
      sum += desk.sum[w * H + h] * factor;
      e += desk.part[w * H * DIM + i] * factor;
    }
    finish(h, i % DIM, e, sum, top);
  }
}

// put_part hands a part's result for an element on.
DEVICE void put_part(GLOBAL(ulong) parts, int split, int head, int d, float element, float sum, float top, uint epoch) {
  long part = (long(split) * HEADS + head) * PART;
  put_word(parts, part + 2 + d, as_uint(element), epoch);
  if (d > 0) return;
  put_word(parts, part, as_uint(sum), epoch);
  put_word(parts, part + 1, as_uint(top), epoch);
}

// merge adds up the parts of a head: four lanes share two elements. finish(d, element) gets the result.
template <class Finish> DEVICE void merge(int head, int splits, GLOBAL(ulong) parts, uint epoch, int warp, int lane, Finish finish) {
  auto part = [&](int split) { return (long(split) * HEADS + head) * PART; }; // an even number of words
  bool missing;
  if (warp + lane * WARPS < splits) { // one lane for a part asks until its numbers are there, before all ask for theirs
    do {
      missing = false;
      peek(parts, part(warp + lane * WARPS), epoch, missing);
    } while (missing);
  }
  warp_barrier();
  barrier_of(THREADS);
  enum { lanes = 4, batch = 4 };
  ROLLED for (int first = 0; first < DIM / 2; first += THREADS / lanes) {
    const int pair = first + (warp * WARP + lane) / lanes, at = 2 + 2 * (pair < DIM / 2 ? pair : DIM / 2 - 1);
    float e[2] = {0, 0};
    ROLLED for (int from = 0; from < splits; from += lanes * batch) {
      Quad scale, q[batch];
      do {
        missing = false;
        scale = peek(parts, part(lane < splits ? lane : 0), epoch, missing);
        UNROLL for (int i = 0; i < batch; i++) {
          int split = from + i * lanes + lane % lanes;
          q[i] = peek(parts, part(split < splits ? split : 0) + at, epoch, missing);
        }
      } while (missing);
      warp_barrier();
      float top = lane < splits ? as_float(scale.value[1]) : -infinity(), factor = weight_of(top, warp_max(top));
      factor = quick_divide(factor, warp_sum(as_float(scale.value[0]) * factor));
      UNROLL for (int i = 0; i < batch; i++) {
        int split = from + i * lanes + lane % lanes;
        float f = as_float(shuffle(as_uint(factor), split % WARP));
        UNROLL for (int j = 0; j < 2; j++) e[j] += split < splits && f != 0.0f ? as_float(q[i].value[j]) * f : 0.0f;
      }
    }
    UNROLL for (int j = 0; j < 2; j++)
      for (int mask = lanes / 2; mask > 0; mask /= 2) e[j] += as_float(shuffle_xor(as_uint(e[j]), mask));
    if (pair < DIM / 2 && lane % lanes < 2) finish(2 * pair + lane % lanes, lane % lanes == 0 ? e[0] : e[1]);
  }
}
