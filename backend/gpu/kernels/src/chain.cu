// Expressions: chains of element-wise ops in one pass. A launch's arguments
// hold a small program; its values are words of 32 bits, numbers of fewer bits
// are widened as they are read.

enum { Index = 0, Literal = 15 }; // kinds of leaves besides the element types
enum { FirstBinary = 16, FirstInteger = 32, OpSelect = 48, OpFloatOf, OpIntegerOf, OpRoundBF16, OpRoundF16 };

struct Leaves {
  GLOBAL(const uchar) p[most_leaves];
};

// read_leaf reads an element as it is stored, so that no read waits for the one
// before; leaf_value makes it a value.
DEVICE uint read_leaf(GLOBAL(const uchar) p, int kind, int at, int bits) {
  switch (kind) {
  case Index: return uint(at);
  case Literal: return uint(bits);
  case U8: return p[at];
  case BF16:
  case F16: return AS(const ushort, p)[at];
  }
  return AS(const uint, p)[at];
}

DEVICE uint leaf_value(int kind, uint stored) {
  if (kind == BF16) return as_uint(to_float(bf16{ushort(stored)}));
  if (kind == F16) return as_uint(to_float(f16{ushort(stored)}));
  return stored;
}

DEVICE uint instruction(int op, uint a, uint b, uint c) {
  float x = as_float(a), z = as_float(b);
  switch (op) {
  case FirstBinary + OpLess: return x < z;
  case FirstBinary + OpEqual: return x == z;
  case FirstInteger + OpLess: return int(a) < int(b);
  case FirstInteger + OpEqual: return a == b;
  case OpSelect: return a ? b : c;
  case OpFloatOf: return as_uint(float(int(a)));
  case OpIntegerOf: return uint(int(x));
  case OpRoundBF16: return as_uint(to_float(to_bf16(x)));
  case OpRoundF16: return as_uint(to_float(to_f16(x)));
  }
  if (op < FirstBinary) return as_uint(unary_op(op, x));
  if (op < FirstInteger) return as_uint(binary_op(op - FirstBinary, x, z));
  return uint(binary_op(op - FirstInteger, int(a), int(b)));
}

// Places are where an element's leaves are, and where it goes.
struct Places {
  int leaf[most_leaves], out;
};

DEVICE Places places_of(ARGS(ChainArgs) args, int i) {
  Places at;
  at.out = args.out0;
  UNROLL for (int l = 0; l < most_leaves; l++) at.leaf[l] = args.first[l];
  for (int d = args.rank - 1; d >= 0; d--) {
    int j = d == 0 ? i : int(uint(i) % uint(args.shape[d]));
    if (d > 0) i = int(uint(i) / uint(args.shape[d]));
    UNROLL for (int l = 0; l < most_leaves; l++) at.leaf[l] += j * args.stride[d * most_leaves + l];
    at.out += j * args.out[d];
  }
  return at;
}

DEVICE uint evaluate(ARGS(ChainArgs) args, Leaves leaves, Places at) {
  uint stored[most_leaves], v[most_leaves + most_instructions];
  UNROLL for (int l = 0; l < most_leaves; l++)
    stored[l] = l < args.leaves ? read_leaf(leaves.p[l], args.kind[l], at.leaf[l], args.first[l]) : 0u;
  UNROLL for (int l = 0; l < most_leaves; l++)
    if (l < args.leaves) v[l] = leaf_value(args.kind[l], stored[l]);
  for (int s = 0; s < args.steps; s++)
    v[args.leaves + s] = instruction(args.step[4 * s], v[args.step[4 * s + 1]], v[args.step[4 * s + 2]], v[args.step[4 * s + 3]]);
  return v[args.result];
}

#define LEAVES                                                                                                        \
  BUF(0, const uchar, l0), BUF(1, const uchar, l1), BUF(2, const uchar, l2), BUF(3, const uchar, l3), BUF(4, const uchar, l4), \
      BUF(5, const uchar, l5), BUF(6, const uchar, l6), BUF(7, const uchar, l7)

// chain writes one element a thread.
KERNEL(chain, ChainArgs, LEAVES, BUF(8, uchar, y)) {
  int i = element_of(EARLY_THREAD);
  Leaves leaves = {{l0, l1, l2, l3, l4, l5, l6, l7}};
  Places at = places_of(args, i);
  inputs_ready();
  if (i >= args.count) return;
  uint value = evaluate(args, leaves, at);
  if (args.dtype == U8)
    y[at.out] = uchar(value);
  else if (args.dtype == I32)
    AS(uint, y)[at.out] = value;
  else
    store(y, args.dtype, at.out, as_float(value));
}

// chain_fold adds up, or takes the largest of, each row of count elements: a
// block for each row.
KERNEL(chain_fold, ChainArgs, LEAVES, BUF(8, float, y)) {
  const Thread t = THREAD;
  SHARED(float, shared, WARP);
  Leaves leaves = {{l0, l1, l2, l3, l4, l5, l6, l7}};
  float v = args.fold == Sum ? 0.0f : -infinity();
  for (int i = t.index; i < args.count; i += t.count) {
    float e = as_float(evaluate(args, leaves, places_of(args, t.group_x * args.count + i)));
    v = args.fold == Sum ? v + e : larger(v, e);
  }
  v = args.fold == Sum ? block_sum(t, v, shared) : block_max(t, v, shared);
  if (t.index == 0) y[t.group_x] = v;
}
