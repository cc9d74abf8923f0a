package backendtest

import (
	"math"

	"emily/backend"
)

type (
	unaryOp  = func(*backend.Tensor) *backend.Tensor
	binaryOf = func(x, y *backend.Tensor) *backend.Tensor
)

var unaryOps = []struct {
	name string
	op   unaryOp
}{
	{"neg", (*backend.Tensor).Neg}, {"exp", (*backend.Tensor).Exp}, {"log", (*backend.Tensor).Log},
	{"tanh", (*backend.Tensor).Tanh}, {"erf", (*backend.Tensor).Erf}, {"sqrt", (*backend.Tensor).Sqrt},
	{"rsqrt", (*backend.Tensor).Rsqrt}, {"sin", (*backend.Tensor).Sin}, {"cos", (*backend.Tensor).Cos},
	{"gelu", (*backend.Tensor).GELU}, {"gelu_tanh", (*backend.Tensor).GELUTanh}, {"silu", (*backend.Tensor).SiLU},
	{"relu", (*backend.Tensor).ReLU}, {"softmax", (*backend.Tensor).Softmax},
}

var binaryOps = []struct {
	name string
	op   binaryOf
}{
	{"add", (*backend.Tensor).Add}, {"sub", (*backend.Tensor).Sub}, {"mul", (*backend.Tensor).Mul},
	{"div", (*backend.Tensor).Div}, {"max", (*backend.Tensor).Max}, {"min", (*backend.Tensor).Min},
	{"less", (*backend.Tensor).Less}, {"equal", (*backend.Tensor).Equal},
}

// unaryShapes has ranks 0 to 5, empty tensors, odd lengths, and one length
// that several workers share.
var unaryShapes = [][]int{{}, {1}, {7}, {3, 5}, {2, 3, 4}, {2, 1, 3, 1, 2}, {0}, {3, 0}, {0, 4}, {257}, {3, 1001}, {20011}}

// binaryShapes are pairs of shapes in every pattern of broadcasting.
var binaryShapes = [][2][]int{
	{{}, {}}, {{5}, {}}, {{}, {5}}, {{1}, {1, 1}}, {{3, 4}, {4}}, {{4}, {3, 4}}, {{3, 4}, {3, 1}}, {{3, 1}, {1, 4}}, {{4}, {3, 1}},
	{{2, 3, 4}, {3, 1}}, {{2, 1, 4}, {1, 3, 1}}, {{2, 3, 4, 5}, {3, 1, 5}}, {{1, 2, 1, 2, 1}, {2, 1, 2, 1, 2}}, {{2, 3, 1, 1, 4}, {1, 5, 1}},
	{{0}, {1}}, {{0}, {}}, {{0, 3}, {3}}, {{2, 0}, {2, 1}}, {{2, 1}, {1, 0}}, {{33, 1}, {1, 300}}, {{70, 301}, {70, 1}}, {{70, 301}, {301}},
	{{70, 301}, {}}, {{70, 301}, {70, 301}}, {{1, 1, 1}, {2, 2}}, {{3, 1, 2}, {3, 4, 1}}, {{20011}, {1}}, {{2, 10007}, {10007}},
}

// special are the numbers at which f32 functions misbehave.
var special = []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), 0.5, -2.5, 1e-20, -1e-20, 3e4, 1e-40}

func elementwiseCases() []testCase {
	var cases []testCase
	for _, u := range unaryOps {
		for _, shape := range unaryShapes {
			if u.name == "softmax" && len(shape) == 0 {
				continue
			}
			cases = append(cases, testCase{name: title(u.name, shape), record: func(r *recorder) {
				r.out(u.op(r.floats(shape...)))
			}})
		}
		for i, v := range special {
			composite := u.name == "gelu" || u.name == "gelu_tanh" || u.name == "silu"
			if composite && math.IsInf(v, 0) {
				continue // the lowering meets Inf·0 where the function has a limit
			}
			cases = append(cases, testCase{name: title(u.name, "special", i), record: func(r *recorder) {
				r.out(u.op(r.given(backend.F32, []float64{v}, 1)))
			}})
		}
	}
	for _, b := range binaryOps {
		for _, s := range binaryShapes {
			cases = append(cases,
				testCase{name: title(b.name, s), record: func(r *recorder) {
					r.out(b.op(r.floats(s[0]...), r.floats(s[1]...)))
				}},
				testCase{name: title(b.name, "i32", s), record: func(r *recorder) {
					r.out(b.op(r.ints(-3, 4, s[0]...), r.ints(-3, 4, s[1]...)))
				}})
		}
		cases = append(cases, specialPairs(b.name, b.op), testCase{name: title(b.name, "i32/limits"), record: func(r *recorder) {
			limits := []float64{math.MinInt32, -1, 0, 1, math.MaxInt32}
			r.out(b.op(r.given(backend.I32, limits, 5, 1), r.given(backend.I32, limits, 1, 5)))
		}})
	}
	cases = append(cases, selectCases()...)
	return append(cases, swiGLUCases()...)
}

// specialPairs pairs every special number with every other, one output each,
// since an error counts relative to its output.
func specialPairs(name string, op binaryOf) testCase {
	return testCase{name: title(name, "special"), record: func(r *recorder) {
		n := len(special)
		x, y := r.given(backend.F32, special, n, 1), r.given(backend.F32, special, 1, n)
		z := op(x, y)
		for i := range n {
			for j := range n {
				r.out(z.Slice(0, i, i+1).Slice(1, j, j+1))
			}
		}
	}}
}

func selectCases() []testCase {
	var cases []testCase
	for _, s := range [][3][]int{
		{{}, {}, {}}, {{5}, {}, {5}}, {{3, 1}, {4}, {}}, {{3, 4}, {3, 4}, {3, 4}}, {{1, 4}, {3, 1}, {2, 1, 1}}, {{0}, {0}, {1}},
		{{70, 301}, {}, {70, 301}}, {{301}, {70, 301}, {70, 1}}, {{2, 1, 3, 1, 2}, {4, 1, 5, 1}, {1}},
	} {
		cases = append(cases,
			testCase{name: title("select", s), record: func(r *recorder) {
				mask := r.floats(s[0]...).Less(r.floats(s[0]...))
				r.out(mask.Select(r.floats(s[1]...), r.floats(s[2]...)))
			}},
			testCase{name: title("select/i32", s), record: func(r *recorder) {
				mask := r.ints(0, 2, s[0]...).Equal(r.ints(0, 2, s[0]...))
				r.out(mask.Select(r.ints(-9, 9, s[1]...), r.ints(-9, 9, s[2]...)))
			}})
	}
	return append(cases,
		testCase{name: "select/input", record: func(r *recorder) {
			r.out(r.given(backend.U8, []float64{0, 1, 0, 255, 2}, 5).Select(r.floats(5), r.floats(5)))
		}},
		testCase{name: "select/unaligned", unaligned: true, record: func(r *recorder) {
			mask := r.floats(9).Less(r.Scalar(0))
			r.out(mask.Select(r.Weight(r.weight(backend.F32, 9)), r.floats(9)))
		}},
		testCase{name: "add/unaligned", unaligned: true, record: func(r *recorder) {
			r.out(r.floats(3, 9).Add(r.Weight(r.weight(backend.F32, 9))))
		}})
}

func swiGLUCases() []testCase {
	var cases []testCase
	for _, shape := range unaryShapes {
		cases = append(cases, testCase{name: title("swiglu", shape), record: func(r *recorder) {
			r.out(r.floats(shape...).SwiGLU(r.floats(shape...)))
		}})
	}
	return cases
}

func reduceCases() []testCase {
	ops := []struct {
		name string
		op   func(t *backend.Tensor, axis int) *backend.Tensor
	}{
		{"sum", (*backend.Tensor).Sum}, {"mean", (*backend.Tensor).Mean}, {"max", (*backend.Tensor).ReduceMax},
	}
	var cases []testCase
	for _, shape := range [][]int{{1}, {5}, {300}, {3, 7}, {40, 1001}, {2, 3, 5}, {2, 3, 1, 4}, {2, 3, 2, 3, 2}, {0}, {3, 0}, {0, 3}, {2, 0, 3}} {
		for _, o := range ops {
			for axis := range shape {
				cases = append(cases, testCase{name: title(o.name, shape, axis), record: func(r *recorder) {
					r.out(o.op(r.floats(shape...), axis), o.op(r.floats(shape...), axis-len(shape)))
				}})
			}
		}
		cases = append(cases, testCase{name: title("argmax", shape), record: func(r *recorder) {
			x := r.floats(shape...)
			r.out(x.ArgMax(), r.ints(0, 3, shape...).Cast(backend.F32).ArgMax())
		}})
	}
	inf, nan := math.Inf(1), math.NaN()
	for i, row := range [][]float64{
		{1, 3, 3, 2}, {nan, 1, 2, 3}, {1, nan, inf, nan}, {-inf, -inf, -inf, -inf}, {-inf, -5, -inf, -5}, {nan, nan, nan, nan},
		{0, math.Copysign(0, -1), 0, -1}, {inf, inf, -inf, 1}, {-1, -2, -3, inf},
	} {
		cases = append(cases, testCase{name: title("special", i), record: func(r *recorder) {
			wide := append(append([]float64{}, row...), -9, -9, -9, -9, -9, -9, -9, -9, -9, -9, -9, -9, -9, row[0], row[3])
			for _, x := range []*backend.Tensor{r.given(backend.F32, row, 1, 4), r.given(backend.F32, wide, 1, len(wide))} {
				r.out(x.ArgMax(), x.ReduceMax(-1), x.ReduceMax(0), x.Sum(1))
			}
		}})
	}
	// A masked row: hidden scores are -Inf; a row that sees nothing is NaN.
	return append(cases, testCase{name: "softmax/masked", record: func(r *recorder) {
		hidden := r.ints(0, 2, 6, 33).Equal(r.Ints([]int32{0}))
		x := hidden.Select(r.Scalar(float32(-inf)), r.floats(6, 33))
		all := r.Floats([]float32{float32(-inf)}, 1, 1).Broadcast(1, 33)
		r.out(backend.Concat(0, x, all).Softmax(), x.Mul(r.Scalar(80)).Softmax(), r.floats(2, 3, 4, 5).Softmax(), x.Slice(0, 2, 3).Softmax())
	}})
}
