//go:build !noasm

package kernel

// native returns the Set for NEON, which every arm64 processor has.
func native() []*Set { return []*Set{neon()} }

func neon() *Set {
	s := generic()
	s.Name = "neon"
	tileLoops{rows: 12, columns: 8, step: 8, tile: tileNEON, packRows: packRowsNEON, peak: peakNEON}.into(s)
	s.Float32 = storedLoops{
		dtype:      float32s,
		gemv:       []gemvFunc{gemv1Float32NEON, gemv2Float32NEON, gemv3Float32NEON, gemv4Float32NEON},
		accumulate: []accumulateFunc{accumulate1Float32NEON, accumulate2Float32NEON, accumulate3Float32NEON, accumulate4Float32NEON},
		pack:       packFloat32NEON,
		lanes:      8,
	}.stored(s.NR)
	s.BFloat16 = storedLoops{
		dtype:      bfloat16s,
		gemv:       []gemvFunc{gemv1BFloat16NEON, gemv2BFloat16NEON, gemv3BFloat16NEON, gemv4BFloat16NEON},
		accumulate: []accumulateFunc{accumulate1BFloat16NEON, accumulate2BFloat16NEON, accumulate3BFloat16NEON, accumulate4BFloat16NEON},
		pack:       packBFloat16NEON,
		widen:      widenBFloat16NEON,
		lanes:      8,
	}.stored(s.NR)
	s.Float16 = storedLoops{
		dtype:      float16s,
		gemv:       []gemvFunc{gemv1Float16NEON, gemv2Float16NEON, gemv3Float16NEON, gemv4Float16NEON},
		accumulate: []accumulateFunc{accumulate1Float16NEON, accumulate2Float16NEON, accumulate3Float16NEON, accumulate4Float16NEON},
		pack:       packFloat16NEON,
		widen:      widenFloat16NEON,
		lanes:      8,
	}.stored(s.NR)
	s.GemvInt8 = gemvInt8(gemv1Int8NEON, 1)
	compactLoops{expand: expandNEON}.into(s)
	rowLoops{
		add: addNEON, sub: subNEON, mul: mulNEON, div: divNEON, max: maxNEON, min: minNEON,
		addScalar: addScalarNEON, mulScalar: mulScalarNEON, axpy: axpyNEON,
		dot: dotNEON, addSum: addSumNEON, sum: sumNEON, sumSquares: sumSquaresNEON, maxOf: maxOfNEON,
		rotate: rotateNEON, norm: normNEON, normBias: normBiasNEON,
		exp: expNEON, tanh: tanhNEON, erf: erfNEON, silu: siluNEON, gelu: geluNEON, geluTanh: geluTanhNEON,
		swiGLU: swiGLUNEON, expSum: expSumNEON,
	}.into(s)
	dots(s)
	return s
}
