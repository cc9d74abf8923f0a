//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

// native returns the Sets in assembly that processor and operating system support.
func native() []*Set {
	var sets []*Set
	x := &cpu.X86
	if !(x.HasAVX2 && x.HasFMA && x.HasF16C && x.HasBMI2) {
		return nil
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		if hasAMX() {
			sets = append(sets, amx())
		}
		sets = append(sets, avx512())
	}
	return append(sets, avx2())
}

// amx is the Set for AVX-512 with AMX for products in bf16.
func amx() *Set {
	s := avx512()
	s.Name = "amx"
	amxLoops{tile: tileAMX, packRows: packRowTilesAVX512, peak: peakAMX}.into(s)
	return s
}

func avx512() *Set {
	s := generic()
	s.Name = "avx512"
	tileLoops{
		rows: 12, columns: 32, step: 1,
		tile: tileAVX512, packRows: packRowsAVX512, packCols: packColsAVX512, peak: peakAVX512,
	}.into(s)
	s.Float32 = storedLoops{
		dtype: float32s,
		gemv: []gemvFunc{gemv1Float32AVX512, gemv2Float32AVX512, gemv3Float32AVX512, gemv4Float32AVX512,
			gemv5Float32AVX512, gemv6Float32AVX512, gemv7Float32AVX512, gemv8Float32AVX512},
		accumulate: []accumulateFunc{accumulate1Float32AVX512, accumulate2Float32AVX512, accumulate3Float32AVX512, accumulate4Float32AVX512},
		pack:       packFloat32AVX512,
		lanes:      16, masks: true,
	}.stored(s.NR)
	s.BFloat16 = storedLoops{
		dtype: bfloat16s,
		gemv: []gemvFunc{gemv1BFloat16AVX512, gemv2BFloat16AVX512, gemv3BFloat16AVX512, gemv4BFloat16AVX512,
			gemv5BFloat16AVX512, gemv6BFloat16AVX512, gemv7BFloat16AVX512, gemv8BFloat16AVX512},
		accumulate: []accumulateFunc{accumulate1BFloat16AVX512, accumulate2BFloat16AVX512, accumulate3BFloat16AVX512, accumulate4BFloat16AVX512},
		pack:       packBFloat16AVX512,
		widen:      widenBFloat16AVX512, narrow: narrowBFloat16AVX512,
		lanes: 16, masks: true,
	}.stored(s.NR)
	s.Float16 = storedLoops{
		dtype: float16s,
		gemv: []gemvFunc{gemv1Float16AVX512, gemv2Float16AVX512, gemv3Float16AVX512, gemv4Float16AVX512,
			gemv5Float16AVX512, gemv6Float16AVX512, gemv7Float16AVX512, gemv8Float16AVX512},
		accumulate: []accumulateFunc{accumulate1Float16AVX512, accumulate2Float16AVX512, accumulate3Float16AVX512, accumulate4Float16AVX512},
		pack:       packFloat16AVX512,
		widen:      widenFloat16AVX512, narrow: narrowFloat16AVX512,
		lanes: 16, masks: true,
	}.stored(s.NR)
	if cpu.X86.HasAVX512BF16 {
		pairLoops{
			tile: tileBF16AVX512, packRows: packRowsFloat32PairsAVX512, packCols: packColPairsAVX512, peak: peakBF16AVX512,
			float32: packFloat32PairsAVX512, bfloat16: packFloat32AVX512, float16: packFloat16PairsAVX512,
		}.into(s)
	}
	if cpu.X86.HasAVX512VNNI {
		s.DotInt8, s.PeakInt8 = true, peakInt8AVX512
	}
	s.GemvInt8 = gemvInt8(gemv1Int8AVX512, 1)
	compactLoops{gemv: gemvCompactAVX512, expand: expandAVX512}.into(s)
	rowLoops{
		add: addAVX512, sub: subAVX512, mul: mulAVX512, div: divAVX512, max: maxAVX512, min: minAVX512,
		addScalar: addScalarAVX512, mulScalar: mulScalarAVX512, axpy: axpyAVX512,
		dot: dotAVX512, addSum: addSumAVX512, sum: sumAVX512, sumSquares: sumSquaresAVX512, maxOf: maxOfAVX512, indexOf: indexOfAVX512,
		rotate: rotateAVX512, norm: normAVX512, normBias: normBiasAVX512,
		exp: expAVX512, tanh: tanhAVX512, erf: erfAVX512, silu: siluAVX512, gelu: geluAVX512, geluTanh: geluTanhAVX512,
		swiGLU: swiGLUAVX512, expSum: expSumAVX512,
	}.into(s)
	return s
}

func avx2() *Set {
	s := generic()
	s.Name = "avx2"
	tileLoops{
		rows: 6, columns: 16, step: 8,
		tile: tileAVX2, packRows: packRowsAVX2, packCols: packColsAVX2, peak: peakAVX2,
	}.into(s)
	s.Float32 = storedLoops{
		dtype:      float32s,
		gemv:       []gemvFunc{gemv1Float32AVX2, gemv2Float32AVX2, gemv3Float32AVX2},
		accumulate: []accumulateFunc{accumulate1Float32AVX2, accumulate2Float32AVX2},
		pack:       packFloat32AVX2,
		lanes:      8,
	}.stored(s.NR)
	s.BFloat16 = storedLoops{
		dtype:      bfloat16s,
		gemv:       []gemvFunc{gemv1BFloat16AVX2, gemv2BFloat16AVX2, gemv3BFloat16AVX2},
		accumulate: []accumulateFunc{accumulate1BFloat16AVX2, accumulate2BFloat16AVX2},
		pack:       packBFloat16AVX2,
		widen:      widenBFloat16AVX2, narrow: narrowBFloat16AVX2,
		lanes: 8,
	}.stored(s.NR)
	s.Float16 = storedLoops{
		dtype:      float16s,
		gemv:       []gemvFunc{gemv1Float16AVX2, gemv2Float16AVX2, gemv3Float16AVX2},
		accumulate: []accumulateFunc{accumulate1Float16AVX2, accumulate2Float16AVX2},
		pack:       packFloat16AVX2,
		widen:      widenFloat16AVX2, narrow: narrowFloat16AVX2,
		lanes: 8,
	}.stored(s.NR)
	s.GemvInt8 = gemvInt8(gemv1Int8AVX2, 8)
	compactLoops{gemv: gemvCompactAVX2, expand: expandAVX2}.into(s)
	rowLoops{
		add: addAVX2, sub: subAVX2, mul: mulAVX2, div: divAVX2, max: maxAVX2, min: minAVX2,
		addScalar: addScalarAVX2, mulScalar: mulScalarAVX2, axpy: axpyAVX2,
		dot: dotAVX2, addSum: addSumAVX2, sum: sumAVX2, sumSquares: sumSquaresAVX2, maxOf: maxOfAVX2, indexOf: indexOfAVX2,
		rotate: rotateAVX2, norm: normAVX2, normBias: normBiasAVX2,
		exp: expAVX2, tanh: tanhAVX2, erf: erfAVX2, silu: siluAVX2, gelu: geluAVX2, geluTanh: geluTanhAVX2,
		swiGLU: swiGLUAVX2, expSum: expSumAVX2,
	}.into(s)
	return s
}
