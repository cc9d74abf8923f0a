//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"emily/arch"
	"emily/backend"
	"emily/backend/cpu"
)

// BenchmarkContext tells how decoding slows down as the cache grows: the time
// of a token, and what its bytes (weights and the part of the cache that is
// seen) make of it in GB/s, which should not depend on the context. It also
// reports the speed of the prompt up to there. EMILY_REAL names the folder of
// models, EMILY_MODEL one of them; 16,384 tokens of prompt take minutes.
func BenchmarkContext(b *testing.B) {
	name := os.Getenv("EMILY_MODEL")
	if os.Getenv("EMILY_REAL") == "" || name == "" {
		b.Skip("set EMILY_REAL to a folder made by tools/realmodels/fetch, and EMILY_MODEL to a model in it")
	}
	path := filepath.Join(os.Getenv("EMILY_REAL"), name)
	weights, err := os.Stat(filepath.Join(path, "model.safetensors"))
	if err != nil {
		b.Fatal(err)
	}
	for _, kv := range []backend.DType{backend.F32, backend.BF16} {
		b.Run("kv="+kv.String(), func(b *testing.B) {
			decoder := openDecoder(b, path, kv, cpu.Options{})
			seq, err := decoder.NewSequence()
			if err != nil {
				b.Fatal(err)
			}
			defer seq.Close()
			for _, context := range []int{128, 1024, 4096, 16384} {
				if context+64 > decoder.Context() {
					break
				}
				b.Run(fmt.Sprintf("context=%d", context), func(b *testing.B) {
					prompt := slices.Repeat([]int32{785}, context-min(seq.Length(), context-1))
					seq.Truncate(context - len(prompt))
					start := time.Now()
					if _, _, err := seq.Extend(b.Context(), prompt, 1); err != nil {
						b.Fatal(err)
					}
					prefill := float64(len(prompt)) / time.Since(start).Seconds()
					var times []time.Duration
					for b.Loop() {
						seq.Truncate(context)
						for range 16 {
							start := time.Now()
							if _, _, err := seq.Extend(b.Context(), []int32{785}, 1); err != nil {
								b.Fatal(err)
							}
							times = append(times, time.Since(start))
						}
					}
					slices.Sort(times)
					median := times[len(times)/2].Seconds()
					seen := float64(seq.Bytes()) * float64(context) / float64(arch.Capacity(seq.Length(), decoder.Context()))
					b.ReportMetric(1/median, "tok/s")
					b.ReportMetric((float64(weights.Size())+seen)/median/1e9, "GB/s")
					b.ReportMetric(prefill, "prefill-tok/s")
					b.ReportMetric(float64(seq.Bytes())/1e6, "cache-MB")
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}
