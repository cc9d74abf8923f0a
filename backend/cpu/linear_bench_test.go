package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"emily/backend"
)

// BenchmarkLinear multiplies many rows with a bf16 weight on all threads, in
// bf16 and in f32; EMILY_CPU chooses the kernels. The limit is the peak of
// BenchmarkPeak of package kernel, times the threads.
func BenchmarkLinear(b *testing.B) {
	be, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer be.Close()
	for _, dtype := range []backend.DType{backend.BF16, backend.F32} {
		for _, s := range []struct{ m, n, k int }{
			{32, 4096, 1024}, {128, 4096, 1024}, {512, 4096, 1024}, {512, 1024, 3072}, {512, 12288, 4096}, {197, 3072, 768}, {1500, 1536, 384},
		} {
			b.Run(fmt.Sprintf("%s/%s/%dx%dx%d", be.set.Name, dtype, s.m, s.n, s.k), func(b *testing.B) {
				w := &backend.Weight{DType: backend.BF16, Shape: []int{s.n, s.k}, Data: make([]byte, 2*s.n*s.k)}
				for i := range w.Data {
					w.Data[i] = byte(rand.Uint32() & 0x3f)
				}
				g := backend.NewGraph()
				g.Output("y", g.Input("x", backend.F32, s.m, s.k).Linear(w, nil))
				program, err := backend.Compile(be, g, backend.Options{DType: dtype})
				if err != nil {
					b.Fatal(err)
				}
				session, err := program.Bind()
				if err != nil {
					b.Fatal(err)
				}
				defer session.Close()
				x := make([]float32, s.m*s.k)
				for i := range x {
					x[i] = rand.Float32() - 0.5
				}
				in, out := []backend.Buffer{backend.BufferOf(x)}, []backend.Buffer{backend.BufferOf(make([]float32, s.m*s.n))}
				for b.Loop() {
					if err := session.Run(b.Context(), in, out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(2*float64(s.m*s.n*s.k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
