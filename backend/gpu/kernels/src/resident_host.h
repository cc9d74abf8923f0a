// What a kernel needs whose blocks wait for each other, for the emulator.
// Copies end late: at a random moment, or once nothing else gets on. Until
// then their place holds NaN.

namespace emu {

// Gate is the emulation of an mbarrier: a phase ends when as many threads as
// expected have arrived and all bytes of its copies with them.
struct Gate {
  ushort expected, pending;
  int bytes : 31;
  uint parity : 1;
};

struct Bulk {
  std::function<void()> copy;
  int bytes;
  Gate *gate;
};
static std::vector<Bulk> bulks;

UNWATCHED static void settle(Gate &g) {
  if (g.pending != 0 || g.bytes != 0) return;
  g.pending = g.expected;
  g.parity ^= 1;
  got_on();
}

static bool copying() { return !bulks.empty(); }

UNWATCHED static void land_bytes(void *to, const void *from, int bytes) { memcpy(to, from, bytes); }

UNWATCHED static void land() {
  size_t i = roll(uint(bulks.size()));
  Bulk b = bulks[i];
  bulks[i] = bulks.back();
  bulks.pop_back();
  b.copy();
  b.gate->bytes -= b.bytes;
  got_on();
  settle(*b.gate);
}

UNWATCHED static void arrive(Gate &g) {
  told(&g);
  if (g.pending == 0) fail("too many threads arrive at a gate", 0, g.expected);
  g.pending--;
  got_on();
  settle(g);
}

static Gate &gate_at(ulong *gate) {
  static Gate nowhere;
  return within(gate, 8) ? *(Gate *)gate : nowhere;
}

UNWATCHED static bool closed(const Gate &g, uint parity) { return g.parity == (parity & 1); }

} // namespace emu

#define RESIDENT 1
#define RESIDENT_KERNEL(threads, name, A, ...) KERNEL(name, A, __VA_ARGS__)

UNWATCHED DEVICE void gate_init(LOCAL(ulong) gate, int expected) {
  emu::gate_at(gate) = emu::Gate{ushort(expected), ushort(expected), 0, 0};
}
DEVICE void gates_ready() {}

DEVICE void gate_arrive(LOCAL(ulong) gate) { emu::arrive(emu::gate_at(gate)); }

// gate_wait returns after the end of the phase with a parity.
DEVICE void gate_wait(LOCAL(ulong) gate, uint parity) {
  while (emu::closed(emu::gate_at(gate), parity)) emu::yield("a gate");
  emu::learnt(&emu::gate_at(gate));
}

// gate_expect arrives at a gate, which then waits for copies of so many bytes.
UNWATCHED DEVICE void gate_expect(LOCAL(ulong) gate, int bytes) {
  emu::gate_at(gate).bytes += bytes;
  gate_arrive(gate);
}

DEVICE void bulk_copy(LOCAL(uchar) to, GLOBAL(const uchar) from, int bytes, LOCAL(ulong) gate) {
  if (bytes % 16 != 0 || uintptr_t(from.at) % 16 != 0 || uintptr_t(to) % 16 != 0) emu::fail("a bulk copy that is not aligned", bytes, 16);
  if (!emu::within(to, 16) || !emu::within(to + bytes - 16, 16)) return;
  if (&from[0] != from.at || &from[bytes - 1] != from.at + bytes - 1) return;
  memset(to, 0xff, bytes);
  emu::used(to, bytes, true);
  emu::told(&emu::gate_at(gate));
  emu::bulks.push_back({[=] { emu::land_bytes(to, from.at, bytes); }, bytes, &emu::gate_at(gate)});
}

DEVICE void copies_follow() {}

DEVICE void warp_barrier() {
  int warp = emu::current->thread / emu::warp_size;
  emu::meet(emu::warps[warp], emu::warp_threads(warp));
  emu::turned();
}

// barrier_of lets the first n threads of the block wait for each other.
DEVICE void barrier_of(int n) {
  emu::Block *b = emu::current->home;
  if (b->some.arrived < 0 || emu::current->thread >= n) emu::fail("a thread at a barrier that is not its own", emu::current->thread, n);
  emu::meet(b->some, n, "the rest of its block");
  emu::turned();
}

// shuffle gives each lane what the lane of a number has.
DEVICE uint shuffle(uint v, int lane) { return emu::exchange(v)[lane % emu::warp_size]; }

// matrices are four of 8 x 8 numbers of 16 bits as the operands of matrix_add hold them: lane l has
// numbers 2 (l % 4) and the next of row l / 4 of each. Row i % 8 of matrix i / 8 lies at row(i), 16 bytes that are aligned.
template <class Row> DEVICE Words4 matrices(int lane, Row row) {
  Words4 v = {};
  for (int i = 0; i < 4; i++) {
    LOCAL(const uchar) from = row(8 * i + lane / 4);
    if (uintptr_t(from) % 16 != 0) emu::fail("a row of a matrix that is not aligned", long(uintptr_t(from) % 16), 16);
    emu::used(from + 4 * (lane % 4), 4, false);
    if (emu::within(from, 16)) memcpy(&v.w[i], from + 4 * (lane % 4), 4);
  }
  return v;
}

// transposed is a matrix of 8 x 8 numbers of 16 bits, as matrices has them, with rows and columns changed.
DEVICE uint transposed(uint v) {
  int lane = emu::current->thread % emu::warp_size, row = lane / 4, column = 2 * (lane % 4);
  auto lanes = emu::exchange(v);
  auto at = [&](int r, int c) { return lanes[4 * r + c / 2] >> 16 * (c % 2) & 0xffff; };
  return at(column, row) | at(column + 1, row) << 16;
}

namespace emu {

// take spins until a word has an epoch.
template <class W, int bits> static W take(Pointer<W> words, long i, uint epoch) {
  for (;;) {
    W w = words[i];
    uint got = uint(w >> bits), mask = uint(W(~W(0)) >> bits);
    if (((got ^ epoch) & mask) == 0) return w;
    uint ahead = (got - epoch) & mask;
    if (ahead <= mask / 2) fail("a word was overwritten before it was read", i, got);
    yield("a word of another block");
  }
}

} // namespace emu

// Words carry a number and the epoch in which it was written. Sheets of
// numbers in bf16 have words of 32 bits, others words of 64.
DEVICE void put_word(GLOBAL(ulong) words, long i, uint value, uint epoch) {
  words[i] = ulong(epoch) << 32 | value;
  emu::got_on();
}
DEVICE void put_word(GLOBAL(uint) words, long i, uint value, uint epoch) {
  words[i] = epoch << 16 | (value & 0xffff);
  emu::got_on();
}

// Quad is 16 bytes of words.
struct Quad {
  uint value[4];
};

// peek reads the quad at word i and adds to missing where an epoch is not there yet.
DEVICE Quad peek(GLOBAL(ulong) words, long i, uint epoch, bool &missing) {
  Quad q = {};
  for (int j = 0; j < 2; j++) q.value[j] = uint(emu::take<ulong, 32>(words, i + j, epoch));
  return q;
}
DEVICE Quad peek(GLOBAL(uint) words, long i, uint epoch, bool &missing) {
  Quad q = {};
  for (int j = 0; j < 4; j++) q.value[j] = emu::take<uint, 16>(words, i + j, epoch) & 0xffff;
  return q;
}
DEVICE uint take_word(GLOBAL(ulong) words, long i, uint epoch) { return uint(emu::take<ulong, 32>(words, i, epoch)); }

// Added is two words to which blocks add. add_sum adds to one, peek_sums returns what was added to two since they were before,
// once all adders did: bits from 56 on count them.
struct Added {
  ulong of[2];
};
DEVICE void add_sum(GLOBAL(ulong) sums, long i, ulong v) {
  sums[i] += v;
  emu::got_on();
}
DEVICE Added peek_sums(GLOBAL(const ulong) sums, long i, Added before, uint adders, bool &missing) {
  Added s;
  for (int j = 0; j < 2; j++)
    for (;;) {
      s.of[j] = sums[i + j] - before.of[j];
      uint count = uint(s.of[j] >> 56);
      if (count == adders) break;
      if (count > adders) emu::fail("a sum was added to before it was read", i + j, count);
      emu::yield("a sum of all blocks");
    }
  return s;
}

// at_address is memory whose address a table holds.
template <class T> DEVICE emu::Pointer<T> at_address(ulong address, long elements) {
  T *p = (T *)address;
  return {p, p, p + elements};
}

// quick_rsqrt and quick_divide may be off by 2 units in the last place.
DEVICE float quick_rsqrt(float x) { return 1.0f / sqrtf(x); }
DEVICE float quick_divide(float a, float b) { return a / b; }

// settled is what it is given, in a register for good.
template <class T> DEVICE T settled(T v) { return v; }

DEVICE void take_registers() {}
DEVICE void give_registers() {}

DEVICE ulong cycles() { return 0; }

// not_before waits until a cycle, of which the lower half is given, and returns the present one's.
DEVICE uint not_before(uint cycle) { return cycle; }
