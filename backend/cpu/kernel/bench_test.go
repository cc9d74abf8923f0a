package kernel

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// The benchmarks name the limit each kernel is held against: a plain
// streaming read (Sum over a large buffer) for those that wait for memory, a
// loop of independent multiply-adds for those that compute.

func everySetB(b *testing.B, f func(b *testing.B, s *Set)) {
	for _, s := range All() {
		b.Run(s.Name, func(b *testing.B) { f(b, s) })
	}
}

// parallel runs f on threads goroutines, b.N times each, and reports GB/s for
// the bytes of one call.
func parallel(b *testing.B, threads int, bytes int, f func(thread int)) {
	b.SetBytes(int64(bytes * threads))
	b.ResetTimer()
	var wg sync.WaitGroup
	for t := range threads {
		wg.Go(func() {
			for range b.N {
				f(t)
			}
		})
	}
	wg.Wait()
}

func randoms(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = rand.Float32() - 0.5
	}
	return x
}

const streamBytes = 320 << 20 // well past the last-level cache

// BenchmarkRead is the memory limit: a sum over a large buffer.
func BenchmarkRead(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		x := randoms(streamBytes / 4)
		for threads := 1; threads <= 2; threads++ {
			b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
				share := len(x) / threads
				parallel(b, threads, 4*share, func(t int) { s.Sum(x[t*share:][:share]) })
			})
		}
	})
}

// BenchmarkGemv streams a matrix larger than the caches.
func BenchmarkGemv(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		w := make([]byte, streamBytes)
		for i := range w {
			w[i] = byte(rand.Uint32()) & 0x3f
		}
		for _, d := range dtypes {
			for _, k := range []int{576, 1024, 4096} {
				for _, rows := range []int{1, 2, 4, 8, 16} {
					if rows > 1 && k != 1024 {
						continue
					}
					for threads := 1; threads <= 2; threads++ {
						b.Run(fmt.Sprintf("%s/k=%d/rows=%d/threads=%d", d.name, k, rows, threads), func(b *testing.B) {
							rowBytes := k * d.dtype.size()
							n := streamBytes / rowBytes / threads
							x := randoms(rows * k)
							ys := [2][]float32{make([]float32, rows*n), make([]float32, rows*n)}
							parallel(b, threads, n*rowBytes, func(t int) {
								d.of(s).Gemv(ys[t], n, x, k, w[t*n*rowBytes:][:n*rowBytes], k, rows, n, k)
							})
							b.ReportMetric(2*float64(threads*rows*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
						})
					}
				}
			}
		}
	})
}

// BenchmarkPeak is the arithmetic limit.
func BenchmarkPeak(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		for _, p := range []struct {
			name string
			run  func(int) int
		}{{"f32", s.Peak}, {"bf16", s.PeakBF16}, {"int8", s.PeakInt8}} {
			b.Run(p.name, func(b *testing.B) {
				var operations int
				for b.Loop() {
					operations += p.run(10000)
				}
				b.ReportMetric(float64(operations)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	})
}

// BenchmarkTile multiplies two panels in the first- and second-level cache.
func BenchmarkTile(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		for _, k := range []int{64, 256, 1024} {
			for _, m := range []int{s.MR, s.MR * 2 / 3} {
				b.Run(fmt.Sprintf("k=%d/m=%d", k, m), func(b *testing.B) {
					left, right, c := randoms(k*s.MR), randoms(k*s.NR), make([]float32, s.MR*s.NR)
					for b.Loop() {
						s.Tile(c, s.NR, left, len(left), right, k, m, s.NR, true)
					}
					b.ReportMetric(2*float64(m*s.NR*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	})
}

// BenchmarkProduct multiplies m rows of activations with bf16 weights, packed
// panel by panel as they are used. Of a shared machine the best moment counts:
// the fastest call is held against the limit, measured just before.
func BenchmarkProduct(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		for _, p := range productShapes {
			x, y, w := randoms(p.m*p.k), make([]float32, p.m*p.n), make([]byte, 2*p.n*p.k)
			s.BFloat16.Narrow(w, randoms(p.n*p.k))
			left, right := make([]float32, (p.m+max(s.MR, s.MRPairs))*p.k), make([]float32, p.k*s.NR)
			run := func(name string, peak func(int) int, packRows, pack func(dst []float32, k0, kc, j int), tile tileOf, mr, depth, lane int) {
				b.Run(fmt.Sprintf("%s/kc=%d/%dx%dx%d", name, depth, p.m, p.n, p.k), func(b *testing.B) {
					limit := rateOf(peak)
					best := time.Hour
					for b.Loop() {
						start := time.Now()
						for k0 := 0; k0 < p.k; k0 += depth * lane {
							kc := min(depth*lane, p.k-k0)
							packRows(left, k0, kc, 0)
							for j := 0; j < p.n; j += s.NR {
								pack(right, k0, kc, j)
								tile(y[j:], p.n, left, mr*kc/lane, right, kc/lane, p.m, min(s.NR, p.n-j), k0 > 0)
							}
						}
						best = min(best, time.Since(start))
					}
					rate := 2 * float64(p.m*p.n*p.k) / best.Seconds()
					b.ReportMetric(rate/1e9, "GFLOP/s")
					b.ReportMetric(rate/limit, "of-peak")
				})
			}
			weights := func(pack func(dst []float32, w []byte, ldw, n, k int)) func(dst []float32, k0, kc, j int) {
				return func(dst []float32, k0, kc, j int) { pack(dst, w[2*(j*p.k+k0):], p.k, min(s.NR, p.n-j), kc) }
			}
			rows := func(pack func(dst, a []float32, lda, m, k int)) func(dst []float32, k0, kc, _ int) {
				return func(dst []float32, k0, kc, _ int) { pack(dst, x[k0:], p.k, p.m, kc) }
			}
			run("f32", s.Peak, rows(s.PackRows), weights(s.BFloat16.Pack), s.Tile, s.MR, s.KC, 1)
			if s.DotBF16 {
				for depth := s.KCPairs; depth <= 512; depth *= 2 { // twice and more show whether it is the best
					run("bf16", s.PeakBF16, rows(s.PackRowPairs), weights(s.BFloat16.PackPairs), s.TilePairs, s.MRPairs, depth, 2)
				}
			}
		}
	})
}

type tileOf = func(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool)

// productShapes are layers of Qwen3-0.6B at several prompts, ViT-base, DistilBERT and Whisper-tiny.
var productShapes = []struct{ m, n, k int }{
	{64, 4096, 1024}, {128, 4096, 1024}, {256, 4096, 1024}, {512, 4096, 1024}, {512, 1024, 2048}, {512, 1024, 3072},
	{197, 768, 768}, {197, 3072, 768}, {197, 768, 3072}, {40, 768, 768}, {40, 3072, 768}, {1500, 384, 384}, {1500, 1536, 384},
}

// rateOf returns the operations a second of a peak, the best of some runs.
func rateOf(peak func(int) int) (best float64) {
	for range 20 {
		start := time.Now()
		n := peak(2000)
		best = max(best, float64(n)/time.Since(start).Seconds())
	}
	return best
}

// BenchmarkAccumulate is the second product of attention over cached values.
func BenchmarkAccumulate(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		const n = 1024
		for _, dt := range dtypes[:2] {
			for _, d := range []int{64, 128} {
				for _, rows := range []int{1, 2, 8} {
					b.Run(fmt.Sprintf("%s/d=%d/rows=%d", dt.name, d, rows), func(b *testing.B) {
						v := make([]byte, n*d*dt.dtype.size())
						p, y := randoms(rows*n), make([]float32, rows*d)
						b.SetBytes(int64(len(v)))
						for b.Loop() {
							dt.of(s).Accumulate(y, d, p, n, v, d, rows, n, d)
						}
						b.ReportMetric(2*float64(rows*n*d)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
					})
				}
			}
		}
	})
}

// BenchmarkRows times the loops over rows that sit in the first-level cache.
func BenchmarkRows(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		const n = 2048
		dst, x, y, z, w := make([]float32, n), randoms(n), randoms(n), randoms(n), make([]byte, 4*n)
		for i := range x {
			x[i] *= 8
		}
		for _, f := range []struct {
			name string
			run  func()
		}{
			{"Add", func() { s.Add(dst, x, y) }},
			{"Div", func() { s.Div(dst, x, y) }},
			{"Axpy", func() { s.Axpy(dst, 1e-9, x) }},
			{"Dot", func() { s.Dot(x, y) }},
			{"AddSum", func() { s.AddSum(x, y) }},
			{"Sum", func() { s.Sum(x) }},
			{"SumSquares", func() { s.SumSquares(x, 1) }},
			{"MaxOf", func() { s.MaxOf(x) }},
			{"ArgMax", func() { s.ArgMax(x) }},
			{"Norm", func() { s.Norm(dst, x, 0, 2, y, nil) }},
			{"NormBias", func() { s.Norm(dst, x, 1, 2, y, z) }},
			{"Rotate", func() { s.Rotate(dst, x, y[:n/2], z[:n/2]) }},
			{"Exp", func() { s.Exp(dst, x) }},
			{"ExpSum", func() { s.ExpSum(dst, x, 8) }},
			{"Tanh", func() { s.Tanh(dst, x) }},
			{"Erf", func() { s.Erf(dst, x) }},
			{"SiLU", func() { s.SiLU(dst, x) }},
			{"SwiGLU", func() { s.SwiGLU(dst, x, y) }},
			{"GELU", func() { s.GELU(dst, x) }},
			{"GELUTanh", func() { s.GELUTanh(dst, x) }},
			{"WidenBF16", func() { s.BFloat16.Widen(dst, w) }},
			{"NarrowBF16", func() { s.BFloat16.Narrow(w, x) }},
			{"NarrowF16", func() { s.Float16.Narrow(w, x) }},
		} {
			b.Run(f.name, func(b *testing.B) {
				for b.Loop() {
					f.run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
			})
		}
	})
}

// BenchmarkPack times the packing of one panel.
func BenchmarkPack(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		const k = 512
		dst, x, w := make([]float32, k*s.NR), randoms(k*s.NR), make([]byte, 4*k*s.NR)
		for _, f := range []struct {
			name     string
			elements int
			run      func()
		}{
			{"f32", k * s.NR, func() { s.Float32.Pack(dst, w, k, s.NR, k) }},
			{"bf16", k * s.NR, func() { s.BFloat16.Pack(dst, w, k, s.NR, k) }},
			{"rows", k * s.MR, func() { s.PackRows(dst, x, k, s.MR, k) }},
			{"cols", k * s.NR, func() { s.PackCols(dst, x, s.NR, k, s.NR) }},
		} {
			b.Run(f.name, func(b *testing.B) {
				for b.Loop() {
					f.run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(f.elements), "ns/element")
			})
		}
	})
}
