// Element-wise ops with NumPy's broadcasting, and copies.

// Place is where the operands' elements are for element i of the result.
struct Place {
  int a, b, c;
};

DEVICE Place place(ARGS(MapArgs) m, int i) {
  Place p = {m.a0, m.b0, 0};
  for (int d = m.rank - 1; d >= 0; d--) {
    int j = i % m.shape[d];
    i /= m.shape[d];
    p.a += j * m.a[d];
    p.b += j * m.b[d];
    p.c += j * m.c[d];
  }
  return p;
}

enum { OpNeg, OpExp, OpLog, OpTanh, OpErf, OpSqrt, OpRsqrt, OpSin, OpCos, OpGELU, OpGELUTanh, OpSiLU, OpReLU };

DEVICE float unary_op(int op, float x) {
  switch (op) {
  case OpNeg: return -x;
  case OpExp: return fexp(x);
  case OpLog: return flog(x);
  case OpTanh: return ftanh(x);
  case OpErf: return ferf(x);
  case OpSqrt: return fsqrt(x);
  case OpRsqrt: return 1.0f / fsqrt(x);
  case OpSin: return fsin(x);
  case OpCos: return fcos(x);
  case OpGELU: return activate(GELU, x);
  case OpGELUTanh: return activate(GELUTanh, x);
  case OpSiLU: return activate(SiLU, x);
  }
  return activate(ReLU, x);
}

KERNEL(unary, MapArgs, BUF(0, const float, x), BUF(1, float, y)) {
  int i = element_of(THREAD);
  if (i < args.count) y[i] = unary_op(args.op, x[i]);
}

enum { OpAdd, OpSub, OpMul, OpDiv, OpMax, OpMin, OpLess, OpEqual, OpSwiGLU };

DEVICE float binary_op(int op, float x, float z) {
  switch (op) {
  case OpAdd: return x + z;
  case OpSub: return x - z;
  case OpMul: return x * z;
  case OpDiv: return x / z;
  case OpMax: return larger(x, z);
  case OpMin: return smaller(x, z);
  }
  return activate(SiLU, x) * z;
}

// Integers wrap around; a division by zero gives zero.
DEVICE int binary_op(int op, int x, int z) {
  switch (op) {
  case OpAdd: return int(uint(x) + uint(z));
  case OpSub: return int(uint(x) - uint(z));
  case OpMul: return int(uint(x) * uint(z));
  case OpDiv: return z == 0 ? 0 : z == -1 ? int(0u - uint(x)) : x / z;
  case OpMax: return x > z ? x : z;
  }
  return x < z ? x : z;
}

#define BINARY(T)                                                                                      \
  KERNEL(binary_##T, MapArgs, BUF(0, const T, x), BUF(1, const T, z), BUF(2, T, y)) {                  \
    int i = element_of(THREAD);                                                                           \
    if (i >= args.count) return;                                                                       \
    Place p = place(args, i);                                                                          \
    y[i] = binary_op(args.op, x[p.a], z[p.b]);                                                         \
  }                                                                                                    \
  KERNEL(compare_##T, MapArgs, BUF(0, const T, x), BUF(1, const T, z), BUF(2, uchar, y)) {             \
    int i = element_of(THREAD);                                                                           \
    if (i >= args.count) return;                                                                       \
    Place p = place(args, i);                                                                          \
    y[i] = args.op == OpLess ? x[p.a] < z[p.b] : x[p.a] == z[p.b];                                     \
  }

BINARY(float)
BINARY(int)

// select_32 picks between elements of 32 bits.
KERNEL(select_32, MapArgs, BUF(0, const uchar, mask), BUF(1, const uint, x), BUF(2, const uint, z), BUF(3, uint, y)) {
  int i = element_of(THREAD);
  if (i >= args.count) return;
  Place p = place(args, i);
  y[i] = mask[p.a] ? x[p.b] : z[p.c];
}

// iota's one stride that is not zero lies along its axis.
KERNEL(iota, MapArgs, BUF(0, int, y)) {
  int i = element_of(THREAD);
  if (i < args.count) y[i] = place(args, i).a;
}

// cast converts from dtype op / 8 to dtype op % 8.
KERNEL(cast, MapArgs, BUF(0, const uchar, x), BUF(1, uchar, y)) {
  int i = element_of(THREAD), from = args.op / 8, to = args.op % 8;
  if (i >= args.count) return;
  if (to == I32) {
    AS(int, y)[i] = from == U8 ? int(x[i]) : int(AS(const float, x)[i]);
    return;
  }
  store(y, to, i, from == U8 ? float(x[i]) : from == I32 ? float(AS(const int, x)[i]) : load(x, from, i));
}

#define COPY(bits, T)                                                            \
  KERNEL(copy_##bits, MapArgs, BUF(0, const T, x), BUF(1, T, y)) {               \
    int i = element_of(THREAD);                                                     \
    if (i >= args.count) return;                                                 \
    Place p = place(args, i);                                                    \
    y[p.b] = x[p.a];                                                             \
  }

COPY(8, uchar)
COPY(16, ushort)
COPY(32, uint)

// gather widens rows of a table; an id outside of it gives a row of NaN or -1.
KERNEL(gather, GatherArgs, BUF(0, const uchar, table), BUF(1, const int, ids), BUF(2, uint, y)) {
  int i = element_of(THREAD);
  if (i >= args.rows * args.width) return;
  int id = ids[i / args.width];
  long at = long(id) * args.width + i % args.width;
  if (args.dtype == I32)
    y[i] = uint(id) < uint(args.limit) ? AS(const uint, table)[at] : ~0u;
  else
    y[i] = uint(id) < uint(args.limit) ? as_uint(load(table, args.dtype, at)) : 0x7fc00000u;
}

// read_memory reads memory and does as little else as it can: y gets the exclusive or of what each thread has read.
KERNEL(read_memory, ReadArgs, BUF(0, const uint, x), BUF(1, uint, y)) {
  enum { deep = 8 }; // pieces that a thread has on their way
  const int own = element_of(THREAD);
  uint sum = 0;
  for (long i = own; i < args.pieces; i += long(deep) * args.threads) {
    Words4 w[deep];
    UNROLL for (int j = 0; j < deep; j++) {
      long piece = i + long(j) * args.threads;
      w[j] = words4(x + 4 * (piece < args.pieces ? piece : i));
      if (piece >= args.pieces) w[j] = Words4{{0, 0, 0, 0}};
    }
    UNROLL for (int j = 0; j < deep; j++) sum ^= w[j].w[0] ^ w[j].w[1] ^ w[j].w[2] ^ w[j].w[3];
  }
  y[own] = sum;
}
