// What products of warpgroups need, for CUDA on compute capability 9.0: wgmma
// and tensor maps, which need CUDA 12.

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) && __CUDACC_VER_MAJOR__ >= 12
#define WARPGROUP 1

// Boxes is a matrix of bf16 in global memory as the copy engine reads it: in
// boxes of 64 rows of 64 elements, with zeros outside of the matrix. The driver makes it.
struct alignas(64) Boxes {
  ulong words[16];
};
#define BOXES(i, name) const __grid_constant__ Boxes name

// TILES is the shared memory whose size the launch gives, aligned for boxes.
#define TILES(name) extern __shared__ __align__(1024) uchar name[]

// gate_expect arrives at a gate, which waits for so many bytes of copies too.
DEVICE void gate_expect(ulong *gate, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(gate)), "r"(bytes) : "memory");
}

// copy_box begins to copy the box of rows from row on and elements from k on. In
// shared memory a row takes 128 bytes, and its chunk c of 16 lies in place c ^ row % 8.
DEVICE void copy_box(uchar *to, const Boxes &from, int k, int row, ulong *gate) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)),
               "l"(&from), "r"(k), "r"(row), "r"(shared_address(gate))
               : "memory");
}

// share_box is copy_box to the same place of all blocks of the cluster, whose
// gates there each wait for it.
DEVICE void share_box(uchar *to, const Boxes &from, int k, int row, ulong *gate, int cluster) {
  if (cluster == 1) return copy_box(to, from, k, row, gate);
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(
                   shared_address(to)),
               "l"(&from), "r"(k), "r"(row), "r"(shared_address(gate)), "h"(ushort((1 << cluster) - 1))
               : "memory");
}

// gate_arrive_of arrives at the gate in the same place of a block of the cluster.
// It orders nothing but what has been read.
DEVICE void gate_arrive_of(ulong *gate, int rank) {
  asm volatile("{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
               "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(shared_address(gate)),
               "r"(rank)
               : "memory");
}

// cluster_barrier lets all threads of a cluster wait for each other; gates_barrier
// does for new gates only.
DEVICE void cluster_barrier() { asm volatile("barrier.cluster.arrive;\nbarrier.cluster.wait;" ::: "memory"); }
DEVICE void gates_barrier() { asm volatile("barrier.cluster.arrive.relaxed;\nbarrier.cluster.wait;" ::: "memory"); }

// box_descriptor describes boxes that follow each other from an address on:
// eight rows are 1,024 bytes, with chunks as copy_box places them. Added numbers
// move it by 16 bytes each.
DEVICE ulong box_descriptor(const uchar *boxes) {
  return ulong(shared_address(boxes) >> 4 & 0x3fff) | ulong(1024 >> 4) << 32 | 1ul << 16 | 1ul << 62;
}

// GroupSums is a thread's part of 64 x N sums of its warpgroup: of lane 4g + t of
// warp w, in v[4j + 2h + e] that of row 16w + 8h + g and column 8j + 2t + e.
template <int N> struct GroupSums {
  float v[N / 2];
};

// hold keeps the compiler from moving sums while the matrix units add to them.
template <int N> DEVICE void hold(GroupSums<N> &s) {
  UNROLL for (int i = 0; i < N / 2; i++) asm volatile("" : "+f"(s.v[i])::"memory");
}

// group_begin comes before the products of a batch, group_end after the last;
// group_wait waits until all but the last so many batches have been added.
template <int N> DEVICE void group_begin(GroupSums<N> &s) {
  hold(s);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
DEVICE void group_end() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Batches, int N> DEVICE void group_wait(GroupSums<N> &s) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Batches) : "memory");
  hold(s);
}

#define TEN(d) "%" #d "0, %" #d "1, %" #d "2, %" #d "3, %" #d "4, %" #d "5, %" #d "6, %" #d "7, %" #d "8, %" #d "9, "
#define SUMS_4(i) "+f"(s.v[i]), "+f"(s.v[i + 1]), "+f"(s.v[i + 2]), "+f"(s.v[i + 3])
#define SUMS_16(i) SUMS_4(i), SUMS_4(i + 4), SUMS_4(i + 8), SUMS_4(i + 12)
#define SUMS_64(i) SUMS_16(i), SUMS_16(i + 16), SUMS_16(i + 32), SUMS_16(i + 48)

// group_multiply begins to add the product of 64 rows of a and N of b, of 16
// elements each, to the sums, or to put it in their place.
DEVICE void group_multiply(GroupSums<128> &s, ulong a, ulong b, bool add) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
               "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) "%60, %61, %62, %63}, "
               "%64, %65, add, 1, 1, 0, 0;\n}"
               : SUMS_64(0)
               : "l"(a), "l"(b), "r"(int(add)));
}
DEVICE void group_multiply(GroupSums<256> &s, ulong a, ulong b, bool add) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %130, 0;\n"
               "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9)
               TEN(10) TEN(11) "%120, %121, %122, %123, %124, %125, %126, %127}, %128, %129, add, 1, 1, 0, 0;\n}"
               : SUMS_64(0), SUMS_64(64)
               : "l"(a), "l"(b), "r"(int(add)));
}

// put2 and put4 store aligned numbers that follow each other.
DEVICE void put2(float *p, float a, float b) { *(float2 *)p = make_float2(a, b); }
DEVICE void put4(float *p, Four f) { *(float4 *)p = make_float4(f.v[0], f.v[1], f.v[2], f.v[3]); }
DEVICE void put4(uint *p, uint a, uint b, uint c, uint d) { *(uint4 *)p = make_uint4(a, b, c, d); }
#endif
