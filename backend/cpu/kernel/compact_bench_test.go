package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkCompact takes turns: a plain bf16 matrix larger than the caches, the
// same compact, and 8-bit rows of that shape, each read by two threads. It
// reports medians of the time against plain, and of plain in GB/s.
func BenchmarkCompact(b *testing.B) {
	everySetB(b, func(b *testing.B, s *Set) {
		for _, c := range []struct{ k, rows int }{{576, 1}, {1024, 1}, {3072, 1}, {1024, 2}, {1024, 4}, {1024, 8}, {1024, 16}} {
			b.Run(fmt.Sprintf("k=%d/rows=%d", c.k, c.rows), func(b *testing.B) { benchmarkCompact(b, s, c.k, c.rows) })
		}
	})
}

func benchmarkCompact(b *testing.B, s *Set, k, rows int) {
	const threads = 2
	n := streamBytes / 2 / k / threads * threads
	plain := make([]byte, 2*n*k)
	pattern := make([]float32, 1<<20)
	for i := range pattern {
		pattern[i] = float32(rand.NormFloat64())
	}
	s.BFloat16.Narrow(plain[:2*len(pattern)], pattern)
	for at := 2 * len(pattern); at < len(plain); at *= 2 {
		copy(plain[at:], plain[:at])
	}
	w := arena{t: b}.compacted(plain, n, k)
	bytes := make([]byte, n*k)
	x, y := randoms(rows*k), make([]float32, rows*n)
	share := n / threads
	var scratch [threads][]byte
	for i := range scratch {
		scratch[i] = make([]byte, s.CompactScratch(k))
	}
	kinds := []func(t, j int, y []float32){
		func(t, j int, y []float32) { s.BFloat16.Gemv(y, n, x, k, plain[2*j*k:], k, rows, share, k) },
		func(t, j int, y []float32) { s.GemvCompact(y, n, x, k, w, j, rows, share, scratch[t]) },
		func(t, j int, y []float32) { s.GemvInt8(y[:share], x[:k], bytes[j*k:]) },
	}
	times := make([][]time.Duration, len(kinds))
	for b.Loop() {
		for i, f := range kinds {
			start := time.Now()
			var wg sync.WaitGroup
			for t := range threads {
				wg.Go(func() { f(t, t*share, y[t*share:]) })
			}
			wg.Wait()
			times[i] = append(times[i], time.Since(start))
		}
	}
	median := func(i int) float64 {
		slices.Sort(times[i])
		return times[i][len(times[i])/2].Seconds()
	}
	b.ReportMetric(float64(len(plain))/median(0)/1e9, "plain-GB/s")
	b.ReportMetric(median(0)/median(1), "compact-ratio")
	if rows == 1 {
		b.ReportMetric(median(0)/median(2), "int8-ratio")
	}
}
