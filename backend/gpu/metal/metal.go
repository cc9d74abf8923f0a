//go:build darwin && arm64 && !nogpu

// Package metal drives the GPU of Macs with Apple silicon through Metal,
// without cgo. It has been compiled and vetted, but not yet been run on Apple
// hardware by the project.
package metal

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"emily/backend/gpu"
)

// New opens the system's device and compiles the kernels for it.
func New() (*gpu.Backend, error) {
	d, err := open()
	if err != nil {
		return nil, err
	}
	return gpu.New(d)
}

// Probe returns the device's name.
func Probe() (string, error) {
	d, err := open()
	if err != nil {
		return "", err
	}
	defer d.Close()
	return d.name, nil
}

// argsIndex is the binding of a kernel's arguments, the last that there is.
const argsIndex = 30

// driver is the device with one queue. Launches are encoded into an open
// command buffer, which is committed where the host waits.
type driver struct {
	o             *runtime
	device, queue object
	name          string

	mu       sync.Mutex
	released []object // after the open command buffer has run
	buffer   object   // the open command buffer, or 0
	encoder  object
	limits   map[gpu.Kernel]int // threads of a block
	names    map[gpu.Kernel]string
}

func open() (*driver, error) {
	o, err := openRuntime()
	if err != nil {
		return nil, err
	}
	d := &driver{o: o, limits: map[gpu.Kernel]int{}, names: map[gpu.Kernel]string{}}
	return d, d.do(func() error {
		device, _, _ := purego.SyscallN(o.createDevice)
		if d.device = object(device); d.device == 0 {
			return errors.New("Metal finds no device")
		}
		if d.queue = object(o.send(d.device, o.newQueue)); d.queue == 0 {
			return errors.New("Metal gives no command queue")
		}
		d.name = o.read(object(o.send(d.device, o.name)))
		return nil
	})
}

// do runs f within an autorelease pool, which belongs to a thread.
func (d *driver) do(f func() error) error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	d.mu.Lock()
	defer d.mu.Unlock()
	pool, _, _ := purego.SyscallN(d.o.poolPush)
	defer purego.SyscallN(d.o.poolPop, pool)
	return f()
}

func (d *driver) Info() gpu.Info {
	return gpu.Info{Dialect: "metal", Backend: "metal", Device: d.name, Kernels: "Metal 3.0", Units: 16}
}

func (d *driver) Compile(source string, names []string) ([]gpu.Kernel, error) {
	compiled := make([]gpu.Kernel, len(names))
	return compiled, d.do(func() error {
		options := object(d.o.send(object(d.o.send(class("MTLCompileOptions"), d.o.alloc)), d.o.init))
		defer d.o.send(options, d.o.release)
		d.o.send(options, d.o.setFastMath, 0) // infinities and NaNs count
		d.o.send(options, d.o.setLanguage, languageVersion3)
		var failure object
		library := object(d.o.send(d.device, d.o.newLibrary, uintptr(d.o.text(source)), uintptr(options), uintptr(unsafe.Pointer(&failure))))
		if library == 0 {
			return fmt.Errorf("compiling the kernels: %w", d.o.errorOf(failure))
		}
		defer d.o.send(library, d.o.release)
		for i, name := range names {
			function := object(d.o.send(library, d.o.newFunction, uintptr(d.o.text(name))))
			if function == 0 {
				return fmt.Errorf("the kernel %s is missing", name)
			}
			pipeline := d.o.send(d.device, d.o.newPipeline, uintptr(function), uintptr(unsafe.Pointer(&failure)))
			d.o.send(function, d.o.release)
			if pipeline == 0 {
				return fmt.Errorf("the kernel %s: %w", name, d.o.errorOf(failure))
			}
			compiled[i] = gpu.Kernel(pipeline)
			d.names[compiled[i]], d.limits[compiled[i]] = name, int(d.o.send(object(pipeline), d.o.maxThreads))
		}
		return nil
	})
}

func (d *driver) Alloc(bytes int) (gpu.Memory, error) {
	m := gpu.Memory{Bytes: bytes}
	err := d.do(func() error {
		if m.Handle = d.o.send(d.device, d.o.newBuffer, uintptr(max(bytes, 1)), resourceShared); m.Handle == 0 {
			limit := int(d.o.send(d.device, d.o.maxWorkingSet))
			return fmt.Errorf("%s has no %d MiB of memory left; its limit is %d MiB", d.name, bytes>>20, limit>>20)
		}
		return nil
	})
	return m, err
}

// Adopt makes a buffer over the pages of data, which Metal takes whole. Pages
// that data begins or ends within may be in several buffers: nobody writes to
// them. Metal frees nothing of them, since there is no deallocator. Where a
// buffer begins for a kernel must be a multiple of 4 bytes; safetensors promises 8.
func (d *driver) Adopt(data []byte) (gpu.Span, bool) {
	page := uintptr(os.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	offset := start & (page - 1)
	length := (offset + uintptr(len(data)) + page - 1) &^ (page - 1)
	m := gpu.Memory{Bytes: int(length)}
	if offset%offsetAlignment != 0 {
		return gpu.Span{}, false
	}
	_ = d.do(func() error { // 0 is the answer
		if length <= d.o.send(d.device, d.o.maxBuffer) {
			m.Handle = d.o.send(d.device, d.o.newBufferOver, uintptr(unsafe.Pointer(unsafe.SliceData(data)))-offset, length, resourceShared, noDeallocator)
		}
		return nil
	})
	return gpu.Span{Memory: m, Offset: int(offset), Bytes: len(data)}, m.Handle != 0
}

// Free releases memory when the open command buffer, which may use it, has run.
func (d *driver) Free(m gpu.Memory) {
	if m.Handle == 0 {
		return
	}
	d.do(func() error {
		if d.buffer != 0 {
			d.released = append(d.released, object(m.Handle))
		} else {
			d.o.send(object(m.Handle), d.o.release)
		}
		return nil
	})
}

// bytes is a part of a buffer, which host and device share.
func (d *driver) bytes(s gpu.Span, n int) ([]byte, error) {
	if n > s.Bytes || s.Offset < 0 || s.Offset+n > s.Memory.Bytes {
		return nil, fmt.Errorf("%d bytes are not in %d at %d of %d", n, s.Bytes, s.Offset, s.Memory.Bytes)
	}
	address := d.o.send(object(s.Handle), d.o.contents)
	return unsafe.Slice((*byte)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&address)), s.Offset)), n), nil
}

func (d *driver) Write(dst gpu.Span, src []byte) error {
	return d.do(func() error {
		to, err := d.bytes(dst, len(src))
		if err == nil {
			err = d.wait()
		}
		if err == nil {
			copy(to, src)
		}
		return err
	})
}

func (d *driver) Zero(dst gpu.Span) error {
	return d.do(func() error {
		to, err := d.bytes(dst, dst.Bytes)
		if err == nil {
			err = d.wait()
		}
		if err == nil {
			clear(to)
		}
		return err
	})
}

func (d *driver) Read(dst []byte, src gpu.Span) error {
	return d.do(func() error {
		from, err := d.bytes(src, len(dst))
		if err == nil {
			err = d.wait()
		}
		if err == nil {
			copy(dst, from)
		}
		return err
	})
}

// begin opens a command buffer and its encoder, whose launches run in order.
func (d *driver) begin() {
	if d.buffer != 0 {
		return
	}
	d.buffer = object(d.o.send(d.queue, d.o.commandBuffer))
	d.o.send(d.buffer, d.o.retain)
	d.encoder = object(d.o.send(d.buffer, d.o.encoder))
	d.o.send(d.encoder, d.o.retain)
}

// wait commits the open command buffer and waits for its end.
func (d *driver) wait() error {
	if d.buffer == 0 {
		return nil
	}
	d.o.send(d.encoder, d.o.endEncoding)
	d.o.send(d.buffer, d.o.commit)
	d.o.send(d.buffer, d.o.waitUntilCompleted)
	var err error
	if d.o.send(d.buffer, d.o.status) == commandBufferFailed {
		err = fmt.Errorf("running the queued work: %w", d.o.errorOf(object(d.o.send(d.buffer, d.o.failure))))
	}
	for _, o := range append(d.released, d.encoder, d.buffer) {
		d.o.send(o, d.o.release)
	}
	d.released, d.encoder, d.buffer = nil, 0, 0
	return err
}

func (d *driver) Synchronize() error { return d.do(d.wait) }

// Resident is 0: blocks do not wait for each other here.
func (d *driver) Resident(gpu.Kernel, int, int) (int, error) { return 0, nil }

func (d *driver) Launch(l *gpu.Launch) error {
	return d.do(func() error { return d.encode(l) })
}

// size is Metal's MTLSize.
type size struct{ width, height, depth uint64 }

func (d *driver) encode(l *gpu.Launch) error {
	if limit := d.limits[l.Kernel]; l.Threads > limit {
		return fmt.Errorf("the kernel %s runs with %d threads a block here, not %d", d.names[l.Kernel], limit, l.Threads)
	}
	d.begin()
	d.o.send(d.encoder, d.o.setPipeline, uintptr(l.Kernel))
	for i, s := range l.Spans {
		offset := uintptr(s.Offset)
		if s.Bytes == 0 {
			s.Handle, offset = 0, 0
		}
		d.o.send(d.encoder, d.o.setBuffer, s.Handle, offset, uintptr(i))
	}
	d.o.send(d.encoder, d.o.setBytes, uintptr(unsafe.Pointer(&l.Args[0])), uintptr(len(l.Args)), argsIndex)
	grid := size{uint64(l.Grid[0]), uint64(l.Grid[1]), uint64(l.Grid[2])}
	block := size{uint64(l.Threads), 1, 1}
	d.o.send(d.encoder, d.o.dispatch, uintptr(unsafe.Pointer(&grid)), uintptr(unsafe.Pointer(&block)))
	return nil
}

// recording encodes its launches anew for each replay.
type recording struct {
	driver   *driver
	launches []gpu.Launch
}

func (d *driver) Record(launches []gpu.Launch) (gpu.Recording, error) {
	return &recording{d, launches}, nil
}

func (r *recording) Replay() error {
	return r.driver.do(func() error {
		for i := range r.launches {
			if err := r.driver.encode(&r.launches[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *recording) Close() error { return nil }

// Close waits for the queued work and gives the device back.
func (d *driver) Close() error {
	return d.do(func() error {
		err := d.wait()
		for pipeline := range d.limits {
			d.o.send(object(pipeline), d.o.release)
		}
		clear(d.limits)
		for _, o := range []object{d.queue, d.device} {
			d.o.send(o, d.o.release)
		}
		d.queue, d.device = 0, 0
		return err
	})
}
