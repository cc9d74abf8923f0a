package emu_test

import (
	"math/rand/v2"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
	"emily/internal/golden"
)

// TestMerges compares graphs of which steps become one launch, or strides of
// their readers, with the CPU's results.
func TestMerges(t *testing.T) {
	host, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	device := open(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for name, record := range map[string]func(g *backend.Graph, x *backend.Tensor) *backend.Tensor{ // x is [6, 40]
		"chain": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor { return x.Mul(x).Add(x).Exp().Neg().Max(x) },
		"norm": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor {
			return x.Mul(x.Mul(x).Mean(-1).Add(g.Scalar(1)).Rsqrt())
		},
		"soft": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor { return x.Softmax().Add(x.Softmax().Sum(0)) },
		"turned": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor {
			y := x.Reshape(6, 4, 10).Transpose(1, 2, 0).Reshape(40, 6)
			return y.Add(y.Slice(0, 3, 4)).Transpose(1, 0).Mul(x)
		},
		"concat": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor {
			a, b := x.Slice(1, 0, 20), x.Slice(1, 20, 40)
			return backend.Concat(1, a.Mul(b).Sub(a), b, a.Neg()).Sum(-1).Add(x)
		},
		"halves": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor { // a slice of an axis that was two
			y := x.Reshape(6, 8, 5).Transpose(1, 0, 2).Reshape(8, 30)
			return y.Neg().Slice(0, 2, 7).Add(y.Slice(1, 10, 20).Exp().Sum(-1).Slice(0, 1, 6)).Slice(1, 5, 29)
		},
		"masks": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor {
			key, row := g.Iota(1, 1, 40), g.Iota(0, 6, 1)
			hidden := row.Mul(g.Ints([]int32{7}, 1, 1)).Less(key)
			return hidden.Select(g.Scalar(-3), x).ReduceMax(-1).Add(hidden.Cast(backend.F32)).Mul(key.Cast(backend.F32))
		},
		"rounded": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor {
			y := x.Cast(backend.BF16).Cast(backend.F32)
			return y.Add(x.Cast(backend.F16).Transpose(1, 0).Cast(backend.F32).Transpose(1, 0)).Cast(backend.I32).Cast(backend.F32).Add(y)
		},
		"products": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor { // the right operand is a transposed or a widened one
			y := x.MatMulT(x.Neg().Cast(backend.BF16).Cast(backend.F32))
			return y.MatMul(x.Reshape(6, 40)).Add(x.Transpose(1, 0).MatMul(x).Sum(0))
		},
		"long": func(g *backend.Graph, x *backend.Tensor) *backend.Tensor { // more than a launch takes
			y := x
			for i := range 30 {
				y = y.Mul(g.Scalar(float32(i) / 16)).Add(x.Slice(0, i%6, i%6+1)).Tanh()
			}
			return y
		},
	} {
		for _, lane := range []backend.Lane{backend.Native, backend.Fuse} {
			g := backend.NewGraph()
			y := record(g, g.Input("x", backend.F32, 6, 40))
			g.Output("y", y)
			in := random(rng, 240)
			var got [2][]float32
			for i, b := range []backend.Backend{host, device} {
				got[i] = make([]float32, y.Elements())
				p, err := backend.Compile(b, g, backend.Options{Lane: lane})
				if err != nil {
					t.Fatal(name, err)
				}
				s, err := p.Bind()
				if err != nil {
					t.Fatal(name, err)
				}
				if err := s.Run(t.Context(), []backend.Buffer{backend.BufferOf(in)}, []backend.Buffer{backend.BufferOf(got[i])}); err != nil {
					t.Fatal(name, err)
				}
				s.Close()
				p.Close()
			}
			golden.CompareWithin(t, name+" "+lane.String(), got[1], got[0], 2e-6)
		}
	}
}
