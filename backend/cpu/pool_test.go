package cpu

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// untilParked waits until all workers but the first sleep.
func (p *pool) untilParked(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		asleep := true
		for _, w := range p.workers[1:] {
			asleep = asleep && w.parked.Load()
		}
		if asleep {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the workers do not park")
		}
	}
}

// TestPoolRunsEachChunkOnce counts chunks, and checks that a phase starts when
// the one before has finished.
func TestPoolRunsEachChunkOnce(t *testing.T) {
	for threads := 1; threads <= 4; threads++ {
		p := newPool(threads)
		sizes := []int{5, 1, 1, 8, 0, 3, 1}
		counts := make([][]atomic.Int32, len(sizes))
		var finished atomic.Int32 // chunks of all phases, in this run
		var phases []phase
		before := 0
		for i, n := range sizes {
			counts[i] = make([]atomic.Int32, n)
			start := int32(before)
			phases = append(phases, phase{n, func(_ *frame, w *worker, c int) {
				if finished.Load() < start {
					t.Errorf("phase %d runs before the one before has finished", i)
				}
				if n == 1 && w.id != 0 {
					t.Errorf("a phase of one chunk runs on worker %d", w.id)
				}
				counts[i][c].Add(1)
				finished.Add(1)
			}})
			before += n
		}
		j := p.newJob(phases, &frame{})
		const runs = 500
		for r := range runs {
			finished.Store(0)
			if r%100 == 99 {
				p.untilParked(t)
			}
			if err := p.run(context.Background(), j, r%7 != 3); err != nil {
				t.Fatal(err)
			}
			if got := int(finished.Load()); got != before {
				t.Fatalf("run %d: %d chunks, want %d", r, got, before)
			}
		}
		for i := range counts {
			for c := range counts[i] {
				if n := counts[i][c].Load(); n != runs {
					t.Errorf("%d threads: chunk %d of phase %d ran %d times in %d runs", threads, c, i, n, runs)
				}
			}
		}
		p.close()
		p.close()
	}
}

// TestPoolBreaks lets a chunk fail on each worker in turn, while another
// worker is in the middle of a chunk: the run may not return before that one
// has left the memory of the run.
func TestPoolBreaks(t *testing.T) {
	cause := errors.New("cause")
	for _, failing := range []int{0, 1, 2} {
		p := newPool(3)
		for range 20 {
			var inside atomic.Int32
			var met sync.WaitGroup // all workers hold a chunk
			met.Add(3)
			j := p.newJob([]phase{
				{3, func(_ *frame, w *worker, _ int) {
					inside.Add(1)
					defer inside.Add(-1)
					met.Done()
					met.Wait()
					if w.id == failing {
						panic(cause)
					}
					time.Sleep(200 * time.Microsecond)
				}},
				{3, func(*frame, *worker, int) { t.Error("a phase runs after a failed one") }},
			}, &frame{})
			err := p.run(context.Background(), j, true)
			if n := inside.Load(); n != 0 {
				t.Fatalf("%d workers are at work after the run", n)
			}
			if !errors.Is(err, cause) || !strings.Contains(err.Error(), "kernel") {
				t.Fatalf("error is %v", err)
			}
		}
		var n atomic.Int32
		if err := p.run(context.Background(), p.newJob([]phase{{6, func(*frame, *worker, int) { n.Add(1) }}}, &frame{}), true); err != nil || n.Load() != 6 {
			t.Errorf("after failures: %d of 6 chunks, %v", n.Load(), err)
		}
		p.close()
	}
}

// TestPoolClosesParked: workers that sleep end too.
func TestPoolClosesParked(t *testing.T) {
	p := newPool(4)
	p.untilParked(t)
	p.close()
	newPool(4).close() // perhaps before they have parked
	newPool(1).close()
}
