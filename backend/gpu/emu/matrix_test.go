package emu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
	"emily/internal/golden"
)

// stored draws a weight; its elements are what its dtype holds.
func stored(rng *rand.Rand, dtype backend.DType, shape ...int) *backend.Weight {
	w := &backend.Weight{Name: fmt.Sprint(dtype, shape), DType: dtype, Shape: shape}
	w.Data = make([]byte, w.Elements()*dtype.Size())
	for i := range w.Elements() {
		v := float32(rng.NormFloat64())
		switch dtype {
		case backend.F32:
			copy(w.Data[4*i:], backend.BufferOf([]float32{v}))
		case backend.BF16:
			copy(w.Data[2*i:], backend.BufferOf([]uint16{uint16(math.Float32bits(v) >> 16)}))
		case backend.F16: // the sign, an exponent near 0, and ten random bits
			copy(w.Data[2*i:], backend.BufferOf([]uint16{uint16(rng.IntN(2)<<15 | (13+rng.IntN(3))<<10 | rng.IntN(1024))}))
		}
	}
	return w
}

// TestMatrices compares the products on matrix units, with their edges, shares
// of k and epilogues, with the CPU's.
func TestMatrices(t *testing.T) {
	host, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	device := open(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, dtype := range []backend.DType{backend.F32, backend.BF16, backend.F16} {
		for _, size := range [][3]int{ // rows, columns, k
			{17, 1, 8}, {40, 30, 264}, {65, 70, 40}, {130, 129, 72},
			{150, 1100, 40}, // large tiles
		} {
			m, n, k := size[0], size[1], size[2]
			w := func() *backend.Weight { return stored(rng, dtype, n, k) }
			bias := func() *backend.Weight { return stored(rng, backend.F32, n) }
			for name, record := range map[string]func(x *backend.Tensor) *backend.Tensor{
				"plain": func(x *backend.Tensor) *backend.Tensor { return x.Linear(w(), nil) },
				"rounded": func(x *backend.Tensor) *backend.Tensor { // one term is enough for x
					return x.Cast(backend.BF16).Cast(backend.F32).Linear(w(), bias())
				},
				"bias":     func(x *backend.Tensor) *backend.Tensor { return x.Linear(w(), bias()).GELU() },
				"residual": func(x *backend.Tensor) *backend.Tensor { y := x.Linear(w(), nil); return y.Add(x.Linear(w(), bias())) },
				"gated": func(x *backend.Tensor) *backend.Tensor {
					return x.Linear(w(), bias()).SwiGLU(x.Linear(w(), bias()))
				},
				"normed": func(x *backend.Tensor) *backend.Tensor {
					return x.LayerNorm(stored(rng, backend.F32, k), stored(rng, backend.F32, k), 1e-5).Linear(w(), nil)
				},
				"group": func(x *backend.Tensor) *backend.Tensor {
					return x.Linear(w(), nil).Sub(x.Linear(stored(rng, dtype, 1, k), nil)).Mul(x.Linear(w(), nil))
				},
			} {
				g := backend.NewGraph()
				g.Output("y", record(g.Input("x", backend.F32, m, k)))
				in := make([]float32, m*k)
				for i := range in {
					in[i] = float32(rng.NormFloat64())
				}
				var got [2][]float32
				for i, b := range []backend.Backend{host, device} {
					got[i] = make([]float32, m*n)
					if err := run(t, b, g, in, got[i]); err != nil {
						t.Fatal(err)
					}
				}
				golden.CompareWithin(t, fmt.Sprintf("%s %s of %d x %d, k %d", name, dtype, m, n, k), got[1], got[0], 2e-6)
			}
		}
	}
}
