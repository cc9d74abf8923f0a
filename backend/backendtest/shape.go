package backendtest

import (
	"emily/backend"
	"math"
)

var storedTypes = []backend.DType{backend.F32, backend.BF16, backend.F16}

func shapeCases() []testCase {
	var cases []testCase
	add := func(name string, record func(r *recorder)) {
		cases = append(cases, testCase{name: name, record: record})
	}
	for _, shape := range [][]int{{5}, {3, 4}, {2, 3, 5}, {2, 3, 1, 5}, {2, 2, 3, 2, 3}, {40, 303}, {0, 3}, {3, 0}} {
		add(title("iota", shape), func(r *recorder) {
			for axis := range shape {
				r.out(r.Iota(axis, shape...))
			}
		})
		add(title("slice", shape), func(r *recorder) {
			x := r.floats(shape...)
			for axis, d := range shape {
				for _, cut := range [][2]int{{0, d}, {0, d / 2}, {d / 2, d}, {min(1, d), max(min(1, d), d-1)}, {d, d}} {
					r.out(x.Slice(axis, cut[0], cut[1]))
				}
			}
		})
		add(title("concat", shape), func(r *recorder) {
			for axis := range shape {
				parts := []*backend.Tensor{r.floats(shape...)}
				for _, d := range []int{1, 0, 4} {
					other := append([]int{}, shape...)
					other[axis] = d
					parts = append(parts, r.floats(other...))
				}
				r.out(backend.Concat(axis, parts...), backend.Concat(axis, parts[:2]...), backend.Concat(axis, parts[0], parts[0]))
			}
		})
		add(title("transpose", shape), func(r *recorder) {
			x := r.floats(shape...)
			for _, perm := range permutations(len(shape)) {
				r.out(x.Transpose(perm...))
			}
		})
		add(title("reshape", shape), func(r *recorder) {
			x := r.floats(shape...).Neg()
			r.out(x.Reshape(count(shape)), x.Reshape(1, count(shape), 1), x.Reshape(count(shape), 1).Neg(), x)
		})
	}
	for _, s := range [][2][]int{
		{{}, {3, 4}}, {{1}, {7}}, {{4}, {3, 4}}, {{3, 1}, {3, 4}}, {{1, 4}, {3, 4}}, {{2, 1, 3, 1}, {2, 4, 3, 5}}, {{3, 1, 1}, {2, 3, 4, 5}},
		{{1, 0}, {3, 0}}, {{1}, {0}}, {{33, 1}, {2, 33, 301}},
	} {
		add(title("broadcast", s), func(r *recorder) { r.out(r.floats(s[0]...).Broadcast(s[1]...)) })
	}
	cases = append(cases, movedTypes()...)
	cases = append(cases, viewCases()...)
	cases = append(cases, castCases()...)
	return append(cases, gatherCases()...)
}

// permutations returns every order of n axes.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			q := append(append(append([]int{}, p[:at]...), n-1), p[at:]...)
			all = append(all, q)
		}
	}
	return all
}

// movedTypes moves elements of every size.
func movedTypes() []testCase {
	var cases []testCase
	for _, dtype := range []backend.DType{backend.F32, backend.BF16, backend.F16, backend.I32, backend.U8} {
		for _, odd := range []bool{false, true} {
			if odd && !dtype.IsFloat() {
				continue
			}
			cases = append(cases, testCase{name: title("moved", dtype, odd), unaligned: odd, record: func(r *recorder) {
				x := r.typed(dtype, 3, 4, 5)
				y := backend.Concat(1, x.Slice(2, 1, 4), x.Transpose(0, 1, 2).Slice(2, 0, 3))
				z := x.Slice(0, 1, 2).Reshape(4, 5).Slice(0, 2, 3).Broadcast(3, 5).Transpose(1, 0)
				for _, t := range []*backend.Tensor{x, y, z, x.Slice(0, 2, 3), x.Transpose(2, 0, 1)} {
					r.out(t)
				}
			}})
		}
	}
	return cases
}

// typed records a tensor of any dtype: a weight for floats, an input or a comparison for others.
func (r *recorder) typed(dtype backend.DType, shape ...int) *backend.Tensor {
	switch dtype {
	case backend.I32:
		return r.ints(-100, 100, shape...)
	case backend.U8:
		return r.ints(0, 2, shape...).Equal(r.ints(0, 2, shape...))
	}
	return r.Weight(r.weight(dtype, shape...))
}

// viewCases chain ops that need no memory of their own.
func viewCases() []testCase {
	return []testCase{
		{name: "views/rows of rows", record: func(r *recorder) {
			x := r.floats(8, 6).Exp()
			y := x.Slice(0, 2, 7).Slice(0, 1, 4).Reshape(9, 2).Slice(0, 3, 8)
			r.out(y, y.Neg(), x.Slice(0, 7, 8).Slice(1, 2, 5), y.Transpose(1, 0))
		}},
		{name: "views/of inputs", record: func(r *recorder) {
			x := r.floats(8, 6)
			r.out(x, x.Reshape(48), x.Slice(0, 3, 5), x.Slice(0, 3, 5).Reshape(3, 4).Add(r.floats(3, 4)), x)
		}},
		{name: "views/of weights", record: func(r *recorder) {
			for _, dtype := range storedTypes {
				w := r.Weight(r.weight(dtype, 8, 6))
				r.out(w.Reshape(4, 12), w.Slice(0, 3, 6), w, r.floats(3, 6).MatMulT(w.Slice(0, 3, 8)), w.Slice(0, 1, 5).Gather(r.ids(3, 0, 4)))
			}
		}},
		{name: "views/of constants", record: func(r *recorder) {
			x := r.Floats([]float32{1, 2, 3, 4, 5, 6}, 3, 2)
			r.out(x, x.Slice(0, 1, 2), x.Reshape(2, 3).Slice(0, 1, 2).Neg())
		}},
		{name: "views/one result, many outputs", record: func(r *recorder) {
			x := r.floats(4, 6).Exp()
			r.out(x, x, x.Reshape(24), x.Slice(0, 1, 2), x.Add(r.Scalar(1)))
		}},
		{name: "views/of an output", record: func(r *recorder) {
			x := r.floats(4, 6).Exp()
			y := x.Slice(0, 2, 4).Neg()
			r.out(x.Reshape(6, 4), y, y.Reshape(3, 4).Exp())
		}},
		{name: "views/long chain", record: func(r *recorder) {
			x := r.floats(5, 12)
			for range 12 {
				x = backend.Concat(0, x.Slice(0, 1, 5).Neg(), x.Slice(0, 0, 1).Exp().Min(r.Scalar(2)))
				x = x.Reshape(12, 5).Transpose(1, 0).Reshape(5, 12).Mul(r.Scalar(0.9))
			}
			r.out(x)
		}},
	}
}

func castCases() []testCase {
	var cases []testCase
	edges := []float64{0, 1, -1, 65504, 65519, 65520, 1e-7, 6e-8, 2e-8, 3e38, 1.00390625, 1.01171875, 1.00048828125, 1.00146484375, 0.3333, -2.7, 1e-40}
	for _, from := range storedTypes {
		for _, to := range storedTypes {
			for _, odd := range []bool{false, true} {
				cases = append(cases, testCase{name: title("cast", from, to, odd), unaligned: odd, record: func(r *recorder) {
					r.out(r.Weight(r.weight(from, 7, 43)).Cast(to), r.given(from, r.normal(20011), 20011).Cast(to))
					for _, v := range edges {
						r.out(r.given(from, []float64{v}, 1).Cast(to))
					}
				}})
			}
		}
	}
	return append(cases,
		testCase{name: "cast/i32/f32", record: func(r *recorder) {
			r.out(r.ints(-1<<24, 1<<24, 301).Cast(backend.F32), r.ints(-9, 9).Cast(backend.F32), r.ints(0, 1, 0).Cast(backend.F32))
		}},
		testCase{name: "cast/f32/i32", record: func(r *recorder) {
			r.out(r.given(backend.F32, []float64{0.9, -0.9, 1.5, -1.5, 2.999, math.Copysign(0, -1), 1e6, -3e6}, 8).Cast(backend.I32), r.floats(33, 3).Cast(backend.I32))
		}},
		testCase{name: "cast/f32/i32/unaligned", unaligned: true, record: func(r *recorder) {
			r.out(r.Weight(r.weight(backend.F32, 21)).Cast(backend.I32))
		}},
		testCase{name: "cast/u8", record: func(r *recorder) {
			m := r.given(backend.U8, []float64{0, 1, 2, 127, 128, 255}, 2, 3)
			r.out(m.Cast(backend.F32), m.Cast(backend.I32))
		}})
}

func gatherCases() []testCase {
	var cases []testCase
	for _, dtype := range storedTypes {
		for _, odd := range []bool{false, true} {
			cases = append(cases, testCase{name: title("gather", dtype, odd), unaligned: odd, record: func(r *recorder) {
				w := r.weight(dtype, 11, 37)
				r.out(r.Embedding(w, r.ids(0, 10, 5, 5, -1, 11, 1<<30, -1<<31)), r.Weight(w).Gather(r.ints(0, 11, 3, 4)), r.Weight(w).Gather(r.ints(0, 11)))
				r.out(r.Weight(r.weight(dtype, 6)).Gather(r.ids(5, 0, 9)), r.Weight(r.weight(dtype, 3, 2, 5)).Gather(r.ids(2, 0)), r.Embedding(w, r.ids()))
			}})
		}
	}
	return append(cases,
		testCase{name: "gather/i32", record: func(r *recorder) {
			r.out(r.ints(-9, 9, 5, 3).Gather(r.ids(4, 0, -1, 5)), r.ints(-9, 9, 7).Gather(r.ints(-1, 9, 2, 3)))
		}},
		testCase{name: "gather/rows", record: func(r *recorder) {
			x := r.floats(9, 301).Exp()
			r.out(x.Rows(r.ids(8, 8, 0)), x.Slice(0, 4, 9).Rows(r.ids(0, 4)))
		}},
		testCase{name: "gather/many", record: func(r *recorder) { r.out(r.floats(50, 301).Gather(r.ints(0, 50, 200))) }},
		testCase{name: "gather/empty table", record: func(r *recorder) {
			r.out(r.floats(0, 5).Gather(r.ids(0, 1)), r.floats(3, 0).Gather(r.ids(0, 1)), r.ints(0, 1, 0).Gather(r.ids(0)))
		}})
}

func convCases() []testCase {
	var cases []testCase
	for _, c := range []struct {
		in, kernel  []int
		stride, pad int
	}{
		{[]int{1, 1}, []int{1, 1, 1}, 1, 0}, {[]int{9, 3}, []int{4, 3, 3}, 1, 1}, {[]int{10, 5}, []int{7, 5, 3}, 2, 1}, {[]int{4, 2}, []int{3, 2, 4}, 1, 0},
		{[]int{7, 1}, []int{2, 1, 3}, 3, 2}, {[]int{50, 8}, []int{33, 8, 3}, 2, 1}, {[]int{3, 2}, []int{2, 2, 5}, 1, 2},
		{[]int{5, 7, 3}, []int{4, 3, 3, 3}, 1, 1}, {[]int{12, 12, 3}, []int{5, 3, 4, 4}, 4, 0}, {[]int{5, 6, 2}, []int{3, 2, 3, 2}, 2, 1},
		{[]int{1, 9, 2}, []int{3, 2, 1, 3}, 1, 0}, {[]int{11, 13, 4}, []int{19, 4, 2, 3}, 1, 2}, {[]int{9, 9, 1}, []int{1, 1, 5, 5}, 3, 4},
	} {
		for _, dtype := range storedTypes {
			for _, odd := range []bool{false, true} {
				cases = append(cases, testCase{name: title(c.in, c.kernel, c.stride, c.pad, dtype, odd), unaligned: odd, record: func(r *recorder) {
					r.out(r.floats(c.in...).Conv(r.Weight(r.scaled(dtype, c.kernel...)), c.stride, c.pad))
				}})
			}
		}
	}
	return append(cases, testCase{name: "computed kernel", record: func(r *recorder) {
		r.out(r.floats(6, 2).Exp().Conv(r.floats(3, 2, 3).Tanh(), 1, 1))
	}})
}
