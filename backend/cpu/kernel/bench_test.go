package kernel

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"
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

var _ = unsafe.Sizeof(0)
