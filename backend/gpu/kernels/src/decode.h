// The sizes of a decoder and of the grid that runs it come before this file as
// macros; package gpu writes them (decode_source.go).

struct DecodeArgs {
  int slots, capacity; // of the caches
  int vocabulary;      // rows of the embedding
  int best;            // 1: the largest logit is found, 0: logits are written
  float eps, headEps;  // of the norms of rows and of heads
  float scale;         // of the scores
  float rotaryScale;
};

// Weights of a layer in the table of addresses.
enum { QUERY, KEY, VALUE, OUT, GATE, UP, DOWN, WINDOW, TABLE = 8 };

// Vectors of a layer, in f32, one after the other; biases only if there are any.
enum {
  ROW_NORM = 0,
  MLP_NORM = ROW_NORM + HIDDEN,
  QUERY_NORM = MLP_NORM + HIDDEN,
  KEY_NORM = QUERY_NORM + QK_NORM * DIM,
  QKV_BIAS = KEY_NORM + QK_NORM * DIM,
  OUT_BIAS = QKV_BIAS + HAS_QKV_BIAS * (HEADS + 2 * KV_HEADS) * DIM,
  GATE_BIAS = OUT_BIAS + HAS_OUT_BIAS * HIDDEN,
  UP_BIAS = GATE_BIAS + HAS_MLP_BIAS * INNER,
  DOWN_BIAS = UP_BIAS + HAS_MLP_BIAS * INNER,
  VECTORS = DOWN_BIAS + HAS_DOWN_BIAS * HIDDEN
};

// With activations in bf16 numbers travel between blocks as such.
#if ROUNDED
typedef uint Word;
enum { PER_QUAD = 4 };
DEVICE float of_word(uint v) { return as_float(v << 16); }
DEVICE uint in_word(float v) { return uint(to_bf16(v).bits); }
DEVICE float rounded(float v) { return to_float(to_bf16(v)); }
#else
typedef ulong Word;
enum { PER_QUAD = 2 };
DEVICE float of_word(uint v) { return as_float(v); }
DEVICE uint in_word(float v) { return as_uint(v); }
DEVICE float rounded(float v) { return v; }
#endif

// What blocks exchange, from byte 0 of their memory: the epoch of the last run, then
// words and sums. Nothing is written again before all have read it: sums need something of each
// block, so that what comes after them is behind what was before them everywhere.
enum {
  WORD = ROUNDED ? 4 : 8,
  QKV_AT = 256,                              // [(HEADS + 2 KV_HEADS) DIM]
  INNER_AT = QKV_AT + (HEADS + 2 * KV_HEADS) * DIM * WORD, // [INNER]
  SUMS_AT = INNER_AT + INNER * WORD,         // [2, HIDDEN]: what down and attention have added to x in all layers so far, in fixed point
  LAST_AT = SUMS_AT + 2 * HIDDEN * 8,        // [2, HIDDEN]: the same after the last step
  BEST_AT = LAST_AT + 2 * HIDDEN * 8,        // [BLOCKS, 2]: the largest logit of each, and where
  PARTS_AT = BEST_AT + BLOCKS * 16           // [splits, HEADS, DIM + 2]
};

// With PROFILED blocks count the cycles of the parts of a step, which package gpu names.
enum { TICKS = 15 };
