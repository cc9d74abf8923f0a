package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"weak"

	"emily/backend"
)

// copies is what the device has of a weight. A copy stays as long as the
// weight, so that closing a program and compiling the next copies nothing
// again; it goes earlier where memory is short and no program uses it. Memory
// that is bound to the weight's own goes with the last program, since the file
// may be unmapped then.
type copies struct {
	plain    Span   // the bytes as they are
	bound    bool   // plain is not a copy
	rounded  Memory // f32 numbers as bf16
	terms    Memory // f32 numbers as the sum of three bf16, matrix by matrix
	slices   Memory // out or down as a decoder's kernel reads it
	programs int    // that use the weight
}

// of returns what the device has of a weight. The caller holds the lock.
func (b *Backend) of(w *backend.Weight) *copies {
	key := weak.Make(w)
	c := b.weights[key]
	if c == nil {
		c = &copies{}
		b.weights[key] = c
		runtime.AddCleanup(w, b.forget, key)
	}
	return c
}

// forget frees what the device has of a weight that is gone.
func (b *Backend) forget(key weak.Pointer[backend.Weight]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.weights[key]; c != nil { // the backend is not closed
		b.free(c)
		delete(b.weights, key)
	}
}

// free reports whether there was something to free. The caller holds the lock.
func (b *Backend) free(c *copies) bool {
	some := false
	for _, m := range []Memory{c.plain.Memory, c.rounded, c.terms, c.slices} {
		if m != (Memory{}) {
			b.driver.Free(m)
			some = true
		}
	}
	*c = copies{programs: c.programs}
	return some
}

// hold says that a program uses some weights, until it is released.
func (b *Backend) hold(weights []*backend.Weight) (held []*copies) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range weights {
		c := b.of(w)
		c.programs++
		held = append(held, c)
	}
	return held
}

// release says that a program does not use weights any more. Of one that failed
// nothing is left that no other program uses. When it returns the device is done
// with what was bound.
func (b *Backend) release(held []*copies, failed bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	unbound := false
	for _, c := range held {
		if c.programs--; c.programs > 0 {
			continue
		}
		if c.bound {
			b.driver.Free(c.plain.Memory)
			c.plain, c.bound = Span{}, false
			unbound = true
		}
		if failed {
			b.free(c)
		}
	}
	if !unbound {
		return nil
	}
	return b.driver.Synchronize()
}

// Upload copies a weight to the device, once. One that is bound is left to the
// programs that use it.
func (b *Backend) Upload(w *backend.Weight) error {
	held := b.hold([]*backend.Weight{w})
	_, err := b.uploaded(w)
	return errors.Join(err, b.release(held, err != nil))
}

// uploaded binds a weight to the device or copies it, once.
func (b *Backend) uploaded(w *backend.Weight) (Span, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.of(w)
	if c.plain.Memory != (Memory{}) {
		return c.plain, nil
	}
	at, bound, err := b.adopted(w)
	if err == nil && !bound {
		at = Span{Bytes: len(w.Data)}
		at.Memory, err = b.copied(w.Data)
	}
	if err != nil {
		return Span{}, fmt.Errorf("weight %s: %w", w.Name, err)
	}
	c.plain, c.bound = at, bound
	return at, nil
}

// adopted binds a mapped weight to a device that can read it where it is. Its
// pages are read once, as they are for a copy: a kernel could not report that
// one of them is missing.
func (b *Backend) adopted(w *backend.Weight) (at Span, ok bool, err error) {
	a, ok := b.driver.(Adopter)
	if !ok || w.Forget == nil || len(w.Data) == 0 {
		return Span{}, false, nil
	}
	err = readable(func() {
		last := w.Data[len(w.Data)-1]
		for i := 0; i < len(w.Data); i += os.Getpagesize() {
			last ^= w.Data[i]
		}
		runtime.KeepAlive(last)
	})
	if err != nil {
		return Span{}, false, err
	}
	at, ok = a.Adopt(w.Data)
	return at, ok, nil
}

// inForm returns what the device has of a weight in another form, which convert
// makes the first time, under the lock.
func (b *Backend) inForm(w *backend.Weight, form func(*copies) *Memory, convert func() (Memory, error)) (Memory, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := form(b.of(w))
	if *m != (Memory{}) {
		return *m, nil
	}
	made, err := convert()
	if err != nil {
		return Memory{}, fmt.Errorf("weight %s: %w", w.Name, err)
	}
	*m = made
	return made, nil
}

// converted returns memory that a kernel fills from another, with so many threads. The caller holds the lock.
func (b *Backend) converted(from Span, bytes int, k Kernel, threads int, args []byte) (Memory, error) {
	m, err := b.alloc(bytes)
	if err != nil {
		return Memory{}, err
	}
	grid := [3]int{(threads + blockThreads - 1) / blockThreads, 1, 1}
	if err := b.driver.Launch(&Launch{Kernel: k, Grid: grid, Threads: blockThreads, Args: args, Spans: []Span{from, {m, 0, bytes}}}); err != nil {
		b.driver.Free(m)
		return Memory{}, err
	}
	return m, nil
}

// uploadedBF16 copies an f32 weight to the device as bf16, once.
func (b *Backend) uploadedBF16(w *backend.Weight) (Memory, error) {
	return b.inForm(w, func(c *copies) *Memory { return &c.rounded }, func() (Memory, error) {
		data := make([]byte, len(w.Data)/2)
		if err := readable(func() { roundBF16(data, w.Data) }); err != nil {
			return Memory{}, err
		}
		return b.copied(data)
	})
}

// uploadedTerms splits an f32 weight into bf16 terms on the device, once.
func (b *Backend) uploadedTerms(w *backend.Weight) (Memory, error) {
	return b.inForm(w, func(c *copies) *Memory { return &c.terms }, func() (Memory, error) {
		plain, err := b.copied(w.Data)
		if err != nil {
			return Memory{}, err
		}
		defer b.driver.Free(plain)
		n := len(w.Data) / 4
		args := bytesOf(splitArgs{rows: 1, width: i32(n), terms: mostTerms})
		return b.converted(Span{plain, 0, plain.Bytes}, 2*mostTerms*n, b.kernels[splitTerms], n/8, args)
	})
}

// uploadedSlices brings a weight of a decoder whose columns its blocks share out into the order in which they read it, once.
func (b *Backend) uploadedSlices(w *backend.Weight, slice Kernel) (Memory, error) {
	plain, err := b.uploaded(w)
	if err != nil {
		return Memory{}, err
	}
	return b.inForm(w, func(c *copies) *Memory { return &c.slices }, func() (Memory, error) {
		return b.converted(plain, plain.Bytes, slice, plain.Bytes/4, bytesOf(decodeArgs{}))
	})
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

// copied returns device memory with the contents of data, which may be a mapped
// file. The caller holds the lock.
func (b *Backend) copied(data []byte) (Memory, error) {
	m, err := b.alloc(len(data))
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

// alloc returns memory. The caller holds the lock.
func (b *Backend) alloc(bytes int) (Memory, error) {
	m, err := b.driver.Alloc(bytes)
	if err != nil {
		return b.again(bytes, err)
	}
	return m, nil
}

// memory is alloc for callers that do not hold the lock, which only a device
// that has too little left makes them wait for.
func (b *Backend) memory(bytes int) (Memory, error) {
	m, err := b.driver.Alloc(bytes)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.again(bytes, err)
	}
	return m, nil
}

// again allocates after an error, once weights that no program uses have made
// room. The caller holds the lock.
func (b *Backend) again(bytes int, err error) (Memory, error) {
	some := false
	for _, c := range b.weights {
		if c.programs == 0 && b.free(c) {
			some = true
		}
	}
	if !some {
		return Memory{}, err
	}
	return b.driver.Alloc(bytes)
}
