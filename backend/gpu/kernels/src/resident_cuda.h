// What a kernel needs whose blocks wait for each other, for CUDA from compute
// capability 9.0 on.

#if __CUDA_ARCH__ >= 900
#define RESIDENT 1
#define RESIDENT_KERNEL(threads, name, A, ...) extern "C" __global__ void __launch_bounds__(threads, 1) name(const A args, __VA_ARGS__)

DEVICE uint shared_address(const void *p) { return uint(__cvta_generic_to_shared(p)); }

// A gate is an mbarrier.
DEVICE void gate_init(ulong *gate, int expected) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(gate)), "r"(expected) : "memory");
}
// gates_ready shows new gates to the copy engine.
DEVICE void gates_ready() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

DEVICE void gate_arrive(ulong *gate) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(gate)) : "memory");
}

// gate_wait returns after the end of the phase with a parity.
DEVICE void gate_wait(ulong *gate, uint parity) {
  asm volatile("{\n"
               ".reg .pred done;\n"
               "again:\n"
               "mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n"
               "@!done bra again;\n"
               "}" ::"r"(shared_address(gate)),
               "r"(parity & 1)
               : "memory");
}

// gate_expect arrives at a gate, which then waits for copies of so many bytes.
DEVICE void gate_expect(ulong *gate, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(gate)), "r"(bytes) : "memory");
}

// bulk_copy begins a copy that a gate waits for. The copied lines are the first to leave the L2 cache.
DEVICE void bulk_copy(uchar *to, const uchar *from, int bytes, ulong *gate) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
                   shared_address(to)),
               "l"(from), "r"(bytes), "r"(shared_address(gate)), "l"(0x12f0000000000000ul) // evict first
               : "memory");
}

// copies_follow orders what the thread wrote to shared memory before bulk copies to there.
DEVICE void copies_follow() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

DEVICE void warp_barrier() { __syncwarp(); }

// barrier_of lets the first n threads of the block wait for each other.
DEVICE void barrier_of(int n) { asm volatile("bar.sync 1, %0;" ::"r"(n) : "memory"); }

// shuffle gives each lane what the lane of a number has.
DEVICE uint shuffle(uint v, int lane) { return __shfl_sync(0xffffffffu, v, lane); }

// matrices are four of 8 x 8 numbers of 16 bits as the operands of matrix_add hold them: lane l has
// numbers 2 (l % 4) and the next of row l / 4 of each. Row i % 8 of matrix i / 8 lies at row(i), 16 bytes that are aligned.
template <class Row> DEVICE Words4 matrices(int lane, Row row) {
  Words4 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
               : "r"(shared_address(row(lane)))
               : "memory");
  return v;
}

// transposed is a matrix of 8 x 8 numbers of 16 bits, as matrices has them, with rows and columns changed.
DEVICE uint transposed(uint v) {
  uint w;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(w) : "r"(v));
  return w;
}

// Words carry a number and the epoch in which it was written. Sheets of
// numbers in bf16 have words of 32 bits, others words of 64. Each is read and
// written as one, so that no fence is needed.
DEVICE void put_word(ulong *words, long i, uint value, uint epoch) {
  asm volatile("st.relaxed.gpu.global.b64 [%0], %1;" ::"l"(words + i), "l"(ulong(epoch) << 32 | value) : "memory");
}
DEVICE void put_word(uint *words, long i, uint value, uint epoch) {
  asm volatile("st.relaxed.gpu.global.b32 [%0], %1;" ::"l"(words + i), "r"(epoch << 16 | value & 0xffffu) : "memory");
}

// Quad is 16 bytes of words; of those in 32 bits the epoch may still be there, above the number.
struct Quad {
  uint value[4];
};

// peek reads the quad at word i and sets missing where an epoch is not there yet.
DEVICE Quad peek(const ulong *words, long i, uint epoch, bool &missing) {
  ulong a, b;
  asm volatile("ld.relaxed.gpu.global.v2.b64 {%0, %1}, [%2];" : "=l"(a), "=l"(b) : "l"(words + i) : "memory");
  missing |= uint(a >> 32) != epoch | uint(b >> 32) != epoch;
  return Quad{{uint(a), uint(b), 0, 0}};
}
DEVICE Quad peek(const uint *words, long i, uint epoch, bool &missing) {
  Quad q;
  asm volatile("ld.relaxed.gpu.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(q.value[0]), "=r"(q.value[1]), "=r"(q.value[2]), "=r"(q.value[3])
               : "l"(words + i)
               : "memory");
  uint other = 0;
  UNROLL for (int j = 0; j < 4; j++) other |= q.value[j] ^ epoch << 16;
  missing |= other > 0xffffu;
  return q;
}
DEVICE uint take_word(const ulong *words, long i, uint epoch) {
  ulong w;
  do asm volatile("ld.relaxed.gpu.global.b64 %0, [%1];" : "=l"(w) : "l"(words + i) : "memory");
  while (uint(w >> 32) != epoch);
  return uint(w);
}

// Added is two words to which blocks add. add_sum adds to one, peek_sums returns what was added to two since they were before and
// sets missing where fewer than adders did: bits from 56 on count them.
struct Added {
  ulong of[2];
};
DEVICE void add_sum(ulong *sums, long i, ulong v) { asm volatile("red.relaxed.gpu.global.add.u64 [%0], %1;" ::"l"(sums + i), "l"(v) : "memory"); }
DEVICE Added peek_sums(const ulong *sums, long i, Added before, uint adders, bool &missing) {
  Added s;
  asm volatile("ld.relaxed.gpu.global.v2.b64 {%0, %1}, [%2];" : "=l"(s.of[0]), "=l"(s.of[1]) : "l"(sums + i) : "memory");
  UNROLL for (int j = 0; j < 2; j++) {
    s.of[j] -= before.of[j];
    missing |= uint(s.of[j] >> 56) != adders;
  }
  return s;
}

// at_address is memory whose address a table holds.
template <class T> DEVICE T *at_address(ulong address, long) { return (T *)address; }

// quick_rsqrt and quick_divide may be off by 2 units in the last place; subnormal numbers are 0.
DEVICE float quick_rsqrt(float x) {
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
DEVICE float quick_divide(float a, float b) {
  float y;
  asm("div.approx.ftz.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}

// settled is what it is given, in a register for good: the compiler would read special registers and arguments again and
// again, and waits each time.
DEVICE int settled(int v) { return int(shuffle_xor(uint(v), 0)); }
template <class T> DEVICE T *settled(T *p) {
  ulong v = ulong(p);
  return (T *)(ulong(shuffle_xor(uint(v >> 32), 0)) << 32 | shuffle_xor(uint(v), 0));
}

// give_registers and take_registers move registers from the four warps of the
// feeder, which are a warpgroup, to eight others: of 168 each gets 40 and 232.
DEVICE void give_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 40;"); }
DEVICE void take_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 232;"); }

DEVICE ulong cycles() { return clock64(); }

// not_before waits until a cycle, of which the lower half is given, and returns the present one's. It need not wait for one far ahead,
// since that is one long past.
DEVICE uint not_before(uint cycle) {
  uint now;
  do now = uint(cycles());
  while (cycle - now - 1 < 1u << 24);
  return now;
}
#endif
