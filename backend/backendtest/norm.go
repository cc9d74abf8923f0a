package backendtest

import (
	"math"

	"emily/backend"
)

var nan, negInf = math.NaN(), math.Inf(-1)

func normCases() []testCase {
	var cases []testCase
	for i, s := range []struct {
		shape []int
		group int // elements that are normalised together
	}{
		{[]int{1}, 1}, {[]int{7}, 7}, {[]int{3, 65}, 65}, {[]int{1, 1001}, 1001}, {[]int{2, 3, 33}, 33}, {[]int{40, 301}, 301},
		{[]int{5, 24}, 8}, {[]int{5, 27}, 9}, {[]int{2, 3, 64}, 16}, {[]int{3, 6}, 1}, {[]int{0, 8}, 8}, {[]int{0, 8}, 4},
	} {
		for j, dtype := range storedTypes {
			for _, eps := range []float32{1e-6, 0.1} {
				cases = append(cases, testCase{name: title("rms", s.shape, s.group, dtype, eps), unaligned: (i+j)%2 == 0, record: func(r *recorder) {
					r.out(r.floats(s.shape...).RMSNorm(r.weight(dtype, s.group), eps))
				}})
				if s.group != s.shape[len(s.shape)-1] {
					continue
				}
				cases = append(cases, testCase{name: title("layer", s.shape, dtype, eps), unaligned: (i+j)%2 == 1, record: func(r *recorder) {
					shift := r.floats(1).Mul(r.Scalar(5))
					r.out(r.floats(s.shape...).Add(shift).LayerNorm(r.weight(dtype, s.group), r.weight(backend.F32, s.group), eps))
				}})
			}
		}
	}
	return append(cases, testCase{name: "zeros", record: func(r *recorder) {
		x := r.floats(2, 16).Mul(r.Scalar(0))
		w, b := r.weight(backend.F32, 16), r.weight(backend.F32, 16)
		r.out(x.RMSNorm(w, 1e-6), x.LayerNorm(w, b, 1e-5))
	}}, testCase{name: "NaN", record: func(r *recorder) {
		x := r.given(backend.F32, append([]float64{nan}, r.normal(31)...), 2, 16)
		w, b := r.weight(backend.F32, 16), r.weight(backend.F32, 16)
		r.out(x.RMSNorm(w, 1e-6), x.LayerNorm(w, b, 1e-5))
	}})
}

// frequencies are the usual inverse frequencies of n pairs.
func frequencies(n int) []float32 {
	f := make([]float32, n)
	for i := range f {
		f[i] = float32(math.Pow(10000, -float64(i)/float64(n)))
	}
	return f
}

// ropeSegments are rows at positions that a long conversation reaches.
func (r *recorder) ropeSegments() *backend.Segments {
	return r.segments(segment{3, 0, 0, 3}, segment{1, 2, 4095, 1}, segment{5, 1, 17, 3}, segment{2, -1, 0, 0})
}

const ropeRows = 11 // of ropeSegments

func ropeCases() []testCase {
	var cases []testCase
	for _, s := range []struct{ heads, headDim, half int }{
		{1, 2, 1}, {1, 8, 4}, {3, 16, 8}, {2, 64, 32}, {5, 66, 33}, {2, 10, 3}, {3, 9, 4}, {2, 80, 16}, {2, 8, 0},
	} {
		for _, scale := range []float32{1, 0.7} {
			cases = append(cases, testCase{name: title("rope", s.heads, s.headDim, s.half, scale), record: func(r *recorder) {
				pos := r.ropeSegments().Positions()
				table := pos.RotaryTable(frequencies(s.half), scale)
				r.out(pos, table, r.floats(ropeRows, s.heads*s.headDim).RoPE(table, s.heads))
			}})
		}
		if s.half == 0 {
			continue
		}
		for _, kv := range []backend.DType{backend.F32, backend.BF16} {
			for _, norm := range []backend.Norm{backend.NoNorm, backend.RMSNorm} {
				cases = append(cases, rotaryUpdate(s.heads, s.headDim, s.half, kv, norm))
			}
		}
		cases = append(cases, testCase{
			name: title("norm", s.heads, s.headDim, s.half),
			record: func(r *recorder) {
				table := r.ropeSegments().Positions().RotaryTable(frequencies(s.half), 1)
				r.out(r.floats(ropeRows, s.heads*s.headDim).RMSNorm(r.weight(backend.BF16, s.headDim), 1e-6).RoPE(table, s.heads))
			},
			fused: has(backend.OpRoPE, func(a backend.Attrs) bool { return a.Norm == backend.RMSNorm }),
		})
	}
	return append(cases, testCase{name: "norm of the whole row", record: func(r *recorder) {
		table := r.ropeSegments().Positions().RotaryTable(frequencies(4), 1)
		r.out(r.floats(ropeRows, 24).RMSNorm(r.weight(backend.F32, 24), 1e-6).RoPE(table, 3))
	}}, testCase{name: "norm of half heads", record: func(r *recorder) {
		table := r.ropeSegments().Positions().RotaryTable(frequencies(4), 1)
		r.out(r.floats(ropeRows, 24).RMSNorm(r.weight(backend.F32, 4), 1e-6).RoPE(table, 3))
	}}, testCase{name: "many rows", record: func(r *recorder) {
		table := r.segments(segment{90, 0, 100, 90}).Positions().RotaryTable(frequencies(16), 1)
		r.out(r.floats(90, 8*32).RoPE(table, 8))
	}})
}

// rotaryUpdate writes rotated keys into a cache.
func rotaryUpdate(heads, headDim, half int, kv backend.DType, norm backend.Norm) testCase {
	c := testCase{
		name: title("update", heads, headDim, half, kv, kindName(norm)),
		record: func(r *recorder) {
			cache := r.state(backend.CacheSpec("keys", kv, 2, 3, heads, 32, headDim), nil)
			seg := r.ropeSegments()
			x := r.floats(ropeRows, heads*headDim)
			if norm != backend.NoNorm {
				x = x.RMSNorm(r.weight(backend.F32, headDim), 1e-6)
			}
			x.RoPE(seg.Positions().RotaryTable(frequencies(half), 1), heads).CacheUpdate(cache, 1, seg)
		},
		fused: has(backend.OpCacheUpdate, func(a backend.Attrs) bool { return a.Rotary && a.Norm == norm }),
	}
	if kv == backend.BF16 {
		c.tolerance = 1. / 128 // an f32 error may turn the rounding: one unit of the last place
	}
	return c
}
