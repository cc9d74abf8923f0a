package backendtest

import "emily/backend"

// mapSumCases are sums along the last axis of what an op computes. The widths
// are around the length of the blocks that a backend may work in.
func mapSumCases() []testCase {
	var cases []testCase
	fused := has(backend.OpMapSum, func(backend.Attrs) bool { return true })
	for _, shape := range [][]int{{7}, {3, 5}, {2, 3, 1}, {1, 4099}, {33, 2048}, {2, 3, 1001}} {
		for _, u := range unaryOps {
			c := testCase{name: title(u.name, shape), record: func(r *recorder) {
				r.out(u.op(r.floats(shape...)).Sum(-1))
			}}
			switch u.name {
			case "log", "sqrt", "rsqrt", "sin", "cos": // not worth it
			default:
				c.fused = fused
			}
			cases = append(cases, c)
		}
		for _, b := range binaryOps {
			if b.name == "less" || b.name == "equal" {
				continue
			}
			cases = append(cases, testCase{name: title(b.name, shape), fused: fused, record: func(r *recorder) {
				x, y := r.floats(shape...), r.floats(shape...)
				if b.name == "div" {
					y = y.Exp() // not near 0: a sum of large numbers of both signs has few digits
				}
				r.out(b.op(x, y).Sum(-1))
			}})
		}
	}
	return append(cases,
		testCase{name: "empty", record: func(r *recorder) {
			r.out(r.floats(3, 0).Exp().Sum(-1), r.floats(0, 3).Add(r.floats(0, 3)).Sum(-1))
		}},
		testCase{name: "broadcast", record: func(r *recorder) {
			r.out(r.floats(3, 5).Add(r.floats(5)).Sum(-1), r.floats(3, 1).Mul(r.floats(3, 5)).Sum(-1))
		}},
		testCase{name: "another axis", record: func(r *recorder) { r.out(r.floats(3, 5).Exp().Sum(0)) }},
		testCase{name: "read twice", record: func(r *recorder) {
			x := r.floats(3, 5).Exp()
			r.out(x.Sum(-1), x)
		}},
		testCase{name: "integers", record: func(r *recorder) {
			r.out(r.ints(0, 9, 3, 5).Add(r.ints(0, 9, 3, 5)).Cast(backend.F32).Sum(-1))
		}},
		testCase{name: "then more", fused: fused, record: func(r *recorder) {
			r.out(r.floats(5, 70).Mul(r.floats(5, 70)).Sum(-1).Sum(0).Exp())
		}})
}
