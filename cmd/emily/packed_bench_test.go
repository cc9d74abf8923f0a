//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"emily/arch"
	"emily/backend"
	"emily/backend/cpu"
	"emily/loader"
)

// BenchmarkPackedDecode takes turns, a few tokens each: a real model with its
// weights as they are stored, and packed; with the best token of a screened
// head (top), and with all logits. It reports medians, and what packing
// brings. EMILY_REAL names the folder of models, EMILY_MODEL one of them.
func BenchmarkPackedDecode(b *testing.B) {
	name := os.Getenv("EMILY_MODEL")
	if os.Getenv("EMILY_REAL") == "" || name == "" {
		b.Skip("set EMILY_REAL to a folder made by tools/realmodels/fetch, and EMILY_MODEL to a model in it")
	}
	path := filepath.Join(os.Getenv("EMILY_REAL"), name)
	for _, threads := range []int{1, 0} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			told := make(chan string, 8)
			plain := openDecoder(b, path, backend.F32, cpu.Options{Threads: threads})
			packed := openDecoder(b, path, backend.F32, cpu.Options{Threads: threads, Packing: &cpu.Packing{Dir: b.TempDir(), Notice: func(line string) { told <- line }}})
			lanes := []*turns{
				{name: "top", decoder: plain}, {name: "packed-top", decoder: packed},
				{name: "logits", decoder: plain, all: true}, {name: "packed-logits", decoder: packed, all: true},
			}
			for _, l := range lanes {
				l.open(b)
				if l.decoder == packed {
					for len(told) == 0 {
						l.step(b)
					}
					b.Log(<-told)
				}
			}
			for b.Loop() {
				for _, l := range lanes {
					const tokens = 4
					start := time.Now()
					for range tokens {
						l.step(b)
					}
					l.seconds = append(l.seconds, time.Since(start).Seconds()/tokens)
				}
			}
			for i, l := range lanes {
				slices.Sort(l.seconds)
				b.ReportMetric(1/l.median(), l.name+"-tok/s")
				if i%2 == 1 {
					b.ReportMetric(lanes[i-1].median()/l.median(), l.name+"-ratio")
				}
			}
		})
	}
}

func openDecoder(b *testing.B, path string, kv backend.DType, opt cpu.Options) arch.Decoder {
	b.Helper()
	folder, err := loader.Find(context.Background(), path, loader.Options{})
	if err != nil {
		b.Fatal(err)
	}
	device, err := cpu.New(opt)
	if err != nil {
		b.Fatal(err)
	}
	m, err := arch.Load(context.Background(), folder, arch.Options{Backend: device, KV: kv})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		m.Close()
		device.Close()
	})
	return m.Model.(arch.Decoder)
}

// turns is one of the things that are compared.
type turns struct {
	name     string
	decoder  arch.Decoder
	all      bool
	sequence arch.Sequence
	seconds  []float64 // a token, each turn
}

func (t *turns) open(b *testing.B) {
	b.Helper()
	var err error
	if t.sequence, err = t.decoder.NewSequence(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { t.sequence.Close() })
	t.step(b)
}

func (t *turns) step(b *testing.B) {
	b.Helper()
	if t.sequence.Length() > 200 { // the cache stays small
		t.sequence.Truncate(10)
	}
	var err error
	if t.all {
		_, err = t.sequence.Logits(b.Context(), []int32{785}, false)
	} else {
		_, _, err = t.sequence.Extend(b.Context(), []int32{785}, 1)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (t *turns) median() float64 { return t.seconds[len(t.seconds)/2] }
