//go:build linux && !nogpu

package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"emily/arch"
	_ "emily/arch/qwen3"
	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/gpu"
	"emily/internal/golden"
)

// BenchmarkCUDADecode is greedy decoding of a Qwen3-0.6B with random weights,
// one call a token: 48 tokens after a prompt of 10. Activations and cache are bf16 or f32.
func BenchmarkCUDADecode(b *testing.B) {
	be := openDevice(b)
	folder := golden.Random(b, "qwen3-0.6b")
	for _, c := range []struct {
		lane  backend.Lane
		dtype backend.DType
	}{{backend.Fuse, backend.BF16}, {backend.Fuse, backend.F32}, {backend.Native, backend.F32}, {backend.Eager, backend.F32}} {
		b.Run(fmt.Sprintf("%s/%s", c.lane, c.dtype), func(b *testing.B) {
			m := golden.LoadOptions(b, folder, arch.Options{Backend: be, Lane: c.lane, DType: c.dtype, KV: c.dtype, Strict: true,
				Event: func(line string) { b.Log(line) }}).Model.(arch.Decoder)
			seq, err := m.NewSequence()
			if err != nil {
				b.Fatal(err)
			}
			defer seq.Close()
			const tokens = 48
			generate := func() {
				seq.Truncate(0)
				ids := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
				for range tokens {
					top, values, err := seq.Extend(b.Context(), ids, 1)
					if err != nil || math.IsNaN(float64(values[0])) {
						b.Fatal(err, values)
					}
					ids = []int32{top[0]}
				}
			}
			generate() // compiles and uploads
			for b.Loop() {
				generate()
			}
			b.ReportMetric(float64(b.N*tokens)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}

// BenchmarkCUDASteps is the closed loop of the same decoder: token and position
// stay on the device. It has a context of 10 or 4000 tokens.
func BenchmarkCUDASteps(b *testing.B) {
	be := openDevice(b)
	draw := drawer()
	for _, dtype := range []backend.DType{backend.BF16, backend.F32} {
		for _, cache := range []backend.DType{backend.BF16, backend.F32} {
			for _, context := range []int32{10, 4000} {
				b.Run(fmt.Sprintf("%s/cache-%s/context-%d", dtype, cache, context), func(b *testing.B) { steps(b, be, draw(), dtype, cache, context) })
			}
		}
	}
}

// drawer returns a function that begins with the first weight again, so that
// graphs of the same shape share their weights.
func drawer() func() func(name string, shape ...int) *backend.Weight {
	rng := rand.New(rand.NewPCG(1, 2))
	var drawn []*backend.Weight
	return func() func(name string, shape ...int) *backend.Weight {
		next := 0
		return func(name string, shape ...int) *backend.Weight {
			if next++; next <= len(drawn) {
				return drawn[next-1]
			}
			w := &backend.Weight{Name: name, DType: backend.BF16, Shape: shape}
			w.Data = make([]byte, w.Elements()*2)
			for i := 0; i < len(w.Data); i += 8 { // numbers of size 2^-6 and either sign
				r := rng.Uint64()
				for j := range 4 {
					w.Data[i+2*j], w.Data[i+2*j+1] = byte(r>>(16*j)), byte(r>>(16*j+8))&0x80|0x3c
				}
			}
			drawn = append(drawn, w)
			return w
		}
	}
}

func steps(b *testing.B, be *gpu.Backend, weight func(name string, shape ...int) *backend.Weight, dtype, cache backend.DType, context int32) {
	d := backendtest.Decoder{Hidden: 1024, Heads: 16, KVHeads: 8, HeadDim: 128, Inner: 3072, Layers: 28, Vocabulary: 151936, Rotated: 128,
		QKNorm: true, Capacity: 4096, Slots: 1, Cache: cache, Closed: true}
	g, _, _ := d.Step(weight, nil)
	p, err := backend.Compile(be, g, backend.Options{Strict: true, DType: dtype, Event: func(line string) { b.Log(line) }})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	var states []backend.State
	for _, spec := range p.Plan().States {
		s, err := be.NewState(spec)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		states = append(states, s)
	}
	s, err := p.Bind(states...)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const tokens = 48
	for b.Loop() {
		for _, st := range states {
			if st.Spec().Name == "segments" {
				if err := st.Write(backend.BufferOf([]int32{0, context, 1}), 0); err != nil {
					b.Fatal(err)
				}
			}
		}
		if n, err := s.Steps(b.Context(), tokens, func(int32) bool { return true }); n != tokens || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N*tokens)/b.Elapsed().Seconds(), "tok/s")
}
