package gpu

import (
	"fmt"
	"runtime/debug"
	"sync"

	"emily/backend"
	"emily/backend/gpu/kernels"
)

// Backend is a device behind a driver.
type Backend struct {
	driver  Driver
	info    Info
	kernels []Kernel // by kernel

	mu       sync.Mutex
	weights  map[*backend.Weight]Memory
	decoders map[string]Kernel // by their source
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
	return &Backend{driver: d, info: info, kernels: compiled, weights: map[*backend.Weight]Memory{}, decoders: map[string]Kernel{}}, nil
}

// Info names the device.
func (b *Backend) Info() backend.Info {
	return backend.Info{Backend: b.info.Backend, Device: b.info.Device, Kernels: b.info.Kernels}
}

// Driver returns the device under the backend.
func (b *Backend) Driver() Driver { return b.driver }

// Upload copies a weight to the device, once.
func (b *Backend) Upload(w *backend.Weight) error {
	_, err := b.uploaded(w)
	return err
}

func (b *Backend) uploaded(w *backend.Weight) (Memory, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m, ok := b.weights[w]; ok {
		return m, nil
	}
	m, err := b.copied(w.Data)
	if err != nil {
		return Memory{}, fmt.Errorf("weight %s: %w", w.Name, err)
	}
	b.weights[w] = m
	return m, nil
}

// copied returns device memory with the contents of data, which may be a mapped file.
func (b *Backend) copied(data []byte) (m Memory, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			b.driver.Free(m)
			err = fmt.Errorf("it could not be read: the file was truncated or its disk failed (%v)", v)
		}
	}()
	if m, err = b.driver.Alloc(len(data)); err != nil {
		return Memory{}, err
	}
	if err = b.driver.Write(Span{m, 0, len(data)}, data); err != nil {
		b.driver.Free(m)
		return Memory{}, err
	}
	return m, nil
}

// Close frees the weights and the device.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.weights {
		b.driver.Free(m)
	}
	clear(b.weights)
	return b.driver.Close()
}
