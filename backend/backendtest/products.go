package backendtest

import (
	"context"
	"fmt"
	"math"
	"slices"

	"emily/backend"
)

// manyRows are graphs around products of x, [m, k], with weights of a dtype,
// [n, k], as Products compares them. Where the results of several are multiplied with each
// other, the errors of these factors add up.
var manyRows = []struct {
	name    string
	factors float64
	record  func(r *recorder, x *backend.Tensor, w func() *backend.Weight, bias func() *backend.Weight) *backend.Tensor
}{
	{"plain", 1, func(r *recorder, x *backend.Tensor, w, bias func() *backend.Weight) *backend.Tensor {
		return x.Linear(w(), nil)
	}},
	{"rounded", 1, func(r *recorder, x *backend.Tensor, w, bias func() *backend.Weight) *backend.Tensor { // x is bf16
		return x.Cast(backend.BF16).Cast(backend.F32).Linear(w(), bias())
	}},
	{"bias", 1, func(r *recorder, x *backend.Tensor, w, bias func() *backend.Weight) *backend.Tensor {
		return x.Linear(w(), bias()).GELU()
	}},
	{"residual", 1, func(r *recorder, x *backend.Tensor, w, bias func() *backend.Weight) *backend.Tensor {
		y := x.Linear(w(), nil)
		return y.Add(x.Linear(w(), bias()))
	}},
	{"gated", 2, func(r *recorder, x *backend.Tensor, w, bias func() *backend.Weight) *backend.Tensor {
		return x.Linear(w(), bias()).SwiGLU(x.Linear(w(), bias()))
	}},
	{"gated and rounded", 2, func(r *recorder, x *backend.Tensor, w, bias func() *backend.Weight) *backend.Tensor {
		x = x.Cast(backend.BF16).Cast(backend.F32)
		return x.Linear(w(), nil).SwiGLU(x.Linear(w(), nil))
	}},
	{"normed", 1, func(r *recorder, x *backend.Tensor, w, bias func() *backend.Weight) *backend.Tensor {
		k := x.Dim(1)
		return x.LayerNorm(r.weight(backend.F32, k), r.weight(backend.F32, k), 1e-5).Linear(w(), nil)
	}},
	{"group", 2, func(r *recorder, x *backend.Tensor, w, bias func() *backend.Weight) *backend.Tensor {
		one := r.scaled(w().DType, 1, x.Dim(1))
		return x.Linear(w(), nil).Sub(x.Linear(one, nil)).Mul(x.Linear(w(), nil))
	}},
}

// Products compares products of many rows on a device, with their edges, shares
// of k and epilogues, with a host's. Sizes are rows, columns and k. Errors tell
// of results that differ by more than the tolerance, as a share of their range, for each factor.
func Products(host, device backend.Backend, tolerance float64, sizes ...[3]int) (errs []error) {
	for _, dtype := range storedTypes {
		for _, s := range sizes {
			m, n, k := s[0], s[1], s[2]
			var drawn []*backend.Weight // for all graphs, since to draw them takes longest
			for _, c := range manyRows {
				name := fmt.Sprintf("%s %s of %d x %d, k %d", c.name, dtype, m, n, k)
				r := newRecorder(name, false)
				used := 0
				weight := func() *backend.Weight {
					if used == len(drawn) {
						drawn = append(drawn, r.scaled(dtype, n, k))
					}
					used++
					return drawn[used-1]
				}
				x := r.floats(m, k)
				r.out(c.record(r, x, weight, func() *backend.Weight { return r.weight(backend.F32, n) }))
				want, err := r.results(host)
				if err != nil {
					return append(errs, err)
				}
				got, err := r.results(device)
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", name, err))
				} else if share := difference(got, want); !(share <= c.factors*tolerance) {
					errs = append(errs, fmt.Errorf("%s: an error of %.3g of the range", name, share))
				}
			}
		}
	}
	return errs
}

// results are the elements of the graph's first output, an f32 tensor.
func (r *recorder) results(be backend.Backend) ([]float64, error) {
	p, err := backend.Compile(be, r.Graph, backend.Options{Strict: true})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	s, err := p.Bind()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out := alignedBuffer(r.Outputs()[0].Tensor.Bytes())
	err = s.Run(context.Background(), r.in, []backend.Buffer{out})
	return decode(backend.F32, out), err
}

// difference is the largest, as a share of the range of want; a NaN if there is one.
func difference(got, want []float64) float64 {
	worst := 0.0
	for i, w := range want {
		worst = max(worst, math.Abs(got[i]-w))
	}
	return worst / (slices.Max(want) - slices.Min(want))
}
