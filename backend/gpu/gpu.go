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
	names := kernelNames[:]
	if !info.Matrix {
		names = names[:firstMatrix]
	}
	compiled, err := d.Compile(kernels.Source(info.Dialect), names)
	if err != nil {
		d.Close()
		return nil, err
	}
	return &Backend{driver: d, info: info, kernels: compiled, weights: map[weak.Pointer[backend.Weight]]*copies{}, decoders: map[string]Kernel{}}, nil
}

// Info names the device.
func (b *Backend) Info() backend.Info {
	return backend.Info{Backend: b.info.Backend, Device: b.info.Device, Kernels: b.info.Kernels}
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
