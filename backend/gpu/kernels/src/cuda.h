// The dialect in CUDA C++, for NVRTC: no header of the host is needed.

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long long ulong;

struct Thread {
  int index, count;             // in the block
  int group_x, group_y, group_z; // the block's place in the grid
};

#define DEVICE static __device__ __forceinline__

// A kernel of a recording begins while the one before it ends. EARLY_THREAD is
// for what reads stored weights alone until inputs_ready returns; THREAD waits
// for all that kernels before it have written.
#define EARLY_THREAD early_thread()
#define THREAD thread_with_inputs()

DEVICE void inputs_ready() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

DEVICE Thread early_thread() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
  return Thread{int(threadIdx.x), int(blockDim.x), int(blockIdx.x), int(blockIdx.y), int(blockIdx.z)};
}

DEVICE Thread thread_with_inputs() {
  Thread t = early_thread();
  inputs_ready();
  return t;
}

// prefetch brings the 128 bytes around an address to the L2 cache.
template <class T> DEVICE void prefetch(const T *p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

#define GLOBAL(T) T *
#define LOCAL(T) T *
#define OWN(T) T *
#define ARGS(A) const A &
#define BUF(i, T, name) T *__restrict__ name
#define SHARED(T, name, n) __shared__ alignas(16) T name[n]
#define KERNEL(name, A, ...) extern "C" __global__ void name(const __grid_constant__ A args, __VA_ARGS__)
// BOUNDED is a kernel with a fixed number of threads, of whose blocks so many fit a multiprocessor at least.
#define BOUNDED(threads, blocks, name, A, ...) extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ A args, __VA_ARGS__)
#define UNROLL _Pragma("unroll")
#define UNROLL_4 _Pragma("unroll 4")
#define UNROLL_TEXT(n) _Pragma(#n)
#define UNROLL_BY(n) UNROLL_TEXT(unroll n)
#define ROLLED _Pragma("unroll 1")
#define AS(T, p) ((T *)(p))

DEVICE void barrier() { __syncthreads(); }
DEVICE uint shuffle_xor(uint v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }

DEVICE float as_float(uint u) { return __uint_as_float(u); }
DEVICE uint as_uint(float f) { return __float_as_uint(f); }

// warp_fold combines the numbers of a warp's lanes.
template <class Combine> DEVICE float warp_fold(float v) {
  for (int mask = 16; mask > 0; mask /= 2) v = Combine::of(v, __shfl_xor_sync(0xffffffffu, v, mask));
  return v;
}

DEVICE float fexp(float x) { return expf(x); }
DEVICE float flog(float x) { return logf(x); }
DEVICE float ftanh(float x) { return tanhf(x); }
DEVICE float ferf(float x) { return erff(x); }
DEVICE float fsqrt(float x) { return sqrtf(x); }
DEVICE float fsin(float x) { return sinf(x); }
DEVICE float fcos(float x) { return cosf(x); }

struct f16 {
  ushort bits;
};

DEVICE float to_float(f16 h) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
  return f;
}

DEVICE f16 to_f16(float f) {
  f16 h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
  return h;
}

// words4 loads 16 aligned bytes.
struct Words4 {
  uint w[4];
};

template <class T> DEVICE Words4 words4(const T *p) {
  uint4 u = __ldg((const uint4 *)p);
  return Words4{{u.x, u.y, u.z, u.w}};
}

// four loads 16 aligned bytes of shared memory.
struct Four {
  float v[4];
};

DEVICE Four four(const float *p) {
  float4 f = *(const float4 *)p;
  return Four{{f.x, f.y, f.z, f.w}};
}

#if __CUDA_ARCH__ >= 800
#define MATRIX 1

// DYNAMIC is the shared memory whose size the launch gives.
#define DYNAMIC(name) extern __shared__ __align__(16) uchar name[]

// local4 loads 16 aligned bytes of shared memory.
template <class T> DEVICE Words4 local4(const T *p) {
  uint4 u = *(const uint4 *)p;
  return Words4{{u.x, u.y, u.z, u.w}};
}

// put_local4 stores four words at 16 aligned bytes of shared memory.
DEVICE void put_local4(uint *p, const uint (&w)[4]) { *(uint4 *)p = make_uint4(w[0], w[1], w[2], w[3]); }

// fence shows what a thread has written to all blocks before what it writes then.
DEVICE void fence() { __threadfence(); }

// count_up adds one to a counter that blocks share and returns what it was.
DEVICE uint count_up(uint *counts, int i) { return atomicAdd(counts + i, 1u); }

// copy16 begins to copy 16 aligned bytes to shared memory, zeros if not inside.
template <class T> DEVICE void copy16(T *to, const T *from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(uint(__cvta_generic_to_shared(to))), "l"(from), "r"(inside ? 16 : 0) : "memory");
}

// copies_end closes a group of copies; copies_wait waits until all groups but
// the thread's last N have arrived.
DEVICE void copies_end() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEVICE void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// matrix_add adds to c, 16 x 8, the product of a, 16 x 16, and b, 16 x 8, in
// pairs of bf16: the layout over the warp is that of PTX's mma.m16n8k16.
DEVICE void matrix_add(Four &c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c.v[0]), "+f"(c.v[1]), "+f"(c.v[2]), "+f"(c.v[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// fexp2 is 2 to a power, with an error of two units of the last place; subnormal numbers are 0.
DEVICE float fexp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// bf16_pair rounds two numbers, the first into the low half.
DEVICE uint bf16_pair(float a, float b) {
  uint u;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(b), "f"(a));
  return u;
}

// bf16_bits and nan_max are to_bf16 and larger in one instruction.
#define ONE_INSTRUCTION
DEVICE ushort bf16_bits(float v) { return ushort(bf16_pair(v, 0)); } // a pair is packed by a faster unit than one is converted
DEVICE float nan_max(float a, float b) {
  float v;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(v) : "f"(a), "f"(b));
  return v;
}

// low_halves are those of two words, the first in the low half.
DEVICE uint low_halves(uint a, uint b) { return __byte_perm(a, b, 0x5410); }

// high_halves are those of two words, the first in the low half.
DEVICE uint high_halves(uint a, uint b) { return __byte_perm(a, b, 0x7632); }
#endif
