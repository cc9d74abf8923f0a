package backendtest

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"emily/backend"
)

// recorder records a graph together with the data that it runs on. The data
// depends on the case's name alone.
type recorder struct {
	*backend.Graph
	rng     *rand.Rand
	odd     bool // weights start at odd addresses
	in      []backend.Buffer
	specs   []*backend.StateSpec
	initial [][]byte // contents of the states before a run
	rows    []bool   // rows of segments that are not padding
}

func newRecorder(name string, odd bool) *recorder {
	h := fnv.New64a()
	h.Write([]byte(name))
	return &recorder{Graph: backend.NewGraph(), rng: rand.New(rand.NewPCG(h.Sum64(), 1)), odd: odd}
}

// alignedBuffer returns n bytes that hold any dtype.
func alignedBuffer(n int) backend.Buffer {
	return backend.BufferOf(make([]float32, (n+3)/4))[:n]
}

// normal returns n normal numbers.
func (r *recorder) normal(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.rng.NormFloat64()
	}
	return x
}

// given records an input with the given elements.
func (r *recorder) given(dtype backend.DType, x []float64, shape ...int) *backend.Tensor {
	b := alignedBuffer(len(x) * dtype.Size())
	copy(b, encode(dtype, x))
	r.in = append(r.in, b)
	return r.Input(fmt.Sprintf("in%d", len(r.in)), dtype, shape...)
}

// floats records an f32 input of normal numbers.
func (r *recorder) floats(shape ...int) *backend.Tensor {
	return r.given(backend.F32, r.normal(count(shape)), shape...)
}

// ints records an I32 input of numbers from low to high (exclusive).
func (r *recorder) ints(low, high int, shape ...int) *backend.Tensor {
	x := make([]float64, count(shape))
	for i := range x {
		x[i] = float64(low + r.rng.IntN(high-low))
	}
	return r.given(backend.I32, x, shape...)
}

// ids records an I32 input with the given elements, shape [len(ids)].
func (r *recorder) ids(ids ...int) *backend.Tensor {
	x := make([]float64, len(ids))
	for i, id := range ids {
		x[i] = float64(id)
	}
	return r.given(backend.I32, x, len(ids))
}

// weight returns a weight of normal numbers.
func (r *recorder) weight(dtype backend.DType, shape ...int) *backend.Weight {
	skip := 0
	if r.odd {
		skip = 1
	}
	data := encode(dtype, r.normal(count(shape)))
	b := alignedBuffer(len(data) + skip)[skip:]
	copy(b, data)
	return &backend.Weight{Name: fmt.Sprintf("%s%v", dtype, shape), DType: dtype, Shape: shape, Data: b}
}

// scaled is weight with numbers of size 1/√(last axis), so that products stay near 1.
func (r *recorder) scaled(dtype backend.DType, shape ...int) *backend.Weight {
	w := r.weight(dtype, shape...)
	x := decode(dtype, w.Data)
	for i := range x {
		x[i] /= math.Sqrt(float64(shape[len(shape)-1]))
	}
	copy(w.Data, encode(dtype, x))
	return w
}

// state adds a state that starts with the given elements, or with normal numbers if x is nil.
func (r *recorder) state(spec *backend.StateSpec, x []float64) *backend.StateSpec {
	if x == nil {
		x = r.normal(count(spec.Shape))
	}
	r.specs = append(r.specs, spec)
	r.initial = append(r.initial, encode(spec.DType, x))
	return spec
}

// segment is one segment's static length and its row of the table.
type segment struct{ rows, slot, first, real int }

// segments records the input table and remembers which rows are padding.
func (r *recorder) segments(list ...segment) *backend.Segments {
	var table []float64
	var lens []int
	for _, s := range list {
		table = append(table, float64(s.slot), float64(s.first), float64(s.real))
		lens = append(lens, s.rows)
		for i := range s.rows {
			r.rows = append(r.rows, s.slot >= 0 && i < s.real)
		}
	}
	return backend.SegmentsOf(r.given(backend.I32, table, len(list), 3), lens...)
}

// out records outputs.
func (r *recorder) out(ts ...*backend.Tensor) {
	for _, t := range ts {
		r.Output(fmt.Sprintf("out%d", len(r.Outputs())+1), t)
	}
}
