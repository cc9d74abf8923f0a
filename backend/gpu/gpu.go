package gpu

import (
	"sync"
	"weak"

	"emily/backend"
	"emily/backend/gpu/kernels"
)

// Backend is a device behind a driver.
type Backend struct {
	driver  Driver
	info    Info
	kernels []Kernel // by kernel

	mu       sync.Mutex
	weights  map[weak.Pointer[backend.Weight]]*copies
	decoders map[string]Kernel // by their source
	closed   bool
}

// New compiles the kernels for a device. The backend owns the driver from then on.
func New(d Driver) (*Backend, error) {
	info := d.Info()
	compiled, err := compile(d, info)
	if err != nil {
		d.Close()
		return nil, err
	}
	return &Backend{driver: d, info: info, kernels: compiled, weights: map[weak.Pointer[backend.Weight]]*copies{}, decoders: map[string]Kernel{}}, nil
}

// compile compiles the parts of package kernels side by side.
func compile(d Driver, info Info) ([]Kernel, error) {
	parts := kernels.Parts
	if !info.Matrix {
		parts = kernels.Matrix
	} else if !info.Warpgroups {
		parts = kernels.Warpgroup
	}
	compiled := make([]Kernel, firstKernels[parts])
	errs := make([]error, parts)
	var compiling sync.WaitGroup
	for p := range parts {
		compiling.Go(func() {
			from, to := firstKernels[p], firstKernels[p+1]
			var list []Kernel
			list, errs[p] = d.Compile(kernels.Source(info.Dialect, p), kernelNames[from:to])
			copy(compiled[from:to], list)
		})
	}
	compiling.Wait()
	for _, err := range errs { // one message is enough
		if err != nil {
			return nil, err
		}
	}
	return compiled, nil
}

// Info names the device.
func (b *Backend) Info() backend.Info {
	return backend.Info{Backend: b.info.Backend, Device: b.info.Device, Kernels: b.info.Kernels, Rows: b.rows()}
}

// rows are those of which each multiprocessor has a large tile, even where a
// product is so narrow that 8 of them lie side by side.
func (b *Backend) rows() int {
	const across, most = 8, 2048
	if !b.info.Matrix {
		return 0
	}
	return min(b.info.Units/across*largeTile.rows, most)
}

// Driver returns the device under the backend.
func (b *Backend) Driver() Driver { return b.driver }

// Close frees the weights and the device.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.weights {
		b.free(c)
	}
	clear(b.weights)
	b.closed = true
	return b.driver.Close()
}
