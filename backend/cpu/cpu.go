// Package cpu runs plans on the processor: it binds each step to loops of
// package kernel and divides them among a pool of workers.
package cpu

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"weak"

	"emily/backend"
	"emily/backend/cpu/kernel"
)

// Options choose how the processor is used.
type Options struct {
	// Threads is the number of workers; 0 means one for each processor that Go may use.
	Threads int
	// Kernels names a variant of the inner loops, such as "avx2" or "generic";
	// "" means EMILY_CPU from the environment or else the best.
	Kernels string
	// Packing keeps compact forms of weights; nil means that weights are read as they are stored.
	Packing *Packing
}

// Backend is the processor as a device.
type Backend struct {
	set   *kernel.Set
	pool  *pool
	forms *forms // nil for none

	mu      sync.Mutex
	derived map[weak.Pointer[backend.Weight]]*derived
}

// derived is what was made of a weight; it goes with the weight.
type derived struct {
	widened []float32 // of a norm's weight or a bias
	rounded weak.Pointer[rounded]
}

// MaxThreads is more than any machine has processors that Go uses.
const MaxThreads = 1024

// New starts the workers. Close ends them.
func New(opt Options) (*Backend, error) {
	if opt.Threads < 0 || opt.Threads > MaxThreads {
		return nil, fmt.Errorf("threads must be between 0 and %d, got %d", MaxThreads, opt.Threads)
	}
	if opt.Threads == 0 {
		opt.Threads = runtime.GOMAXPROCS(0)
	}
	name, from := opt.Kernels, ""
	if name == "" {
		name, from = os.Getenv("EMILY_CPU"), "EMILY_CPU: "
	}
	set, err := kernel.Named(name)
	if err != nil {
		return nil, fmt.Errorf("%s%w", from, err)
	}
	return &Backend{
		set: set, pool: newPool(opt.Threads), forms: newForms(opt.Packing, set),
		derived: map[weak.Pointer[backend.Weight]]*derived{},
	}, nil
}

// Info names the kernels and counts the workers.
func (b *Backend) Info() backend.Info {
	return backend.Info{Backend: "cpu", Device: runtime.GOARCH, Kernels: b.set.Name, Threads: len(b.pool.workers)}
}

// Upload does nothing: weights are read where they are mapped.
func (b *Backend) Upload(*backend.Weight) error { return nil }

// Close ends the workers.
func (b *Backend) Close() error {
	b.pool.close()
	return b.forms.close()
}

// stored returns the loops over a dtype.
func (b *Backend) stored(d backend.DType) *kernel.Stored {
	switch d {
	case backend.BF16:
		return &b.set.BFloat16
	case backend.F16:
		return &b.set.Float16
	}
	return &b.set.Float32
}

// of returns what was made of a weight so far. The caller holds the lock.
func (b *Backend) of(w *backend.Weight) *derived {
	key := weak.Make(w)
	d := b.derived[key]
	if d == nil {
		d = &derived{}
		b.derived[key] = d
		runtime.AddCleanup(w, func(key weak.Pointer[backend.Weight]) {
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.derived, key)
		}, key)
	}
	return d
}

// widened returns a small weight (a norm's or a bias) in f32, converted once.
func (b *Backend) widened(w *backend.Weight) []float32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.of(w)
	if d.widened == nil {
		d.widened = make([]float32, w.Elements())
		b.stored(w.DType).Widen(d.widened, w.Data)
	}
	return d.widened
}
