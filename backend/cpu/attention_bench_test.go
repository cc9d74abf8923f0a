package cpu

import (
	"fmt"
	"testing"

	"emily/backend"
)

// BenchmarkAttention is the attention of a decode step over caches of many
// layers, which no processor's cache holds. The limit is the read bandwidth
// (BenchmarkRead of package kernel).
func BenchmarkAttention(b *testing.B) {
	const headDim, layers = 128, 8
	for _, c := range []struct {
		heads, kvHeads int
		dtype          backend.DType
	}{{16, 8, backend.F32}, {16, 8, backend.BF16}, {9, 3, backend.F32}} {
		for _, context := range []int{128, 1024, 4096, 16384} {
			b.Run(fmt.Sprintf("%d of %d heads/%s/context=%d", c.heads, c.kvHeads, c.dtype, context), func(b *testing.B) {
				be, err := New(Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer be.Close()
				keys := backend.CacheSpec("keys", c.dtype, layers, 1, c.kvHeads, context, headDim)
				values := backend.CacheSpec("values", c.dtype, layers, 1, c.kvHeads, context, headDim)
				g := backend.NewGraph()
				x := g.Input("x", backend.F32, 1, c.heads*headDim)
				segments := g.SegmentsInput(1)
				for layer := range layers {
					x = x.Attention(backend.AttentionSpec{Heads: c.heads, KVHeads: c.kvHeads, Causal: true,
						KeyState: keys, ValueState: values, Layer: layer, Segments: segments})
				}
				g.Output("y", x)
				prog, err := backend.Compile(be, g, backend.Options{})
				if err != nil {
					b.Fatal(err)
				}
				var states []backend.State
				for _, spec := range prog.Plan().States {
					st, err := be.NewState(spec)
					if err != nil {
						b.Fatal(err)
					}
					defer st.Close()
					// Every page of its own: pages that were never written are all the same one.
					if err := st.Write(make([]byte, spec.Bytes()), 0); err != nil {
						b.Fatal(err)
					}
					states = append(states, st)
				}
				sess, err := prog.Bind(states...)
				if err != nil {
					b.Fatal(err)
				}
				defer sess.Close()
				q, y := make([]float32, c.heads*headDim), make([]float32, c.heads*headDim)
				in := []backend.Buffer{backend.BufferOf(q), backend.BufferOf([]int32{0, int32(context - 1), 1})}
				out := []backend.Buffer{backend.BufferOf(y)}
				b.SetBytes(int64(keys.Bytes() + values.Bytes()))
				for b.Loop() {
					if err := sess.Run(b.Context(), in, out); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
