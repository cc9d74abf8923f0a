package backendtest

import "emily/backend"

// rowCounts lie around the sizes at which backends change kernels.
var rowCounts = []int{1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 18, 31, 33, 40}

func matmulCases() []testCase {
	var cases []testCase
	add := func(transposed bool, dtype backend.DType, odd bool, x, w []int) {
		name := title(x, w, dtype, map[bool]string{false: "plain", true: "transposed"}[transposed], odd)
		cases = append(cases, testCase{name: name, unaligned: odd, record: func(r *recorder) {
			if transposed {
				w = append([]int{}, w...)
				n := len(w)
				w[n-1], w[n-2] = w[n-2], w[n-1]
				r.out(r.floats(x...).MatMulT(r.Weight(r.scaled(dtype, w...))))
				return
			}
			r.out(r.floats(x...).MatMul(r.Weight(r.scaled(dtype, w...))))
		}})
	}
	for _, transposed := range []bool{false, true} {
		for _, dtype := range storedTypes {
			for i, m := range rowCounts {
				for _, s := range [][2]int{{1, 1}, {5, 7}, {32, 16}, {65, 33}, {257, 70}} { // k, n
					if s[0] > 100 && i%3 != 1 { // rows 2, 5, 9, 16, 31
						continue
					}
					add(transposed, dtype, i%5 == 2, []int{m, s[0]}, []int{s[0], s[1]})
				}
			}
			for _, s := range [][2][]int{
				{{2, 3, 4, 5}, {2, 3, 5, 7}}, {{3, 4, 5}, {5, 7}}, {{3, 1, 4, 5}, {1, 4, 5, 7}}, {{4, 5}, {3, 5, 7}}, {{3, 18, 9}, {3, 9, 33}},
				{{2, 1, 17, 9}, {3, 9, 19}}, {{1, 3, 5}, {1, 5, 2}}, {{1, 1, 20, 33}, {1, 1, 33, 20}}, {{6, 1, 33}, {6, 33, 300}},
				{{2, 9, 65}, {65, 5}}, {{2, 2, 2, 3, 4}, {2, 1, 2, 4, 3}}, {{5, 1, 3, 2}, {2, 4}},
				{{0, 5}, {5, 7}}, {{3, 5}, {5, 0}}, {{3, 0}, {0, 7}}, {{20, 0}, {0, 7}}, {{0, 3, 5}, {5, 7}}, {{2, 3, 0}, {2, 0, 4}}, {{2, 0, 4}, {2, 4, 3}},
			} {
				add(transposed, dtype, false, s[0], s[1])
			}
			add(transposed, dtype, false, []int{17, 257}, []int{257, 70})
			add(transposed, dtype, true, []int{2, 3, 5}, []int{2, 5, 7})
			add(transposed, dtype, true, []int{2, 18, 5}, []int{2, 5, 7})
			add(transposed, dtype, false, []int{40, 300}, []int{300, 301})
			add(transposed, dtype, false, []int{1, 300}, []int{300, 901})
		}
	}
	return append(cases, testCase{name: "computed operands", record: func(r *recorder) {
		x, y := r.floats(2, 5, 6).Tanh(), r.floats(2, 6, 4).Tanh()
		r.out(x.MatMul(y), x.MatMulT(y.Transpose(0, 2, 1)), x.MatMul(y.Cast(backend.BF16)), x.MatMulT(y.Transpose(0, 2, 1).Cast(backend.F16)))
	}})
}
