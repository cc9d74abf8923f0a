// Package kernel holds the inner loops of the CPU backend: plain functions on
// slices, each in portable Go and, where it pays, in assembly for AVX-512 (with
// AMX), AVX2 and NEON. It knows no graph and no tensor.
//
// Letters: m rows of activations, n rows of weights (output features), k the
// length of a product's sum, d a head's size. All matrices are row-major and a
// leading dimension (ld) is the distance between two rows in elements. Weights
// and caches are byte slices in their stored dtype, little endian, and need
// not be aligned; everything else is f32.
package kernel

// Set is one implementation of every inner loop. A Set is immutable and safe
// for concurrent use; functions write only to their first argument and to
// what their comment names. Callers guarantee the lengths that each comment
// states; no function reads or writes past them, so that a weight may end at
// the last byte of a mapped page.
type Set struct {
	// Name is "amx", "avx512", "avx2", "neon" or "generic".
	Name string

	// MR and NR are the rows and columns of the matrix product's register tile,
	// MRPairs the rows of a tile in bf16. KC and KCPairs are the part of the sum, in
	// elements of the panels, that products take at a time: panels of it stay in the
	// first-level cache.
	MR, NR, KC, MRPairs, KCPairs int

	// Float32, BFloat16 and Float16 are the loops over each stored dtype.
	Float32, BFloat16, Float16 Stored

	// GemvInt8 sets y[j] = Σ_p x[p]·w[j,p] for the bytes w[j,p] taken as signed
	// numbers; w is [len(y),len(x)].
	GemvInt8 func(y, x []float32, w []byte)
	// expand converts whole compact blocks to bf16. gemvCompact multiplies len(y) rows of whole
	// blocks with one row of activations; where it is nil, expand and Gemv do.
	expand      func(dst, blocks []byte, tables *[32]byte)
	gemvCompact func(y, x []float32, blocks, first, escapes []byte, tables *[32]byte)

	// PackRows copies a[m,k] into panels of MR rows: panel i/MR holds, for each
	// column, MR values; rows past m are zero. dst has ceil(m/MR)*MR*k elements.
	PackRows func(dst, a []float32, lda, m, k int)
	// PackCols copies b[k,n], the right operand of a plain product, into one
	// panel of NR columns (n <= NR): dst[p*NR+j] = b[p,j], zero past n.
	PackCols func(dst, b []float32, ldb, k, n int)
	// Tile computes c[m,n] (+)= a·b for n <= NR: a holds panels of PackRows, lda
	// elements from one to the next, b is a panel of NR columns, and all are k long.
	// With accumulate it adds to c, else it overwrites c.
	Tile func(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool)

	// PackRowPairs, PackColPairs, Stored.PackPairs and TilePairs are PackRows,
	// PackCols, Stored.Pack and Tile in bf16: each element of a panel holds the
	// bits of two numbers that follow each other in the sum, the first in the low
	// half. Panels of PackRowPairs have MRPairs rows, in an order of the Set's own
	// that puts each KCPairs columns after those before. Numbers are rounded to bf16
	// (to nearest, ties to even) as they are packed. k counts pairs in TilePairs and
	// numbers elsewhere, where it is even but for PackColPairs: its last row may pair
	// with zeros. Products of bf16 are exact in f32; additions round, in an order that
	// is left open, and subnormal operands and results may count as zero (VDPBF16PS,
	// TDPBF16PS).
	PackRowPairs func(dst, a []float32, lda, m, k int)
	PackColPairs func(dst, b []float32, ldb, k, n int)
	TilePairs    func(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool)
	// DotBF16 and DotInt8 say that the processor multiplies pairs of bf16, and
	// groups of four int8, in one instruction. Without, TilePairs is slower than Tile.
	DotBF16, DotInt8 bool

	// Peak runs rounds of independent multiply-adds in registers and returns how
	// many floating-point operations that were: timed, it is the processor's
	// limit, which products are held against. PeakBF16 and PeakInt8 do so with dot
	// products of pairs of bf16 and of four int8.
	Peak, PeakBF16, PeakInt8 func(rounds int) int

	// Dot returns Σ x·y over len(x) elements, AddSum Σ x+y.
	Dot, AddSum func(x, y []float32) float32
	// Add, Sub, Mul and Div set dst = x op y; AddScalar and MulScalar take one
	// number for y; Axpy sets dst += a·x. All slices have len(dst) elements;
	// dst may be x or y.
	Add, Sub, Mul, Div   func(dst, x, y []float32)
	AddScalar, MulScalar func(dst, x []float32, y float32)
	Axpy                 func(dst []float32, a float32, x []float32)
	// Max and Min set dst = max/min(x, y); NaN in either gives NaN.
	Max, Min func(dst, x, y []float32)
	// Exp, Tanh, Erf, SiLU (x·sigmoid x), GELU (erf form, x·Φ(x)) and GELUTanh
	// (its tanh approximation, Hendrycks and Gimpel 2016) act on each element;
	// dst may be x. The first three are within 2 ulp of the exact result, SiLU
	// and GELUTanh within 3, GELU within 4, subnormal results included. Those
	// three map -Inf to their limit, -0.
	Exp, Tanh, Erf, SiLU, GELU, GELUTanh func(dst, x []float32)
	// SwiGLU sets dst = SiLU(gate)·up (Shazeer 2020); dst may be gate or up.
	SwiGLU func(dst, gate, up []float32)
	// Sum, SumSquares (Σ (x-mean)²) and MaxOf reduce a row; MaxOf of no elements is -Inf,
	// of a row with a NaN it is NaN.
	Sum        func(x []float32) float32
	SumSquares func(x []float32, mean float32) float32
	MaxOf      func(x []float32) float32
	// ArgMax returns the first index of the largest element, the index of the
	// first NaN if there is one, and -1 for an empty row.
	ArgMax func(x []float32) int
	// ExpSum sets dst = exp(x-max) and returns its sum: the middle of a softmax. dst may be x.
	ExpSum func(dst, x []float32, max float32) float32
	// Rotate applies rotary position embedding (Su et al. 2021) in the rotate-half form to one head:
	// with h = len(x)/2, dst[i] = x[i]·cos[i] - x[i+h]·sin[i] and
	// dst[i+h] = x[i+h]·cos[i] + x[i]·sin[i]; cos and sin have h elements. dst may be x.
	Rotate func(dst, x, cos, sin []float32)
	// Norm sets dst = (x-mean)·scale·weight + bias; bias may be nil, dst may be x.
	// It finishes RMSNorm (mean 0) and LayerNorm.
	Norm func(dst, x []float32, mean, scale float32, weight, bias []float32)
}

// Stored is the set of loops that read or write one stored dtype. w is
// [n,k] with rows of ldw elements; the last row may end after k elements.
type Stored struct {
	// Gemv sets y[r,j] = Σ_p x[r,p]·w[j,p] for r < rows (1 to 16) and j < n in
	// one pass over w: matrix-vector products at the speed of memory.
	Gemv func(y []float32, ldy int, x []float32, ldx int, w []byte, ldw int, rows, n, k int)
	// Accumulate adds y[r,:] += Σ_j p[r,j]·v[j,:] for r < rows (1 to 16), j < n over d columns:
	// the second product of attention. v is [n,d] with rows of ldv elements.
	Accumulate func(y []float32, ldy int, p []float32, ldp int, v []byte, ldv int, rows, n, d int)
	// Pack widens weight rows into one panel of NR rows (n <= NR): dst[p*NR+j] = w[j,p], zero past n.
	// PackPairs does so in pairs of bf16: see Set.TilePairs.
	Pack, PackPairs func(dst []float32, w []byte, ldw, n, k int)
	// Widen converts len(dst) elements of src to f32, Narrow rounds len(src) elements to the dtype
	// (to nearest, ties to even; NaN stays NaN).
	Widen  func(dst []float32, src []byte)
	Narrow func(dst []byte, src []float32)
}
