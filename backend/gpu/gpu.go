package gpu

import (
	"encoding/binary"
	"errors"
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
	rounded  map[*backend.Weight]Memory // f32 weights as bf16
	decoders map[string]Kernel          // by their source
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
	return &Backend{driver: d, info: info, kernels: compiled, weights: map[*backend.Weight]Memory{}, rounded: map[*backend.Weight]Memory{}, decoders: map[string]Kernel{}}, nil
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
	return b.once(b.weights, w, func() (Memory, error) { return b.copied(w.Data) })
}

// uploadedBF16 copies an f32 weight to the device as bf16, once.
func (b *Backend) uploadedBF16(w *backend.Weight) (Memory, error) {
	return b.once(b.rounded, w, func() (m Memory, err error) {
		data := make([]byte, len(w.Data)/2)
		if err := readable(func() { roundBF16(data, w.Data) }); err != nil {
			return m, err
		}
		return b.copied(data)
	})
}

func (b *Backend) once(weights map[*backend.Weight]Memory, w *backend.Weight, upload func() (Memory, error)) (Memory, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m, ok := weights[w]; ok {
		return m, nil
	}
	m, err := upload()
	if err != nil {
		return Memory{}, fmt.Errorf("weight %s: %w", w.Name, err)
	}
	weights[w] = m
	return m, nil
}

// roundBF16 rounds f32 numbers to nearest, ties to even.
func roundBF16(dst, src []byte) {
	for i := 0; i+4 <= len(src); i += 4 {
		u := binary.LittleEndian.Uint32(src[i:])
		if u&0x7fffffff > 0x7f800000 {
			u |= 0x400000 // a NaN stays one
		} else {
			u += 0x7fff + u>>16&1
		}
		binary.LittleEndian.PutUint16(dst[i/2:], uint16(u>>16))
	}
}

// readable runs f, which reads data that may be a mapped file.
func readable(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it could not be read: the file was truncated or its disk failed (%v)", v)
		}
	}()
	f()
	return nil
}

// copied returns device memory with the contents of data, which may be a mapped file.
func (b *Backend) copied(data []byte) (Memory, error) {
	m, err := b.driver.Alloc(len(data))
	if err != nil {
		return Memory{}, err
	}
	var failed error
	if err := errors.Join(readable(func() { failed = b.driver.Write(Span{m, 0, len(data)}, data) }), failed); err != nil {
		b.driver.Free(m)
		return Memory{}, err
	}
	return m, nil
}

// Close frees the weights and the device.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, weights := range []map[*backend.Weight]Memory{b.weights, b.rounded} {
		for _, m := range weights {
			b.driver.Free(m)
		}
		clear(weights)
	}
	return b.driver.Close()
}
