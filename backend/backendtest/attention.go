package backendtest

import (
	"fmt"

	"emily/backend"
)

// heads is a layout of attention heads.
type heads struct{ query, kv, dim int }

// layouts has groups of 1, 2, 3, 8 and 20 heads and even and odd sizes.
var layouts = []heads{{1, 1, 8}, {2, 2, 9}, {4, 2, 16}, {3, 1, 33}, {6, 2, 12}, {8, 1, 64}, {20, 1, 10}, {16, 2, 17}, {2, 1, 80}, {40, 2, 8}}

// masks are the ways to hide keys.
var masks = []struct {
	name   string
	causal bool
	window int
}{{"full", false, 0}, {"causal", true, 0}, {"window", true, 3}, {"window of one", true, 1}, {"full window", false, 4}}

func attentionCases() []testCase { return append(tensorAttention(), cacheAttention()...) }

// tensorAttention attends to keys and values of the same rows.
func tensorAttention() []testCase {
	segments := []struct {
		name string
		rows int
		list []segment // nil: one segment without a table
	}{
		{"one row", 1, nil},
		{"rows", 19, nil},
		{"padded", 12, []segment{{12, 0, 0, 7}}},
		{"several", 31, []segment{{5, 0, 0, 5}, {1, 3, 0, 1}, {17, 1, 9, 13}, {3, -1, 0, 3}, {4, 0, 0, 0}, {1, 2, 0, 1}}},
	}
	var cases []testCase
	for i, h := range layouts {
		for j, m := range masks {
			for k, s := range segments {
				if (i+j+k)%2 == 1 {
					continue // every mask meets every list of segments in half of the layouts
				}
				cases = append(cases, testCase{name: title("tensors", h, m.name, s.name), record: func(r *recorder) {
					spec := backend.AttentionSpec{Heads: h.query, KVHeads: h.kv, Causal: m.causal, Window: m.window}
					if s.list != nil {
						spec.Segments = r.segments(s.list...)
					}
					q := r.floats(s.rows, h.query*h.dim)
					spec.K, spec.V = r.floats(s.rows, h.kv*h.dim), r.floats(s.rows, h.kv*h.dim)
					r.out(q.Attention(spec))
				}})
			}
		}
	}
	return append(cases,
		testCase{name: "tensors/blocks of keys", record: func(r *recorder) {
			for _, m := range masks {
				r.out(r.floats(300, 8).Attention(backend.AttentionSpec{Heads: 1, KVHeads: 1, Causal: m.causal, Window: 70 * m.window, K: r.floats(300, 8), V: r.floats(300, 8)}))
			}
		}},
		testCase{name: "tensors/scale", record: func(r *recorder) {
			r.out(r.floats(5, 16).Attention(backend.AttentionSpec{Heads: 2, KVHeads: 1, Scale: 3, K: r.floats(5, 8), V: r.floats(5, 8)}))
		}},
		testCase{name: "tensors/large scores", unbounded: true, record: func(r *recorder) {
			// Scores of several hundred: only the difference to the largest may reach exp.
			// exp multiplies the error of such a score, 3e-5, into the result.
			x := r.floats(270, 8).Mul(r.Scalar(9))
			r.out(x.Attention(backend.AttentionSpec{Heads: 1, KVHeads: 1, K: x.Neg(), V: r.floats(270, 8)}))
		}, tolerance: 2e-4},
		testCase{name: "tensors/no rows", record: func(r *recorder) {
			r.out(r.floats(0, 16).Attention(backend.AttentionSpec{Heads: 2, KVHeads: 1, K: r.floats(0, 8), V: r.floats(0, 8)}))
		}})
}

// cacheAttention attends to one layer of caches.
func cacheAttention() []testCase {
	lists := []struct {
		name     string
		capacity int
		list     []segment
	}{
		{"one row", 16, []segment{{1, 1, 9, 1}}},
		{"first row", 16, []segment{{1, 0, 0, 1}}},
		{"batch", 16, []segment{{1, 2, 5, 1}, {1, 0, 15, 1}, {1, -1, 0, 0}, {1, 1, 0, 1}}},
		{"prompt", 32, []segment{{21, 1, 0, 21}}},
		{"padded", 32, []segment{{21, 1, 4, 13}}},
		{"mixed", 32, []segment{{1, 2, 30, 1}, {5, 0, 3, 5}, {8, 1, 11, 2}}},
		{"past the end", 16, []segment{{5, 1, 13, 5}}},
		{"blocks", 520, []segment{{2, 0, 512, 2}, {1, 1, 256, 1}, {1, 2, 255, 1}, {3, 1, 257, 2}}},
	}
	var cases []testCase
	for i, h := range layouts {
		for k, m := range masks {
			for j, l := range lists {
				if (i+j+k)%2 == 1 {
					continue // as above
				}
				dtype := []backend.DType{backend.F32, backend.BF16}[(i+j)/2%2]
				if l.capacity > 100 && h.query*h.dim > 72 {
					continue // slow as primitives, and nothing new
				}
				cases = append(cases, testCase{name: title("cache", h, m.name, l.name, dtype), record: func(r *recorder) {
					spec := r.cached(h, dtype, dtype, l.capacity)
					spec.Causal, spec.Window, spec.Keys = m.causal, m.window, l.capacity-3
					if m.window > 1 && l.capacity > 100 {
						spec.Window = 300
					}
					spec.Segments = r.segments(l.list...)
					r.out(r.floats(len(r.rows), h.query*h.dim).Attention(spec))
				}})
			}
		}
	}
	for _, keys := range []int{1, 5, 256, 257, 300} {
		for _, c := range []struct {
			dim          int
			keys, values backend.DType
		}{{12, backend.F32, backend.BF16}, {16, backend.BF16, backend.F32}, {40, backend.BF16, backend.BF16}, {72, backend.F32, backend.F32}, {200, backend.BF16, backend.BF16}} {
			cases = append(cases, testCase{name: title("cache/keys", keys, c.dim), record: func(r *recorder) {
				spec := r.cached(heads{4, 2, c.dim}, c.keys, c.values, 300)
				spec.Keys, spec.Layer = keys, 0
				spec.Segments = r.segments(segment{3, 1, 7, 3}, segment{1, 0, 0, 1})
				r.out(r.floats(4, 4*c.dim).Attention(spec))
			}})
		}
	}
	return cases
}

// cached adds caches of two layers and three slots; the attention is to layer 1.
func (r *recorder) cached(h heads, keys, values backend.DType, capacity int) backend.AttentionSpec {
	k := r.state(backend.CacheSpec("keys", keys, 2, 3, h.kv, capacity, h.dim), nil)
	v := r.state(backend.CacheSpec("values", values, 2, 3, h.kv, capacity, h.dim), nil)
	return backend.AttentionSpec{Heads: h.query, KVHeads: h.kv, KeyState: k, ValueState: v, Layer: 1}
}

func stateCases() []testCase {
	var cases []testCase
	add := func(name string, record func(r *recorder)) {
		cases = append(cases, testCase{name: name, record: record})
	}
	for _, dtype := range []backend.DType{backend.F32, backend.BF16} {
		for _, s := range []struct{ heads, dim int }{{1, 1}, {2, 9}, {3, 64}} {
			add(title("update", dtype, s), func(r *recorder) {
				cache := r.state(backend.CacheSpec("cache", dtype, 2, 3, s.heads, 16, s.dim), nil)
				seg := r.segments(segment{1, 0, 15, 1}, segment{4, 2, 14, 4}, segment{3, -1, 0, 3}, segment{5, 1, 3, 2},
					segment{2, 3, 0, 2}, segment{2, 0, 0, 0}, segment{3, 0, -2, 3}, segment{1, 1, 1 << 30, 1})
				r.floats(seg.Rows(), s.heads*s.dim).CacheUpdate(cache, 0, seg)
			})
		}
	}
	for _, dtype := range []backend.DType{backend.F32, backend.BF16, backend.F16, backend.I32} {
		add(title("whole", dtype), func(r *recorder) {
			s := r.state(&backend.StateSpec{Name: "s", DType: dtype, Shape: []int{3, 5}}, []float64{15: 0}[:15])
			before := r.ReadState(s)
			r.WriteState(s, r.typed(dtype, 15))
			r.out(before, r.ReadState(s))
		})
	}
	add("read between two writes", func(r *recorder) {
		s := r.state(&backend.StateSpec{Name: "s", DType: backend.F32, Shape: []int{4}}, nil)
		a := r.ReadState(s)
		r.WriteState(s, a.Add(r.Scalar(1)))
		b := r.ReadState(s)
		r.WriteState(s, b.Mul(r.Scalar(2)))
		r.out(a, b, r.ReadState(s), a.Add(b))
	})
	add("counters", func(r *recorder) {
		token := r.state(&backend.StateSpec{Name: "token", DType: backend.I32, Shape: []int{1}}, []float64{5})
		place := r.state(&backend.StateSpec{Name: "segments", DType: backend.I32, Shape: []int{1, 3}}, []float64{0, 7, 1})
		table := r.ReadState(place)
		r.out(backend.SegmentsOf(table, 1).Positions(), r.ReadState(token))
		r.WriteState(place, table.Add(r.Ints([]int32{0, 1, 0}, 1, 3)))
		r.WriteState(token, r.ReadState(token).Mul(r.Ints([]int32{3}, 1)))
	})
	add("attention between two updates", func(r *recorder) {
		h := heads{4, 2, 8}
		spec := r.cached(h, backend.F32, backend.F32, 32)
		spec.Causal, spec.Segments = true, r.segments(segment{3, 1, 4, 3}, segment{2, 0, 9, 1})
		q := r.floats(5, 32)
		for range 2 {
			k := r.floats(5, 16).RoPE(spec.Segments.Positions().RotaryTable(frequencies(4), 1), 2)
			k.CacheUpdate(spec.KeyState, 1, spec.Segments)
			r.floats(5, 16).CacheUpdate(spec.ValueState, 1, spec.Segments)
			q = q.Attention(spec)
			// What the padding row holds must not reach a comparison.
			r.out(q)
		}
	})
	add("layer of a decoder", decoderLayer)
	return cases
}

// decoderLayer is a whole layer as models record it, twice, with tied head.
func decoderLayer(r *recorder) {
	const hidden, layers = 48, 2
	h := heads{6, 2, 8}
	spec := r.cached(h, backend.F32, backend.F32, 32)
	spec.Causal, spec.Segments = true, r.segments(segment{4, 1, 0, 4}, segment{1, 2, 9, 1})
	table := spec.Segments.Positions().RotaryTable(frequencies(4), 1)
	embedding := r.scaled(backend.BF16, 99, hidden)
	x := r.Embedding(embedding, r.ints(0, 99, 5))
	w := func(out, in int) *backend.Weight { return r.scaled(backend.BF16, out, in) }
	norm := func(n int) *backend.Weight { return r.weight(backend.F32, n) }
	for l := range layers {
		end := r.Scope(fmt.Sprintf("layers.%d", l))
		spec.Layer = l
		y := x.RMSNorm(norm(hidden), 1e-6)
		q, k, v := y.Linear(w(48, hidden), nil), y.Linear(w(16, hidden), nil), y.Linear(w(16, hidden), nil)
		q = q.RMSNorm(norm(8), 1e-6).RoPE(table, h.query)
		k.RMSNorm(norm(8), 1e-6).RoPE(table, h.kv).CacheUpdate(spec.KeyState, l, spec.Segments)
		v.CacheUpdate(spec.ValueState, l, spec.Segments)
		x = x.Add(q.Attention(spec).Linear(w(hidden, 48), nil))
		y = x.RMSNorm(norm(hidden), 1e-6)
		x = x.Add(y.Linear(w(64, hidden), nil).SwiGLU(y.Linear(w(64, hidden), nil)).Linear(w(hidden, 64), nil))
		end()
	}
	logits := x.RMSNorm(norm(hidden), 1e-6).Rows(r.ids(3, 4)).Linear(embedding, nil)
	ids, values := logits.TopK(5)
	r.out(ids, values)
}

func topKCases() []testCase {
	var cases []testCase
	for _, rows := range []int{0, 1, 3, 40} {
		for _, n := range []int{1, 5, 64, 65, 1001} {
			for _, k := range []int{1, 2, 5, 64} {
				if k > n || rows*k*n > 200000 {
					continue // slow as primitives
				}
				cases = append(cases, testCase{name: title(rows, n, k), record: func(r *recorder) {
					ids, values := r.floats(rows, n).TopK(k)
					tied, same := r.ints(-2, 3, rows, n).Cast(backend.F32).TopK(k)
					r.out(ids, values, tied, same)
				}})
			}
		}
	}
	for i, row := range [][]float64{
		{nan, 1, nan, 2, nan}, {negInf, 5, negInf, negInf, 3}, {negInf, negInf, negInf, negInf, negInf},
		{-negInf, nan, -negInf, 0, negInf}, {0, 0, 0, 0, 0}, {nan, nan, nan, nan, nan},
	} {
		for _, k := range []int{1, 2, 4, 5} {
			cases = append(cases, testCase{name: title("special", i, k), record: func(r *recorder) {
				ids, values := r.given(backend.F32, row, 1, 5).TopK(k)
				r.out(ids, values)
			}})
		}
	}
	return cases
}
