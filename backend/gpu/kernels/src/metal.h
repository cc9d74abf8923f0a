// The dialect in the Metal Shading Language 3.0.

#include <metal_stdlib>
using namespace metal;

struct Thread {
  int index, count;              // in the block
  int group_x, group_y, group_z; // the block's place in the grid
};

#define THREAD Thread{int(_index), int(_count.x), int(_group.x), int(_group.y), int(_group.z)}
#define EARLY_THREAD THREAD // kernels run one after the other
#define DEVICE static inline
#define GLOBAL(T) device T *
#define LOCAL(T) threadgroup T *
#define OWN(T) thread T *
#define ARGS(A) constant A &
#define BUF(i, T, name) device T *name [[buffer(i)]]
#define SHARED(T, name, n) alignas(16) threadgroup T name[n]
#define KERNEL(name, A, ...)                                                                      \
  [[kernel, max_total_threads_per_threadgroup(256)]] void name(                                   \
      constant A &args [[buffer(30)]], uint _index [[thread_index_in_threadgroup]],               \
      uint3 _count [[threads_per_threadgroup]], uint3 _group [[threadgroup_position_in_grid]], __VA_ARGS__)
#define UNROLL _Pragma("unroll")
#define UNROLL_4 _Pragma("unroll(4)")
#define ROLLED _Pragma("unroll(1)")
#define AS(T, p) ((device T *)(p))

DEVICE void inputs_ready() {}
template <class T> DEVICE void prefetch(device const T *) {}

DEVICE void barrier() { threadgroup_barrier(mem_flags::mem_threadgroup); }
DEVICE uint shuffle_xor(uint v, int mask) { return simd_shuffle_xor(v, ushort(mask)); }

// warp_fold combines the numbers of a warp's lanes.
template <class Combine> DEVICE float warp_fold(float v) {
  for (int mask = 16; mask > 0; mask /= 2) v = Combine::of(v, simd_shuffle_xor(v, ushort(mask)));
  return v;
}

DEVICE float as_float(uint u) { return as_type<float>(u); }
DEVICE uint as_uint(float f) { return as_type<uint>(f); }

DEVICE float fexp(float x) { return precise::exp(x); }
DEVICE float flog(float x) { return precise::log(x); }
DEVICE float ftanh(float x) { return x > 10.0f ? 1.0f : x < -10.0f ? -1.0f : precise::tanh(x); }
DEVICE float fsqrt(float x) { return precise::sqrt(x); }
DEVICE float fsin(float x) { return precise::sin(x); }
DEVICE float fcos(float x) { return precise::cos(x); }

// ferf is the Taylor series near 0 and else the approximation of Abramowitz
// and Stegun, 7.1.26, whose error is 1.5e-7.
DEVICE float ferf(float x) {
  float z = x * x, a = x < 0.0f ? -x : x;
  if (a < 0.5f)
    return x * 1.12837917f * (1.0f + z * (-0.333333333f + z * (0.1f + z * (-0.0238095238f + z * (0.00462962963f - z * 0.000757575758f)))));
  float t = 1.0f / (1.0f + 0.3275911f * a);
  float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  float y = a > 10.0f ? 1.0f : 1.0f - p * fexp(-z);
  return x < 0.0f ? -y : x > 0.0f ? y : x;
}

struct f16 {
  ushort bits;
};

DEVICE float to_float(f16 h) { return float(as_type<half>(h.bits)); }

DEVICE f16 to_f16(float f) { return f16{as_type<ushort>(half(f))}; }

// words4 loads 16 bytes, of which a mapped file aligns 8 at least.
struct Words4 {
  uint w[4];
};

template <class T> DEVICE Words4 words4(device const T *p) {
  uint4 u = uint4(*(device const packed_uint4 *)p);
  return Words4{{u.x, u.y, u.z, u.w}};
}

// four loads 16 aligned bytes of shared memory.
struct Four {
  float v[4];
};

DEVICE Four four(threadgroup const float *p) {
  float4 f = *(threadgroup const float4 *)p;
  return Four{{f.x, f.y, f.z, f.w}};
}
