//go:build linux && !nogpu

package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/internal/golden"
)

// copies is how often a benchmarked op is in its graph.
const copies = 16

// measure runs a graph without inputs in a closed loop: the results of record
// are added up, so that none is left out. It reports TFLOP/s and GB/s of one op.
func measure(b *testing.B, lane backend.Lane, flops, bytes float64, record func(g *backend.Graph, i int) *backend.Tensor) {
	be := openDevice(b)
	g := backend.NewGraph()
	var sum *backend.Tensor
	for i := range copies {
		y := record(g, i).Slice(0, 0, 1).Slice(1, 0, 1).Reshape(1)
		if sum == nil {
			sum = y
		} else {
			sum = sum.Add(y)
		}
	}
	g.Output("sum", sum.Cast(backend.I32))
	p, err := backend.Compile(be, g, backend.Options{Lane: lane})
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
		if err := s.Write(noise(spec.DType, spec.Bytes()), 0); err != nil {
			b.Fatal(err)
		}
		states = append(states, s)
	}
	s, err := p.Bind(states...)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const runs = 16
	run := func() {
		if n, err := s.Steps(b.Context(), runs, func(int32) bool { return true }); n != runs || err != nil {
			b.Fatal(n, err)
		}
	}
	run()
	for b.Loop() {
		run()
	}
	seconds := b.Elapsed().Seconds() / float64(b.N*runs*copies)
	b.ReportMetric(seconds*1e6, "us/op")
	b.ReportMetric(flops/seconds/1e12, "TFLOP/s")
	b.ReportMetric(bytes/seconds/1e9, "GB/s")
}

// noise is numbers of size 2^-4 and either sign, the same again after each MiB.
func noise(dtype backend.DType, bytes int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, bytes)
	size, period := dtype.Size(), min(bytes, 1<<20)
	for i := 0; i+size <= period; i += size {
		r := rng.Uint64()
		for j := range size {
			data[i+j] = byte(r >> (8 * j))
		}
		data[i+size-2] &= 0x7f
		data[i+size-1] = data[i+size-1]&0x80 | 0x3d
	}
	for i := period; i < bytes; i += period {
		copy(data[i:], data[:period])
	}
	return data
}

// tensor is an f32 tensor on the device, rounded to bf16 if exact.
func tensor(g *backend.Graph, name string, exact bool, shape ...int) *backend.Tensor {
	x := g.ReadState(&backend.StateSpec{Name: name, DType: backend.F32, Shape: shape})
	if exact {
		x = x.Cast(backend.BF16).Cast(backend.F32)
	}
	return x
}

// BenchmarkCUDAProduct is x·wᵀ in the shapes of the models' layers: rows, columns,
// k. In the fuse lane the products are a group, whose x is prepared once.
func BenchmarkCUDAProduct(b *testing.B) {
	for _, c := range []struct {
		model   string
		dtype   backend.DType
		m, n, k int
	}{
		{"qwen3 qkv", backend.BF16, 2048, 4096, 1024}, {"qwen3 o", backend.BF16, 2048, 1024, 2048},
		{"qwen3 gate and up", backend.BF16, 2048, 6144, 1024}, {"qwen3 down", backend.BF16, 2048, 1024, 3072},
		{"qwen3 qkv of 10", backend.BF16, 10, 4096, 1024}, {"qwen3 o of 10", backend.BF16, 10, 1024, 2048},
		{"qwen3 gate and up of 10", backend.BF16, 10, 6144, 1024}, {"qwen3 down of 10", backend.BF16, 10, 1024, 3072},
		{"qwen3 qkv of 40", backend.BF16, 40, 4096, 1024}, {"qwen3 down of 40", backend.BF16, 40, 1024, 3072},
		{"qwen3 qkv of 64", backend.BF16, 64, 4096, 1024}, {"qwen3 down of 64", backend.BF16, 64, 1024, 3072},
		{"vit up", backend.F32, 197, 3072, 768}, {"vit down", backend.F32, 197, 768, 3072}, {"vit o", backend.F32, 197, 768, 768},
		{"distilbert up", backend.F32, 40, 3072, 768}, {"distilbert down", backend.F32, 40, 768, 3072}, {"distilbert o", backend.F32, 40, 768, 768},
		{"whisper up", backend.F32, 1500, 1536, 384}, {"whisper down", backend.F32, 1500, 384, 1536}, {"whisper o", backend.F32, 1500, 384, 384},
		{"qwen3 qkv of 1", backend.BF16, 1, 4096, 1024}, {"qwen3 down of 1", backend.BF16, 1, 1024, 3072}, {"qwen3 head of 1", backend.BF16, 1, 151936, 1024},
	} {
		for i := range 4 {
			exact, lane := i%2 == 0, []backend.Lane{backend.Native, backend.Fuse}[i/2]
			name := map[bool]string{true: "bf16", false: "f32"}[exact]
			b.Run(fmt.Sprintf("%s/%s/x %s w %s/%dx%dx%d", lane, c.model, name, c.dtype, c.m, c.n, c.k), func(b *testing.B) {
				var x *backend.Tensor
				weights := make([]*backend.Weight, copies) // together more than a cache holds
				for i := range weights {
					if weights[i] = weights[0]; i == 0 || c.n*c.k < 1<<25 {
						weights[i] = &backend.Weight{Name: fmt.Sprint("w", i), DType: c.dtype, Shape: []int{c.n, c.k}, Data: noise(c.dtype, c.n*c.k*c.dtype.Size())}
					}
				}
				bytes := 4*float64(c.m*(c.n+c.k)) + float64(c.n*c.k*c.dtype.Size())
				measure(b, lane, 2*float64(c.m)*float64(c.n)*float64(c.k), bytes, func(g *backend.Graph, i int) *backend.Tensor {
					if x == nil {
						x = tensor(g, "x", exact, c.m, c.k)
					}
					return x.Linear(weights[i], nil)
				})
			})
		}
	}
}

// BenchmarkCUDAAttention is the attention of a prompt and of encoders.
func BenchmarkCUDAAttention(b *testing.B) {
	for _, c := range []struct {
		model                     string
		rows, heads, kvHeads, dim int
		causal                    bool
		cache                     backend.DType
	}{
		{"qwen3 prompt", 2048, 16, 8, 128, true, backend.BF16}, {"qwen3 prompt, f32 cache", 2048, 16, 8, 128, true, backend.F32},
		{"vit", 197, 12, 12, 64, false, backend.Invalid}, {"whisper encoder", 1500, 6, 6, 64, false, backend.Invalid},
		{"distilbert", 40, 12, 12, 64, false, backend.Invalid}, {"qwen3 token", 1, 16, 8, 128, true, backend.BF16},
	} {
		for _, exact := range []bool{true, false} {
			name := map[bool]string{true: "bf16", false: "f32"}[exact]
			b.Run(fmt.Sprintf("%s/%s/%d rows", c.model, name, c.rows), func(b *testing.B) {
				keys := float64(c.rows)
				if c.causal {
					keys /= 2
				}
				var q *backend.Tensor
				var spec backend.AttentionSpec
				flops := 4 * float64(c.rows) * keys * float64(c.heads*c.dim)
				measure(b, backend.Fuse, flops, 4*float64(c.rows*c.dim*2*(c.heads+c.kvHeads)), func(g *backend.Graph, i int) *backend.Tensor {
					if q == nil {
						q = tensor(g, "q", exact, c.rows, c.heads*c.dim)
						spec = backend.AttentionSpec{Heads: c.heads, KVHeads: c.kvHeads, Causal: c.causal}
						if c.cache == backend.Invalid {
							spec.K, spec.V = tensor(g, "k", exact, c.rows, c.kvHeads*c.dim), tensor(g, "v", exact, c.rows, c.kvHeads*c.dim)
						} else {
							spec.KeyState = backend.CacheSpec("keys", c.cache, 1, 1, c.kvHeads, 2048, c.dim)
							spec.ValueState = backend.CacheSpec("values", c.cache, 1, 1, c.kvHeads, 2048, c.dim)
							spec.Segments = backend.SegmentsOf(g.Ints([]int32{0, int32(2048 - c.rows), int32(c.rows)}, 1, 3), c.rows)
						}
					}
					return q.Attention(spec)
				})
			})
		}
	}
}

// BenchmarkCUDAMap is a chain of element-wise ops over 16 Mi numbers, and the norm of 2,048 rows.
func BenchmarkCUDAMap(b *testing.B) {
	b.Run("five ops of 16 Mi", func(b *testing.B) {
		var x *backend.Tensor
		const n = 16 << 20
		measure(b, backend.Native, 5*n, 8*n, func(g *backend.Graph, i int) *backend.Tensor {
			if x == nil {
				x = tensor(g, "x", false, n/1024, 1024)
			}
			y := x.Mul(x).Add(x).Exp().Neg().Mul(x)
			return y.Sum(0)
		})
	})
	b.Run("norm of 2048 x 1024", func(b *testing.B) {
		var x *backend.Tensor
		measure(b, backend.Fuse, 4*2048*1024, 8*2048*1024, func(g *backend.Graph, i int) *backend.Tensor {
			if x == nil {
				x = tensor(g, "x", false, 2048, 1024)
			}
			w := &backend.Weight{Name: "w", DType: backend.F32, Shape: []int{1024}, Data: noise(backend.F32, 4096)}
			return x.RMSNorm(w, 1e-6)
		})
	})
}

// BenchmarkCUDAPrefill is a prompt of 2,048 tokens of a Qwen3-0.6B with random weights.
func BenchmarkCUDAPrefill(b *testing.B) {
	be := openDevice(b)
	folder := golden.Random(b, "qwen3-0.6b")
	ids := make([]int32, 2048)
	for i := range ids {
		ids[i] = int32(i * 37 % 150000)
	}
	for _, c := range []struct{ dtype, kv backend.DType }{{backend.BF16, backend.BF16}, {backend.F32, backend.BF16}, {backend.F32, backend.F32}} {
		b.Run(fmt.Sprintf("%s, cache %s", c.dtype, c.kv), func(b *testing.B) {
			m := golden.LoadOptions(b, folder, arch.Options{Backend: be, DType: c.dtype, KV: c.kv}).Model.(arch.Decoder)
			seq, err := m.NewSequence()
			if err != nil {
				b.Fatal(err)
			}
			defer seq.Close()
			run := func() {
				seq.Truncate(0)
				if _, values, err := seq.Extend(b.Context(), ids, 1); err != nil || math.IsNaN(float64(values[0])) {
					b.Fatal(err, values)
				}
			}
			run() // compiles and uploads
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(b.N*len(ids))/b.Elapsed().Seconds(), "tok/s")
		})
	}
}
