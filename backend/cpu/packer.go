package cpu

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// packer makes the forms that a program lacks while one of its sessions is
// open, which is how long its weights may be read. What it has made when the
// session is closed is kept; the next session goes on.
type packer struct {
	*forms
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// made counts what packers have written.
type made struct {
	plain, packed atomic.Int64 // bytes
	time          atomic.Int64 // nanoseconds
}

// ran counts a run of a session and, when it is time, starts a packer.
func (f *forms) ran(s *session) {
	if f == nil || s.packer != nil || !s.program.decodes || f.failed.Load() || f.runs.Add(1) <= int64(f.After) {
		return
	}
	s.packer = &packer{forms: f, cancel: func() {}} // once for a session
	var missing []demand
	for _, d := range s.program.demands {
		if d.missing() {
			missing = append(missing, d)
		}
	}
	if len(missing) == 0 || f.making.Swap(true) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.packer.cancel = cancel
	s.packer.start(ctx, missing)
}

// start packs with half of the processors, so that decoding goes on.
func (p *packer) start(ctx context.Context, missing []demand) {
	queue := make(chan demand, len(missing))
	for _, d := range missing {
		queue <- d
	}
	close(queue)
	begin := time.Now()
	var workers sync.WaitGroup
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		workers.Go(func() {
			for d := range queue {
				if ctx.Err() == nil && !p.failed.Load() {
					p.pack(ctx, d)
				}
			}
		})
	}
	before := p.sum.packed.Load()
	p.ended.Go(func() {
		workers.Wait()
		p.sum.time.Add(int64(time.Since(begin)))
		if ctx.Err() == nil && !p.failed.Load() && p.sum.packed.Load() > before {
			p.tell("packed %d MB of weights into %d MB in %s, in %.1f s: they now decode with fewer bytes read, bit for bit the same",
				p.sum.plain.Load()>>20, p.sum.packed.Load()>>20, p.store.Dir(), time.Duration(p.sum.time.Load()).Seconds())
		}
		p.making.Store(false)
	})
}

func (f *forms) tell(format string, a ...any) {
	if f.Notice != nil {
		f.Notice(fmt.Sprintf(format, a...))
	}
}

// pack makes one form, unless another process has made it meanwhile, and puts
// it to use.
func (p *packer) pack(ctx context.Context, d demand) {
	if d.open(p.store) == nil {
		d.release()
		return
	}
	size, err := p.write(ctx, d)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if !p.failed.Swap(true) {
			p.tell("weights stay unpacked: %v", err)
		}
	case size == 0 || d.open(p.store) != nil:
		d.refused[d.kind-1].Store(true)
	default:
		p.sum.plain.Add(int64(len(d.matrix.Data)))
		p.sum.packed.Add(size)
		d.release()
	}
}

// release frees the memory of a weight whose form is read from now on.
func (f *form) release() {
	if f.forget != nil {
		f.forget()
	}
}

// write reads the weight, which may fault.
func (p *packer) write(ctx context.Context, d demand) (size int64, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	return p.store.Write(ctx, d.matrix, d.kind)
}

// stop ends the work and waits until no weight is read any more.
func (p *packer) stop() {
	if p != nil {
		p.cancel()
		p.ended.Wait()
	}
}
