// What all targets share. WARP threads of consecutive index form a warp.

enum { WARP = 32 };

// element_of and warp_of number the threads and warps of a grid of one dimension.
DEVICE int element_of(Thread t) { return t.group_x * t.count + t.index; }
DEVICE int warp_of(Thread t) { return t.group_x * (t.count / WARP) + t.index / WARP; }

// Element types as package backend numbers them.
enum { F32 = 1, BF16, F16, I32, U8 };

struct bf16 {
  ushort bits;
};

DEVICE float to_float(bf16 b) { return as_float(uint(b.bits) << 16); }

// to_bf16 rounds to nearest, ties to even.
DEVICE bf16 to_bf16(float f) {
#ifdef ONE_INSTRUCTION
  return bf16{bf16_bits(f)};
#else
  uint u = as_uint(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return bf16{ushort(u >> 16 | 0x40)};
  return bf16{ushort((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
#endif
}

#define LOG2E 1.44269504f // by which exponents of e become those of 2

DEVICE float infinity() { return as_float(0x7f800000u); }

// larger is the maximum in which a NaN counts as the largest.
DEVICE float larger(float a, float b) {
#ifdef ONE_INSTRUCTION
  return nan_max(a, b);
#else
  return a > b || a != a ? a : b;
#endif
}
DEVICE float smaller(float a, float b) { return a < b || a != a ? a : b; }

// number reads element i of a buffer.
DEVICE float number(GLOBAL(const float) p, long i) { return p[i]; }
DEVICE float number(GLOBAL(const bf16) p, long i) { return to_float(bf16{p[i].bits}); }
DEVICE float number(GLOBAL(const f16) p, long i) { return to_float(f16{p[i].bits}); }

// load reads element i of a buffer in any float type.
DEVICE float load(GLOBAL(const uchar) p, int dtype, long i) {
  if (dtype == BF16) return number(AS(const bf16, p), i);
  if (dtype == F16) return number(AS(const f16, p), i);
  return AS(const float, p)[i];
}

DEVICE void store(GLOBAL(uchar) p, int dtype, long i, float v) {
  if (dtype == BF16)
    AS(bf16, p)[i].bits = to_bf16(v).bits;
  else if (dtype == F16)
    AS(f16, p)[i].bits = to_f16(v).bits;
  else
    AS(float, p)[i] = v;
}

// Eight holds consecutive elements; load8 needs 16-byte alignment.
struct Eight {
  float v[8];
};

DEVICE Eight load8(GLOBAL(const float) p) {
  Words4 a = words4(p), b = words4(p + 4);
  Eight e;
  for (int i = 0; i < 4; i++) {
    e.v[i] = as_float(a.w[i]);
    e.v[4 + i] = as_float(b.w[i]);
  }
  return e;
}

DEVICE Eight load8(GLOBAL(const bf16) p) {
  Words4 a = words4(p);
  Eight e;
  for (int i = 0; i < 4; i++) {
    e.v[2 * i] = as_float(a.w[i] << 16);
    e.v[2 * i + 1] = as_float(a.w[i] & 0xffff0000u);
  }
  return e;
}

DEVICE Eight load8(GLOBAL(const f16) p) {
  Words4 a = words4(p);
  Eight e;
  for (int i = 0; i < 4; i++) {
    e.v[2 * i] = to_float(f16{ushort(a.w[i])});
    e.v[2 * i + 1] = to_float(f16{ushort(a.w[i] >> 16)});
  }
  return e;
}

struct Adding {
  DEVICE float of(float a, float b) { return a + b; }
};

struct Larger {
  DEVICE float of(float a, float b) { return larger(a, b); }
};

// warp_sum and warp_max give every lane of the warp the result.
DEVICE float warp_sum(float v) { return warp_fold<Adding>(v); }
DEVICE float warp_max(float v) { return warp_fold<Larger>(v); }

// block_sum and block_max give every thread the block's result; shared has
// room for one number a warp. The block has whole warps.
DEVICE float block_sum(Thread t, float v, LOCAL(float) shared) {
  v = warp_sum(v);
  if (t.count == WARP) return v;
  barrier(); // the last use of shared has ended
  if (t.index % WARP == 0) shared[t.index / WARP] = v;
  barrier();
  v = 0;
  for (int w = 0; w < t.count / WARP; w++) v += shared[w];
  return v;
}

DEVICE float block_max(Thread t, float v, LOCAL(float) shared) {
  v = warp_max(v);
  if (t.count == WARP) return v;
  barrier();
  if (t.index % WARP == 0) shared[t.index / WARP] = v;
  barrier();
  for (int w = 0; w < t.count / WARP; w++) v = larger(v, shared[w]);
  return v;
}

// rescale is the factor of what keys contribute to an attention whose largest
// score was top, once it is to; without a key it is 0.
DEVICE float rescale(float top, float to) { return fexp(top == -infinity() ? top : top - to); }

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + fexp(-x)); }

// Norms and activations as package backend numbers them.
enum { NoNorm, RMSNorm, LayerNorm };
enum { NoActivation, GELU, GELUTanh, SiLU, ReLU, Tanh };

DEVICE float activate(int activation, float x) {
  switch (activation) {
  case GELU: return x * 0.5f * (1.0f + ferf(x * 0.70710678f));
  case GELUTanh: return x * 0.5f * (1.0f + ftanh(0.79788456f * (x + 0.044715f * x * x * x)));
  case SiLU: return x / (1.0f + fexp(-x));
  case ReLU: return larger(x, 0.0f);
  case Tanh: return ftanh(x);
  }
  return x;
}
