//go:build linux && !nogpu

// Package cuda drives NVIDIA GPUs through libcuda and NVRTC, both found at run
// time.
package cuda

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"emily/backend/gpu"
	"emily/backend/gpu/kernels"
)

// New opens the device with an index and compiles the kernels for it, which
// takes seconds the first time.
func New(index int) (*gpu.Backend, error) {
	d, err := open(index)
	if err != nil {
		return nil, err
	}
	return gpu.New(d)
}

// stagingBytes is the size of the pinned memory through which data goes to the device.
const stagingBytes = 8 << 20

// resultBytes is the end of the pinned memory, through which small results come
// back: the driver takes longer to bring them to other memory.
const resultBytes = 1 << 20

// chunkBytes is what the device copies while the next of it goes to pinned memory.
const chunkBytes = 256 << 10

// poolBytes is how much freed memory stays with the process for the next allocations.
const poolBytes = 256 << 20

// driver is one device with one stream. Its methods make the device's context
// current for the thread that they run on.
type driver struct {
	lib     *library
	device  Device
	version int // CUDA's, as 13000, that libcuda has
	context uintptr
	stream  uintptr
	capture uintptr // a second stream, on which recordings are made
	modules []uintptr
	pools   bool    // memory is allocated in the stream's order
	most    int     // bytes of shared memory a block, where blocks can wait for each other
	read    float64 // bytes of memory that the device reads in a cycle, there too

	kept keep

	mu      sync.Mutex
	staging []byte // pinned
	staged  int    // bytes in use by copies that may not have ended
	results []byte // pinned
	names   map[gpu.Kernel]string
	shared  map[gpu.Kernel]int // dynamic shared memory above the usual that was asked for
	// What cuLaunchKernel reads.
	pointers [16]uintptr
	params   [17]unsafe.Pointer
	maps     [16]tensorMap
}

func open(index int) (*driver, error) {
	l, list, err := devices()
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= len(list) {
		return nil, fmt.Errorf("there is no CUDA device %d: %d to choose from, counted from 0", index, len(list))
	}
	d := &driver{lib: l, device: list[index], names: map[gpu.Kernel]string{}, shared: map[gpu.Kernel]int{}}
	if err := d.start(); err != nil {
		d.Close()
		return nil, fmt.Errorf("CUDA device %d, %s: %w", index, d.device.Name, err)
	}
	return d, nil
}

// start takes what the driver needs of its device.
func (d *driver) start() error {
	l := d.lib
	var version int32
	if err := l.call("asking for the driver's version", l.driverVersion, uintptr(unsafe.Pointer(&version))); err != nil {
		return err
	}
	d.version = int(version)
	if err := l.call("making a context", l.contextRetain, uintptr(unsafe.Pointer(&d.context)), uintptr(d.device.id)); err != nil {
		return err
	}
	return d.do(func() error {
		const nonBlocking = 1
		for _, s := range []*uintptr{&d.stream, &d.capture} {
			if err := l.call("making a stream", l.streamCreate, uintptr(unsafe.Pointer(s)), nonBlocking); err != nil {
				return err
			}
		}
		var host *byte
		if err := l.call("allocating pinned memory", l.allocHost, uintptr(unsafe.Pointer(&host)), stagingBytes, 0); err != nil {
			return err
		}
		d.staging = unsafe.Slice(host, stagingBytes)
		d.staging, d.results = d.staging[:stagingBytes-resultBytes], d.staging[stagingBytes-resultBytes:]
		if err := d.startResident(); err != nil {
			return err
		}
		n, err := l.attribute(d.device.id, attributePools)
		if d.pools = n != 0; err != nil || !d.pools {
			return err
		}
		const releaseThreshold = 4
		var pool uintptr
		keep := uint64(poolBytes)
		if err := l.call("asking for the memory pool", l.pool, uintptr(unsafe.Pointer(&pool)), uintptr(d.device.id)); err != nil {
			return err
		}
		return l.call("setting up the memory pool", l.poolSet, pool, releaseThreshold, uintptr(unsafe.Pointer(&keep)))
	})
}

// startResident finds out whether the device has kernels whose blocks wait for each other.
func (d *driver) startResident() error {
	if n, err := d.lib.attribute(d.device.id, attributeCooperative); err != nil || n == 0 || d.capability() < 90 {
		return err
	}
	var err error
	d.most, err = d.lib.attribute(d.device.id, attributeShared)
	d.read = d.lib.read(d.device.id)
	return err
}

// do runs f with the device's context current.
func (d *driver) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.lib.call("entering the context", d.lib.contextSet, d.context); err != nil {
		return err
	}
	return f()
}

func (d *driver) capability() int { return 10*d.device.Major + d.device.Minor }

func (d *driver) Info() gpu.Info {
	return gpu.Info{Dialect: "cuda", Backend: "cuda", Device: d.device.Name, Kernels: fmt.Sprintf("sm_%d", d.capability()), Matrix: d.capability() >= 80, Warpgroups: d.warpgroups(), Cluster: d.cluster(),
		Units: d.device.Multiprocessors, Resident: d.grid()}
}

// grid leaves a block each multiprocessor to itself. A warpgroup feeds two others.
func (d *driver) grid() gpu.Grid {
	if d.most == 0 {
		return gpu.Grid{}
	}
	return gpu.Grid{Blocks: d.device.Multiprocessors, Warps: 8, Feeders: 4, Shared: d.most, Read: d.read}
}

func (d *driver) Resident(k gpu.Kernel, threads, shared int) (blocks int, err error) {
	err = d.do(func() error {
		if err := d.allowShared(&gpu.Launch{Kernel: k, Shared: shared}); err != nil {
			return err
		}
		var n int32
		err := d.lib.call("asking how many blocks run at once", d.lib.occupancy, uintptr(unsafe.Pointer(&n)), uintptr(k), uintptr(threads), uintptr(shared))
		blocks = int(n) * d.device.Multiprocessors
		return err
	})
	return blocks, err
}

func (d *driver) Compile(source string, names []string) ([]gpu.Kernel, error) {
	nvrtc, err := openCompiler(d.version / 1000)
	if err != nil {
		return nil, err
	}
	build := func(path string) error {
		code, err := nvrtc.cubin(source, d.capability())
		if err != nil {
			return err
		}
		return os.WriteFile(path, code, 0o600)
	}
	compiled := make([]gpu.Kernel, len(names))
	use := func(path string) error {
		code, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return d.do(func() error { return d.load(code, names, compiled) })
	}
	key := fmt.Sprintf("nvrtc %d.%d %s\n%s", nvrtc.major, nvrtc.minor, target(d.capability()), source)
	return compiled, kernels.Built(key, ".cubin", build, use)
}

// load loads compiled code and finds its kernels.
func (d *driver) load(code []byte, names []string, compiled []gpu.Kernel) error {
	if !strings.HasPrefix(string(code), "\x7fELF") {
		return errors.New("the compiled kernels are damaged")
	}
	l := d.lib
	var module uintptr
	if err := l.call("loading the compiled kernels", l.moduleLoad, uintptr(unsafe.Pointer(&module)), uintptr(unsafe.Pointer(&code[0]))); err != nil {
		return err
	}
	d.modules = append(d.modules, module)
	for i, name := range names {
		text := []byte(name + "\x00")
		if err := l.call("finding the kernel "+name, l.moduleFunction, uintptr(unsafe.Pointer(&compiled[i])), module, uintptr(unsafe.Pointer(&text[0]))); err != nil {
			return err
		}
		d.names[compiled[i]] = name
	}
	return nil
}

func (d *driver) Alloc(bytes int) (gpu.Memory, error) {
	if m, ok := d.kept.take(bytes); ok {
		return m, nil
	}
	m, err := d.allocate(bytes)
	if r := (*result)(nil); errors.As(err, &r) && r.code == outOfMemory {
		for _, kept := range d.kept.all() {
			d.release(kept)
		}
		m, err = d.allocate(bytes)
	}
	if r := (*result)(nil); errors.As(err, &r) && r.code == outOfMemory {
		free, total := d.memory()
		return m, fmt.Errorf("%s has no %.1f MiB of memory left: %.1f of its %.1f MiB are free", d.device.Name, mib(bytes), mib(free), mib(total))
	}
	return m, err
}

func (d *driver) allocate(bytes int) (gpu.Memory, error) {
	m := gpu.Memory{Bytes: bytes}
	return m, d.do(func() error {
		size := uintptr(max(bytes, 1))
		if d.pools {
			return d.lib.call("allocating device memory", d.lib.allocAsync, uintptr(unsafe.Pointer(&m.Handle)), size, d.stream)
		}
		return d.lib.call("allocating device memory", d.lib.alloc, uintptr(unsafe.Pointer(&m.Handle)), size)
	})
}

func mib(bytes int) float64 { return float64(bytes) / (1 << 20) }

// memory returns the bytes that are free, and all.
func (d *driver) memory() (free, total int) {
	d.do(func() error {
		return d.lib.call("asking for free memory", d.lib.memoryInfo, uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))
	})
	return free, total
}

func (d *driver) Free(m gpu.Memory) {
	if m.Handle != 0 && !d.kept.keep(m) {
		d.release(m)
	}
}

func (d *driver) release(m gpu.Memory) {
	d.do(func() error { // an error here is an earlier one, which Synchronize has told
		if d.pools {
			return d.lib.call("freeing device memory", d.lib.freeAsync, m.Handle, d.stream)
		}
		return d.lib.call("freeing device memory", d.lib.free, m.Handle)
	})
}

func address(s gpu.Span) uintptr { return s.Handle + uintptr(s.Offset) }

// Write goes through pinned memory, so that a mapped file is read by Go.
func (d *driver) Write(dst gpu.Span, src []byte) error {
	if len(src) > dst.Bytes || dst.Offset+len(src) > dst.Memory.Bytes {
		return fmt.Errorf("%d bytes do not fit %d at %d of %d", len(src), dst.Bytes, dst.Offset, dst.Memory.Bytes)
	}
	return d.do(func() error {
		to := address(dst)
		for len(src) > 0 {
			if d.staged == len(d.staging) {
				if err := d.wait(); err != nil {
					return err
				}
			}
			n := copy(d.staging[d.staged:], src[:min(len(src), chunkBytes)])
			if err := d.lib.call("copying to the device", d.lib.toDevice, to, uintptr(unsafe.Pointer(&d.staging[d.staged])), uintptr(n), d.stream); err != nil {
				return err
			}
			d.staged = min(d.staged+(n+63)&^63, len(d.staging))
			to += uintptr(n)
			src = src[n:]
		}
		return nil
	})
}

func (d *driver) Zero(dst gpu.Span) error {
	if dst.Bytes == 0 {
		return nil
	}
	if dst.Offset < 0 || dst.Offset+dst.Bytes > dst.Memory.Bytes {
		return fmt.Errorf("%d bytes are not in %d at %d", dst.Bytes, dst.Memory.Bytes, dst.Offset)
	}
	return d.do(func() error {
		return d.lib.call("filling device memory", d.lib.fill, address(dst), 0, uintptr(dst.Bytes), d.stream)
	})
}

func (d *driver) Read(dst []byte, src gpu.Span) error {
	if len(dst) == 0 {
		return nil
	}
	if len(dst) > src.Bytes || src.Offset+len(dst) > src.Memory.Bytes {
		return fmt.Errorf("%d bytes are not in %d at %d of %d", len(dst), src.Bytes, src.Offset, src.Memory.Bytes)
	}
	return d.do(func() error {
		to := dst
		if len(dst) <= len(d.results) {
			to = d.results[:len(dst)]
		}
		err := d.lib.call("copying from the device", d.lib.toHost, uintptr(unsafe.Pointer(&to[0])), address(src), uintptr(len(to)), d.stream)
		if err == nil {
			err = d.wait()
		}
		if err == nil && len(dst) <= len(d.results) {
			copy(dst, to)
		}
		return err
	})
}

// wait waits for the stream; then nothing is staged.
func (d *driver) wait() error {
	err := d.lib.call("running the queued work", d.lib.streamSynchronize, d.stream)
	d.staged = 0
	return err
}

func (d *driver) Synchronize() error { return d.do(d.wait) }

func (d *driver) Launch(l *gpu.Launch) error {
	return d.do(func() error { return d.launch(l, d.stream) })
}

// launch queues a kernel on a stream. Its parameters are the struct of
// arguments, then the buffers' addresses.
func (d *driver) launch(l *gpu.Launch, stream uintptr) error {
	if len(l.Spans) > len(d.pointers) {
		return fmt.Errorf("%s takes %d buffers, at most %d are possible", d.names[l.Kernel], len(l.Spans), len(d.pointers))
	}
	d.params[0] = unsafe.Pointer(&l.Args[0])
	for i, s := range l.Spans {
		d.pointers[i] = 0
		if s.Bytes > 0 {
			d.pointers[i] = address(s)
		}
		d.params[1+i] = unsafe.Pointer(&d.pointers[i])
		if l.Widths != nil && l.Widths[i] > 0 {
			m, err := d.boxes(i, d.pointers[i], l.Spans[i].Bytes, l.Widths[i])
			if err != nil {
				return err
			}
			d.params[1+i] = m
		}
	}
	if err := d.allowShared(l); err != nil {
		return err
	}
	early := stream == d.capture && !l.Resident && d.overlaps()
	if early || l.Cluster > 1 {
		return d.launchWith(l, stream, early)
	}
	function := d.lib.launch
	if l.Resident {
		function = d.lib.launchResident // has one argument less, which is not read
	}
	err := d.lib.call("launching "+d.names[l.Kernel], function, uintptr(l.Kernel), uintptr(l.Grid[0]), uintptr(l.Grid[1]), uintptr(l.Grid[2]),
		uintptr(l.Threads), 1, 1, uintptr(l.Shared), stream, uintptr(unsafe.Pointer(&d.params[0])), 0)
	if err != nil {
		return fmt.Errorf("%w: grid %v of %d threads", err, l.Grid, l.Threads)
	}
	return nil
}

// allowShared raises the kernel's limit of dynamic shared memory, once, and
// leaves none of a multiprocessor's to the cache, so that as many blocks fit as may.
func (d *driver) allowShared(l *gpu.Launch) error {
	const always, maxDynamicShared, preferredShare, all = 48 << 10, 8, 9, 100
	if l.Shared <= max(always, d.shared[l.Kernel]) {
		return nil
	}
	d.shared[l.Kernel] = l.Shared
	if err := d.lib.call("asking for the share of shared memory", d.lib.functionSet, uintptr(l.Kernel), preferredShare, all); err != nil {
		return err
	}
	return d.lib.call("asking for shared memory", d.lib.functionSet, uintptr(l.Kernel), maxDynamicShared, uintptr(l.Shared))
}

// Close gives the device back.
func (d *driver) Close() error {
	if d.context == 0 {
		return nil
	}
	for _, m := range d.kept.all() {
		d.release(m)
	}
	err := d.do(func() error {
		var errs []error
		if d.stream != 0 {
			errs = append(errs, d.wait())
		}
		for _, m := range d.modules {
			errs = append(errs, d.lib.call("unloading the kernels", d.lib.moduleUnload, m))
		}
		if d.staging != nil {
			errs = append(errs, d.lib.call("freeing pinned memory", d.lib.freeHost, uintptr(unsafe.Pointer(&d.staging[0]))))
		}
		for _, s := range []uintptr{d.stream, d.capture} {
			if s != 0 {
				errs = append(errs, d.lib.call("closing a stream", d.lib.streamDestroy, s))
			}
		}
		return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
	})
	err = errors.Join(err, d.lib.call("releasing the context", d.lib.contextRelease, uintptr(d.device.id)))
	d.context = 0
	return err
}
