package backendtest

import (
	"slices"

	"emily/backend"
)

// linearRows are the row counts of the product tests.
var linearRows = []int{1, 2, 3, 15, 16, 17, 33, 70}

// bias returns a bias of a dtype, or nil.
func (r *recorder) bias(with bool, dtype backend.DType, n int) *backend.Weight {
	if !with {
		return nil
	}
	return r.weight(dtype, n)
}

func linearCases() []testCase {
	var cases []testCase
	for _, rows := range append([]int{0}, linearRows...) {
		for _, dtype := range storedTypes {
			for _, bias := range []bool{false, true} {
				for _, s := range [][2]int{{1, 1}, {7, 5}, {33, 64}, {300, 129}} {
					cases = append(cases, testCase{name: title(rows, dtype, bias, s), unaligned: s[0] == 7, record: func(r *recorder) {
						r.out(r.floats(rows, s[0]).Linear(r.scaled(dtype, s[1], s[0]), r.bias(bias, dtype, s[1])))
					}})
				}
			}
		}
	}
	return append(cases,
		testCase{name: "wide", record: func(r *recorder) {
			r.out(r.floats(1, 257).Linear(r.scaled(backend.BF16, 2001, 257), nil), r.floats(3, 257).Linear(r.scaled(backend.F32, 1003, 257), nil))
		}},
		testCase{name: "long sums", record: func(r *recorder) {
			for _, dtype := range storedTypes {
				r.out(r.floats(20, 1300).Linear(r.scaled(dtype, 133, 1300), nil))
			}
		}},
		testCase{name: "no features", record: func(r *recorder) {
			r.out(r.floats(3, 0).Linear(r.weight(backend.F32, 4, 0), r.weight(backend.F32, 4)), r.floats(20, 0).Linear(r.weight(backend.F32, 4, 0), nil))
			r.out(r.floats(3, 4).Linear(r.weight(backend.F32, 0, 4), nil), r.floats(20, 4).Linear(r.weight(backend.F32, 0, 4), nil))
		}},
		testCase{name: "bias of another dtype", record: func(r *recorder) {
			r.out(r.floats(2, 9).Linear(r.scaled(backend.BF16, 7, 9), r.weight(backend.F32, 7)))
		}})
}

// has returns a predicate for a node with an op and attributes.
func has(op backend.Op, attrs func(a backend.Attrs) bool) func(*backend.Tensor) bool {
	return func(n *backend.Tensor) bool { return n.Op() == op && (attrs == nil || attrs(n.Attrs())) }
}

var activations = []backend.Activation{backend.NoActivation, backend.GELU, backend.GELUTanh, backend.SiLU, backend.ReLU, backend.Tanh}

func fusedCases() []testCase {
	return slices.Concat(epilogueCases(), groupCases(), gatedCases(), linearTopKCases(), prologueCases())
}

// epilogueCases are products with bias, activation and residual.
func epilogueCases() []testCase {
	var cases []testCase
	for _, rows := range []int{1, 2, 16, 17, 33} {
		for _, act := range activations {
			for _, bias := range []bool{false, true} {
				for _, residual := range []bool{false, true} {
					cases = append(cases, testCase{
						name: title("epilogue", rows, act, bias, residual),
						record: func(r *recorder) {
							y := r.floats(rows, 33).Linear(r.scaled(backend.BF16, 70, 33), r.bias(bias, backend.BF16, 70)).Activate(act)
							if residual {
								y = r.floats(rows, 70).Add(y)
							}
							r.out(y)
						},
						fused: has(backend.OpLinear, func(a backend.Attrs) bool {
							return a.Activation == act && a.Residual == residual && a.Bias == bias
						}),
					})
				}
			}
		}
	}
	return append(cases,
		testCase{name: "epilogue/two residuals", record: func(r *recorder) {
			x := r.floats(3, 9)
			y := x.Linear(r.scaled(backend.F32, 9, 9), nil).Add(x)
			z := y.Linear(r.scaled(backend.F32, 9, 9), nil).Add(y.Linear(r.scaled(backend.F32, 9, 9), nil))
			r.out(z, z.Add(r.floats(9)))
		}},
		testCase{name: "epilogue/read twice", record: func(r *recorder) {
			y := r.floats(3, 9).Linear(r.scaled(backend.F32, 7, 9), nil)
			r.out(y.ReLU(), y.Add(r.floats(3, 7)), y.Add(y))
		}},
		testCase{name: "epilogue/twice itself", record: func(r *recorder) {
			y := r.floats(3, 9).Linear(r.scaled(backend.F32, 7, 9), nil)
			r.out(y.Add(y))
		}},
		testCase{name: "epilogue/activation of a sum", record: func(r *recorder) {
			r.out(r.floats(3, 9).Linear(r.scaled(backend.F32, 7, 9), nil).Add(r.floats(3, 7)).ReLU())
		}})
}

// groupCases are products of one input.
func groupCases() []testCase {
	var cases []testCase
	for _, rows := range []int{0, 1, 2, 16, 17, 33} {
		for _, bias := range []bool{false, true} {
			for i, sizes := range [][]int{{64, 16, 16}, {7, 33}, {1, 1, 300, 5}} {
				cases = append(cases, testCase{
					name: title("group", rows, bias, sizes), unaligned: i == 1,
					record: func(r *recorder) {
						x := r.floats(rows, 65)
						for j, n := range sizes {
							dtype := storedTypes[(i+j)%3]
							y := x.Linear(r.scaled(dtype, n, 65), r.bias(bias, dtype, n))
							r.out(y.Mul(r.Scalar(2)), y)
						}
					},
					fused: has(backend.OpLinearGroup, func(a backend.Attrs) bool { return a.Weights == len(sizes) && a.Bias == bias }),
				})
			}
		}
	}
	return append(cases, testCase{name: "group/one member with an activation", record: func(r *recorder) {
		x := r.floats(3, 9)
		a, b, c := x.Linear(r.scaled(backend.F32, 7, 9), nil), x.Linear(r.scaled(backend.F32, 7, 9), nil), x.Linear(r.scaled(backend.F32, 7, 9), nil)
		r.out(a.GELU().Mul(b), c.Sub(b))
	}}, testCase{name: "group/some biases", record: func(r *recorder) {
		x := r.floats(3, 9)
		r.out(x.Linear(r.scaled(backend.F32, 7, 9), r.weight(backend.F32, 7)), x.Linear(r.scaled(backend.F32, 7, 9), nil), x.Linear(r.scaled(backend.F32, 7, 9), r.weight(backend.F32, 7)))
	}})
}

func gatedCases() []testCase {
	var cases []testCase
	for _, rows := range []int{0, 1, 2, 3, 16, 17, 33} {
		for i, dtype := range storedTypes {
			for _, bias := range []bool{false, true} {
				cases = append(cases, testCase{
					name: title("gated", rows, dtype, bias), unaligned: i == 1 && bias,
					record: func(r *recorder) {
						x, other := r.floats(rows, 65), storedTypes[(i+1)%3]
						r.out(x.Linear(r.scaled(dtype, 301, 65), r.bias(bias, dtype, 301)).SwiGLU(x.Linear(r.scaled(other, 301, 65), r.bias(bias, other, 301))))
					},
					fused: has(backend.OpGatedLinear, func(a backend.Attrs) bool { return a.Bias == bias }),
				})
			}
		}
	}
	return cases
}

func linearTopKCases() []testCase {
	var cases []testCase
	for _, rows := range []int{0, 1, 2, 3, 16, 17} {
		for _, k := range []int{1, 5, 64} {
			if rows == 16 && k == 64 {
				continue // slow as primitives
			}
			for i, bias := range []bool{false, true} {
				cases = append(cases, testCase{
					name: title("topk", rows, k, bias), unaligned: bias && k == 5,
					record: func(r *recorder) {
						dtype := storedTypes[(rows+k+i)%3]
						ids, values := r.floats(rows, 65).Linear(r.scaled(dtype, 451, 65), r.bias(bias, dtype, 451)).TopK(k)
						r.out(ids, values)
					},
					fused: has(backend.OpLinearTopK, func(a backend.Attrs) bool { return a.K == k && a.Bias == bias }),
				})
			}
		}
	}
	return append(cases, testCase{name: "topk/all equal", record: func(r *recorder) {
		w := r.weight(backend.F32, 300, 5)
		clear(w.Data)
		for _, k := range []int{1, 64} {
			ids, values := r.floats(2, 5).Linear(w, nil).TopK(k)
			r.out(ids, values)
		}
	}}, testCase{name: "topk/NaN", record: func(r *recorder) {
		w, bias := r.scaled(backend.F32, 300, 5), r.weight(backend.F32, 300)
		copy(bias.Data[4*250:], encode(backend.F32, []float64{nan, nan}))
		for _, k := range []int{1, 3} {
			ids, values := r.floats(2, 5).Linear(w, bias).TopK(k)
			r.out(ids, values)
		}
	}}, testCase{name: "topk/only ids", record: func(r *recorder) {
		ids, _ := r.floats(2, 5).Linear(r.scaled(backend.F32, 300, 5), nil).TopK(3)
		r.out(ids)
	}})
}

// prologueCases are products after a norm that nothing else reads.
func prologueCases() []testCase {
	var cases []testCase
	for _, rows := range []int{1, 2, 16, 17, 33} {
		for _, layer := range []bool{false, true} {
			norm, kind := func(r *recorder) *backend.Tensor { return r.floats(rows, 65).RMSNorm(r.weight(backend.BF16, 65), 1e-6) }, backend.RMSNorm
			if layer {
				kind = backend.LayerNorm
				norm = func(r *recorder) *backend.Tensor {
					return r.floats(rows, 65).LayerNorm(r.weight(backend.F32, 65), r.weight(backend.F32, 65), 1e-5)
				}
			}
			normed := func(a backend.Attrs) bool { return a.Norm == kind }
			for _, c := range []struct {
				name   string
				record func(r *recorder, x *backend.Tensor)
				op     backend.Op
			}{
				{"linear", func(r *recorder, x *backend.Tensor) {
					r.out(x.Linear(r.scaled(backend.BF16, 33, 65), r.weight(backend.BF16, 33)).GELU().Add(r.floats(rows, 33)))
				}, backend.OpLinear},
				{"group", func(r *recorder, x *backend.Tensor) {
					r.out(x.Linear(r.scaled(backend.BF16, 33, 65), nil), x.Linear(r.scaled(backend.F32, 5, 65), nil))
				}, backend.OpLinearGroup},
				{"gated", func(r *recorder, x *backend.Tensor) {
					r.out(x.Linear(r.scaled(backend.BF16, 33, 65), nil).SwiGLU(x.Linear(r.scaled(backend.BF16, 33, 65), nil)))
				}, backend.OpGatedLinear},
				{"topk", func(r *recorder, x *backend.Tensor) {
					r.out(x.Linear(r.scaled(backend.BF16, 300, 65), nil).TopK(5))
				}, backend.OpLinearTopK},
			} {
				cases = append(cases, testCase{
					name:   title("prologue", c.name, kindName(kind), rows),
					record: func(r *recorder) { c.record(r, norm(r)) },
					fused:  has(c.op, normed),
				})
			}
		}
	}
	return append(cases, testCase{name: "prologue/norm of parts of a row", record: func(r *recorder) {
		r.out(r.floats(3, 24).RMSNorm(r.weight(backend.F32, 8), 1e-6).Linear(r.scaled(backend.F32, 5, 24), nil))
	}}, testCase{name: "prologue/norm read twice", record: func(r *recorder) {
		x := r.floats(3, 24).RMSNorm(r.weight(backend.F32, 24), 1e-6)
		r.out(x.Linear(r.scaled(backend.F32, 5, 24), nil), x)
	}})
}

func kindName(n backend.Norm) string {
	return map[backend.Norm]string{backend.RMSNorm: "rms", backend.LayerNorm: "layer"}[n]
}
