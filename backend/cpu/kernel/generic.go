package kernel

// generic returns the portable Set. It is what processors without assembly
// run, and what every other Set starts from and is tested against.
func generic() *Set {
	return &Set{
		Name:     "generic",
		MR:       genericMR,
		NR:       genericNR,
		KC:       registerKC,
		MRPairs:  genericMR,
		KCPairs:  registerKC,
		Float32:  float32s.stored(),
		BFloat16: bfloat16s.stored(),
		Float16:  float16s.stored(),

		GemvInt8: dotInt8,
		expand:   expand,

		PackRows: packRows,
		PackCols: packCols,
		Tile:     tile,
		Peak:     peak,

		PackRowPairs: packRowPairs(genericMR),
		PackColPairs: packColPairs(genericNR),
		TilePairs:    tilePairs(genericMR, genericNR),
		PeakBF16:     peakBF16,
		PeakInt8:     peakInt8,

		Dot:        dot,
		AddSum:     addSum,
		Add:        add,
		Sub:        sub,
		Mul:        mul,
		Div:        div,
		AddScalar:  addScalar,
		MulScalar:  mulScalar,
		Axpy:       axpy,
		Max:        maximum,
		Min:        minimum,
		Exp:        exp,
		Tanh:       tanh,
		Erf:        erf,
		SiLU:       silu,
		GELU:       gelu,
		GELUTanh:   geluTanh,
		SwiGLU:     swiGLU,
		Sum:        sum,
		SumSquares: sumSquares,
		MaxOf:      maxOf,
		ArgMax:     argMax,
		ExpSum:     expSum,
		Rotate:     rotate,
		Norm:       norm,
	}
}
