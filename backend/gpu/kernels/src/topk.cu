// The k largest of a row: first of each chunk, then of the chunks' results.

// Rank orders candidates: by number, a NaN above all, and of equals the first.
struct Rank {
  uint number; // in the order of floats
  uint place;  // larger is earlier
};

DEVICE Rank rank_of(float v, int id) {
  uint u = as_uint(v + 0.0f); // -0 becomes 0
  u = v != v ? ~0u : u >> 31 ? ~u : u | 0x80000000u;
  return Rank{u, ~uint(id)};
}

DEVICE bool below(Rank a, Rank b) { return a.number < b.number || (a.number == b.number && a.place < b.place); }

DEVICE Rank warp_best(Rank r) {
  for (int mask = WARP / 2; mask > 0; mask /= 2) {
    Rank o = {shuffle_xor(r.number, mask), shuffle_xor(r.place, mask)};
    if (below(r, o)) r = o;
  }
  return r;
}

DEVICE float number_of(Rank r) {
  if (r.number == ~0u) return as_float(0x7fc00000u);
  return as_float(r.number >> 31 ? r.number ^ 0x80000000u : ~r.number);
}

// top_k writes the best k of each chunk of each row, [rows, chunks, k]. With
// ids the row holds candidates; those with a negative id are none.
KERNEL(top_k, TopKArgs, BUF(0, const float, x), BUF(1, const int, ids), BUF(2, int, best), BUF(3, float, values)) {
  const Thread t = THREAD;
  SHARED(uint, numbers, WARP);
  SHARED(uint, places, WARP);
  long row = long(t.group_x) * args.width, out = (long(t.group_x) * args.chunks + t.group_y) * args.k;
  int from = t.group_y * args.chunk, to = from + args.chunk < args.width ? from + args.chunk : args.width;
  Rank last = {0, 0};
  for (int k = 0; k < args.k; k++) {
    Rank r = {0, 0}; // none: no float has the number 0
    for (int i = from + t.index; i < to; i += t.count) {
      int id = args.withIDs ? ids[row + i] : i;
      Rank c = rank_of(x[row + i], id);
      if (id >= 0 && (k == 0 || below(c, last)) && below(r, c)) r = c;
    }
    r = warp_best(r);
    barrier(); // the last round's ranks have been read
    if (t.index % WARP == 0) {
      numbers[t.index / WARP] = r.number;
      places[t.index / WARP] = r.place;
    }
    barrier();
    for (int w = 0; w < t.count / WARP; w++) {
      Rank o = {numbers[w], places[w]};
      if (below(r, o)) r = o;
    }
    last = r;
    if (t.index == 0) {
      best[out + k] = r.number == 0 ? -1 : int(~r.place);
      if (args.withValues) values[out + k] = number_of(r);
    }
  }
}
