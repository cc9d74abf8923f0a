// Package roofline measures what a processor or GPU can do at most: how fast it reads
// memory and how many floating-point operations it finishes. A benchmark's
// share of these limits says how much is left to gain (Williams, Waterman and
// Patterson, "Roofline: an insightful visual performance model", 2009).
package roofline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"emily/backend/cpu/kernel"
)

// Limit is the median, smallest and largest of several measurements, in units a second.
type Limit struct {
	Value float64 `json:"value"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
}

// Limits are what was measured. Nil fields were not: there is no kernel that
// reaches the limit, or no such device.
type Limits struct {
	Threads int    `json:"threads"`
	Kernels string `json:"kernels"`
	// Reading a buffer many times the caches' size, bytes/s, by one thread and by all.
	ReadOne *Limit `json:"read_1_thread,omitempty"`
	ReadAll *Limit `json:"read_all_threads,omitempty"`
	// Independent multiply-adds in registers, two operations each, FLOP/s.
	F32One *Limit `json:"f32_1_thread,omitempty"`
	F32All *Limit `json:"f32_all_threads,omitempty"`
	// The same for dot products of pairs of bf16 and of four int8.
	BF16One *Limit `json:"bf16_1_thread,omitempty"`
	BF16All *Limit `json:"bf16_all_threads,omitempty"`
	Int8One *Limit `json:"int8_1_thread,omitempty"`
	Int8All *Limit `json:"int8_all_threads,omitempty"`
	// A GPU's reading of its memory, and copying to it, bytes/s.
	ReadGPU *Limit `json:"read_gpu,omitempty"`
	CopyGPU *Limit `json:"copy_gpu,omitempty"`
}

// Options say how long is measured.
type Options struct {
	// Bytes is the size of the buffer that is read; 0 means 256 MiB, of a device 1 GiB.
	Bytes int
	// Runs is the number of measurements of each limit; 0 means 15.
	Runs int
	// Rounds is the number of rounds of multiply-adds in a measurement; 0 means
	// about 10 ms of them.
	Rounds int
}

// Measure takes a second. The machine should be idle.
func Measure(ctx context.Context, set *kernel.Set, threads int, opt Options) (Limits, error) {
	if threads < 1 {
		return Limits{}, fmt.Errorf("threads must be 1 or more, got %d", threads)
	}
	if opt.Bytes == 0 {
		opt.Bytes = 256 << 20
	}
	if opt.Runs == 0 {
		opt.Runs = 15
	}
	if opt.Rounds == 0 {
		opt.Rounds = roundsFor(set, 10*time.Millisecond)
	}
	l := Limits{Threads: threads, Kernels: set.Name}
	buffer := make([]float32, opt.Bytes/4)
	for i := range buffer { // touch every page
		buffer[i] = 1
	}
	type measure struct {
		limit   **Limit
		threads int
		work    func(thread, threads int) (units int)
	}
	f32 := multiply(set.Peak, opt.Rounds)
	measures := []measure{
		{&l.ReadOne, 1, read(set, buffer)},
		{&l.ReadAll, threads, read(set, buffer)},
		{&l.F32One, 1, f32},
		{&l.F32All, threads, f32},
	}
	if set.DotBF16 {
		bf16 := multiply(set.PeakBF16, opt.Rounds)
		measures = append(measures, measure{&l.BF16One, 1, bf16}, measure{&l.BF16All, threads, bf16})
	}
	if set.DotInt8 {
		int8 := multiply(set.PeakInt8, opt.Rounds)
		measures = append(measures, measure{&l.Int8One, 1, int8}, measure{&l.Int8All, threads, int8})
	}
	rates := make([][]float64, len(measures))
	for range opt.Runs { // in turns, so that a busy moment spoils a run of each, not one limit
		for i, m := range measures {
			if err := ctx.Err(); err != nil {
				return l, err
			}
			rates[i] = append(rates[i], rate(m.threads, m.work))
		}
	}
	for i, m := range measures {
		*m.limit = summarize(rates[i])
	}
	return l, nil
}

// read sums each thread's part of the buffer.
func read(set *kernel.Set, buffer []float32) func(thread, threads int) int {
	return func(thread, threads int) int {
		part := len(buffer) / threads
		set.Sum(buffer[thread*part : (thread+1)*part])
		return 4 * part
	}
}

// multiply runs multiply-adds in pieces of under a millisecond, since the Go
// runtime cannot stop a thread inside of one.
func multiply(peak func(rounds int) int, rounds int) func(thread, threads int) int {
	const piece = 10000
	return func(int, int) int {
		n := 0
		for left := rounds; left > 0; left -= piece {
			n += peak(min(left, piece))
		}
		return n
	}
}

func roundsFor(set *kernel.Set, d time.Duration) int {
	const trial = 10000
	set.Peak(trial)
	start := time.Now()
	set.Peak(trial)
	return int(trial * d / max(time.Since(start), time.Microsecond))
}

// rate runs work on several threads that start together and returns the units
// of all over the time until the last is done.
func rate(threads int, work func(thread, threads int) int) float64 {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	units := make([]int, threads)
	for t := range threads {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			units[t] = work(t, threads)
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	elapsed := time.Since(began).Seconds()
	total := 0
	for _, n := range units {
		total += n
	}
	return float64(total) / elapsed
}

func summarize(rates []float64) *Limit {
	slices.Sort(rates)
	return &Limit{Value: rates[len(rates)/2], Min: rates[0], Max: rates[len(rates)-1]}
}

// Work is what must be done at least: bytes that come from memory and
// floating-point operations.
type Work struct {
	Bytes int64 `json:"bytes"`
	FLOPs int64 `json:"flops"`
	// BF16 says that bf16 is enough for the operations.
	BF16 bool `json:"bf16,omitempty"`
}

// Seconds is the shortest time for the work on all threads: that of the limit
// which it meets first. It is 0 if the limits were not measured.
func (l Limits) Seconds(w Work) float64 {
	if l.ReadAll == nil || l.F32All == nil {
		return 0
	}
	multiply := l.F32All
	if w.BF16 && l.BF16All != nil {
		multiply = l.BF16All
	}
	return max(float64(w.Bytes)/l.ReadAll.Value, float64(w.FLOPs)/multiply.Value)
}

// SecondsOnGPU is the shortest time for the work's bytes on the GPU, whose
// operations were not measured; 0 if its reading was not either.
func (l Limits) SecondsOnGPU(w Work) float64 {
	if l.ReadGPU == nil {
		return 0
	}
	return float64(w.Bytes) / l.ReadGPU.Value
}
