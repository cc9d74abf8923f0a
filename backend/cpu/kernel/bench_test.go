package kernel

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
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
		var operations int
		for b.Loop() {
			operations += s.Peak(10000)
		}
		b.ReportMetric(float64(operations)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
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
						s.Tile(c, s.NR, left, right, k, m, s.NR, true)
					}
					b.ReportMetric(2*float64(m*s.NR*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	})
}

// BenchmarkProduct multiplies m rows of activations with bf16 weights, packed
// panel by panel as they are used.
func BenchmarkProduct(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		const m, n, k, depth = 240, 1024, 1024, 512
		x, y := randoms(m*k), make([]float32, m*n)
		w := make([]byte, 2*n*k)
		s.BFloat16.Narrow(w, randoms(n*k))
		left, right := make([]float32, (m+s.MR)*depth), make([]float32, depth*s.NR)
		for b.Loop() {
			for p := 0; p < k; p += depth {
				s.PackRows(left, x[p:], k, m, depth)
				for j := 0; j < n; j += s.NR {
					s.BFloat16.Pack(right, w[2*(j*k+p):], k, min(s.NR, n-j), depth)
					for i := 0; i < m; i += s.MR {
						s.Tile(y[i*n+j:], n, left[i*depth:], right, depth, min(s.MR, m-i), min(s.NR, n-j), p > 0)
					}
				}
			}
		}
		b.ReportMetric(2*float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
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
