package cpu

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// pool is a fixed set of workers that run one job at a time together. The
// goroutine that calls run is worker 0. Between runs the others spin for a
// while before they park, so that the next token finds them awake.
type pool struct {
	mu      sync.Mutex // one run at a time
	workers []*worker
	job     atomic.Pointer[job]
	epoch   atomic.Uint64 // counts runs, to wake spinning workers
	closed  atomic.Bool
	ended   sync.WaitGroup
}

// worker is one thread of execution with its own scratch memory.
type worker struct {
	id      int
	scratch [3][]float32
	wake    chan struct{}
	parked  atomic.Bool
}

// floats returns scratch memory of n elements, valid until the next call.
func (w *worker) floats(n int) []float32 { return w.grow(0, n) }

// second is floats for loops that hold another piece meanwhile.
func (w *worker) second(n int) []float32 { return w.grow(1, n) }

// bytes is a third piece.
func (w *worker) bytes(n int) []byte {
	x := w.grow(2, (n+3)/4)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), n)
}

func (w *worker) grow(i, n int) []float32 {
	if len(w.scratch[i]) < n {
		w.scratch[i] = make([]float32, n)
	}
	return w.scratch[i][:n]
}

// phase is a loop of independent chunks. All chunks of a phase are finished
// before the next phase starts. A phase of one chunk runs on worker 0.
type phase struct {
	chunks int
	run    func(f *frame, w *worker, chunk int)
}

// job is a list of phases that is run again and again on one frame. Each worker
// has a part of a phase's chunks, which follow each other, so that it reads
// memory in one long stream. A worker that is done takes over chunks of others:
// one that the system has put aside delays nobody beyond the chunk it holds.
//
// Chunks are claimed from shared counters, which only grow: run r of a part of
// n chunks claims r·n to (r+1)·n-1. A worker that is late by a run finds every
// phase of its run used up.
type job struct {
	phases  []phase
	frame   *frame
	workers int
	parts   []counter // claimed chunks: of each phase, those of each worker
	done    []counter // finished chunks of each phase
	run     atomic.Int64
	helpers atomic.Int64          // workers other than 0 that may touch the frame
	broken  atomic.Pointer[error] // a fault or a cancellation: the counters are void
}

// counter has a cache line of its own.
type counter struct {
	atomic.Int64
	_ [56]byte
}

const (
	spinsInRun    = 4000
	spinBeforeNap = 60 * time.Microsecond
)

func (p *pool) newJob(phases []phase, f *frame) *job {
	n := len(p.workers)
	j := &job{phases: phases, frame: f, workers: n, parts: make([]counter, n*len(phases)), done: make([]counter, len(phases))}
	j.run.Store(-1)
	return j
}

func newPool(threads int) *pool {
	p := &pool{}
	for i := range threads {
		w := &worker{id: i, wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		if i > 0 {
			p.ended.Add(1)
			go p.loop(w)
		}
	}
	return p
}

// close ends the workers. No run may be under way.
func (p *pool) close() {
	if p.closed.Swap(true) {
		return
	}
	for _, w := range p.workers {
		w.signal()
	}
	p.ended.Wait()
}

func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (p *pool) loop(w *worker) {
	defer p.ended.Done()
	debug.SetPanicOnFault(true)
	var seen uint64
	for !p.closed.Load() {
		if e := p.epoch.Load(); e != seen {
			seen = e
			j := p.job.Load()
			j.helpers.Add(1)
			j.work(context.Background(), w, j.run.Load())
			j.helpers.Add(-1)
			continue
		}
		p.wait(w, seen)
	}
}

// wait spins for a while, then parks until it is signalled.
func (p *pool) wait(w *worker, seen uint64) {
	for until := time.Now().Add(spinBeforeNap); time.Now().Before(until); {
		for range 200 {
			if p.epoch.Load() != seen {
				return
			}
		}
	}
	w.parked.Store(true)
	if p.epoch.Load() == seen && !p.closed.Load() {
		<-w.wake
	}
	w.parked.Store(false)
}

// run executes the job once; the calling goroutine is worker 0.
func (p *pool) run(ctx context.Context, j *job, parallel bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	w := p.workers[0]
	if !parallel || len(p.workers) == 1 {
		return j.inline(ctx, w)
	}
	r := j.run.Add(1)
	p.job.Store(j)
	p.epoch.Add(1)
	for _, o := range p.workers[1:] {
		if o.parked.Load() {
			o.signal()
		}
	}
	j.work(ctx, w, r)
	if e := j.broken.Load(); e != nil {
		// The caller may change or unmap the frame's memory now: a worker that
		// comes later sees that the job is broken before it touches anything.
		for j.helpers.Load() > 0 {
			runtime.Gosched()
		}
		return *e
	}
	return nil
}

// fail voids the job; the first error counts.
func (j *job) fail(err error) { j.broken.CompareAndSwap(nil, &err) }

// inline runs all chunks on one worker, without counters.
func (j *job) inline(ctx context.Context, w *worker) (err error) {
	defer recovered(&err)
	for i := range j.phases {
		if err := ctx.Err(); err != nil {
			return err
		}
		for c := range j.phases[i].chunks {
			j.phases[i].run(j.frame, w, c)
		}
	}
	return nil
}

// work is one worker's part in run r. Worker 0 returns when all is done.
func (j *job) work(ctx context.Context, w *worker, r int64) {
	var err error
	defer func() {
		if err != nil {
			j.fail(err)
		}
	}()
	defer recovered(&err)
	for i := range j.phases {
		p := &j.phases[i]
		if p.chunks == 1 && w.id != 0 {
			continue
		}
		if i > 0 && !j.finished(i-1, w, r) {
			return
		}
		if w.id == 0 {
			if err = ctx.Err(); err != nil {
				return
			}
		}
		if p.chunks == 1 {
			j.alone(i, w, r)
		} else {
			j.claim(i, w, r)
		}
	}
	if w.id == 0 && len(j.phases) > 0 {
		j.finished(len(j.phases)-1, w, r)
	}
}

// alone runs a phase of one chunk on worker 0. Nobody competes for it, so it
// is counted only if others wait for it.
func (j *job) alone(i int, w *worker, r int64) {
	if j.broken.Load() != nil {
		return
	}
	j.phases[i].run(j.frame, w, 0)
	if i+1 < len(j.phases) && j.phases[i+1].chunks != 1 {
		j.done[i].Store(r + 1)
	}
}

// claim runs chunks of phase i until none is left: the worker's own part first,
// then what the others have left of theirs.
func (j *job) claim(i int, w *worker, r int64) {
	p := &j.phases[i]
	for v := range j.workers {
		owner := (w.id + v) % j.workers
		first := owner * p.chunks / j.workers
		size := int64((owner+1)*p.chunks/j.workers - first)
		next := &j.parts[i*j.workers+owner]
		for {
			n := next.Load()
			if j.broken.Load() != nil {
				return
			}
			if n >= (r+1)*size {
				break
			}
			if next.CompareAndSwap(n, n+1) {
				p.run(j.frame, w, first+int(n-r*size))
				j.done[i].Add(1)
			}
		}
	}
}

// finished waits until all chunks of phase i are done; false means that the job broke.
func (j *job) finished(i int, w *worker, r int64) bool {
	if w.id == 0 && j.phases[i].chunks == 1 { // its own
		return true
	}
	end := (r + 1) * int64(j.phases[i].chunks)
	for spins := 0; j.done[i].Load() < end; spins++ {
		if j.broken.Load() != nil {
			return false
		}
		if spins > spinsInRun {
			runtime.Gosched()
		}
	}
	return true
}

// recovered turns a kernel's panic into an error; a fault comes from reading
// a mapped file that was truncated.
func recovered(err *error) {
	switch v := recover().(type) {
	case nil:
	case interface {
		error
		Addr() uintptr
	}:
		*err = fmt.Errorf("a weight could not be read: the checkpoint file was truncated or its disk failed while it was in use")
	case error:
		*err = fmt.Errorf("internal error in a kernel: %w", v)
	default:
		*err = fmt.Errorf("internal error in a kernel: %v", v)
	}
}
