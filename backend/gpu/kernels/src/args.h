// The arguments of the kernels. Package gpu declares the same structs, field
// by field; every field is a 32-bit int or float.

enum { max_rank = 6 };

struct MapArgs { // element-wise ops and copies: strides of the operands, in elements
  int count, op, rank, a0, b0;
  int shape[max_rank], a[max_rank], b[max_rank], c[max_rank];
};

enum { most_leaves = 8, most_instructions = 16, leaf_strides = max_rank * most_leaves, program_words = 4 * most_instructions };

struct ChainArgs { // an expression over a shape; first is the leaves' first elements, or literals
  int count, rank, leaves, steps, result, dtype, fold, out0;
  int shape[max_rank], out[max_rank];
  int kind[most_leaves], first[most_leaves];
  int stride[leaf_strides]; // of each leaf along each axis
  int step[program_words];  // for each instruction the op and the values that it takes
};

struct RowArgs {
  int rows, width;
};

struct ReduceArgs { // [outer, count, inner] along the middle
  int outer, count, inner, op;
};

struct NormArgs {
  int rows, width, kind, weightType, biasType, round;
  float eps;
};

struct SplitArgs {
  int rows, width, terms;
};

struct ReadArgs { // of 16 bytes each
  int pieces, threads;
};

struct GatherArgs {
  int rows, width, limit, dtype;
};

struct ProductArgs { // y[m, n] = x[m, k] · w, for up to three w of one x; strides in elements
  int m, k, wide;
  int n[3], biasType[3];
  int xBatch[4], wBatch[4], batch[4]; // up to four leading axes
  int wRow, wColumn;
  int activation, addResidual;
  int norm, normWeightType, normBiasType; // of x before the product
  float eps;
  int gated;        // the result is SiLU of the first product times the second
  int round;        // the result is rounded to bf16
  int roundNorm;    // and so is the norm
  int splits, span; // shares of k in separate blocks, and the elements of each
  int stages;       // of the ring that warpgroups read
  int across;       // tiles of theirs in a row
  int cluster;      // blocks that share a tile's columns, and step clusters in all
  int step;
  int groups;       // of warps that have columns of their own, in a block
  int stored;       // no kernel writes the w, so that they may be read early
};

struct PatchArgs { // image [height, width, channels] to a row of inputs for each output
  int height, width, channels, kernelHeight, kernelWidth, outHeight, outWidth, stride, padTop, padLeft;
};

struct RotaryArgs {
  int rows, pairs;
  float scale;
};

struct HeadsArgs { // heads of rows of up to three operands, normalised, rotated, and perhaps stored in a cache
  int rows, dim, round; // those that stay rows are rounded to bf16
  int heads[3], pairs[3], norm[3], weightType[3], biasType[3];
  float eps[3];
  int cached[3], dtype[3], layer[3], slots[3], capacity[3];
};

struct CacheArgs {
  int layer, slots, size; // size of one slot in 16-bit words
};

struct AttentionArgs {
  int rows, heads, kvHeads, dim, causal, window, keys, splits;
  int cached, layer, slots, capacity, keyType, valueType, round;
  float scale;
};

struct TopKArgs {
  int rows, width, chunk, chunks, k, withIDs, withValues;
};
