package emu_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
	"emily/internal/golden"
)

// TestLongRows compares products of rows that a block holds only in parts with
// the CPU's.
func TestLongRows(t *testing.T) {
	host, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	device := open(t)
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	weight := func(shape ...int) *backend.Weight {
		w := &backend.Weight{Name: fmt.Sprint(shape), DType: backend.F32, Shape: shape}
		w.Data = backend.BufferOf(random(w.Elements()))
		return w
	}
	for _, rows := range []int{1, 3, 4, 9, 16} {
		for _, k := range []int{1100, 4104} { // longer than a part for 4 rows and for 1
			for _, layer := range []bool{false, true} {
				const n = 19
				g := backend.NewGraph()
				x := g.Input("x", backend.F32, rows, k)
				y := x.RMSNorm(weight(k), 1e-6)
				if layer {
					y = x.LayerNorm(weight(k), weight(k), 1e-5)
				}
				g.Output("a", y.Linear(weight(n, k), nil))
				g.Output("b", y.Linear(weight(n, k), nil))
				in := random(rows * k)
				var got [2][2][]float32
				for i, b := range []backend.Backend{host, device} {
					got[i] = [2][]float32{make([]float32, rows*n), make([]float32, rows*n)}
					if err := run(t, b, g, in, got[i][0], got[i][1]); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 2 {
					golden.CompareWithin(t, fmt.Sprintf("%d rows of %d, layer norm %t", rows, k, layer), got[1][i], got[0][i], 1e-5)
				}
			}
		}
	}
}

// run computes a graph of one input once.
func run(t *testing.T, b backend.Backend, g *backend.Graph, in []float32, out ...[]float32) error {
	p, err := backend.Compile(b, g, backend.Options{Strict: true})
	if err != nil {
		return err
	}
	defer p.Close()
	s, err := p.Bind()
	if err != nil {
		return err
	}
	defer s.Close()
	var results []backend.Buffer
	for _, x := range out {
		results = append(results, backend.BufferOf(x))
	}
	return s.Run(t.Context(), []backend.Buffer{backend.BufferOf(in)}, results)
}
