//go:build (linux || darwin) && !nogpu

// Package emu emulates a GPU on the processor, so that every kernel and the
// whole GPU path can be tested anywhere: the host's C++ compiler builds the
// kernels, and a block's threads run as fibers between barriers. Every access
// to a buffer is checked against the buffer's bounds, and the threads run from
// the first to the last and back by turns: a result that differs has a race.
// NewRaces finds those in dynamic shared memory whatever the result.
package emu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"emily/backend/gpu"
	"emily/backend/gpu/kernels"
)

// ErrNoCompiler is the error of New where no C++ compiler is installed.
var ErrNoCompiler = errors.New("the emulator needs a C++ compiler: install g++ or clang++, or name one in CXX")

// New builds or loads the kernels and returns the emulated device.
func New() (*gpu.Backend, error) {
	return NewGrid(gpu.Grid{Blocks: 3, Warps: 2, Feeders: 1, Shared: 24 << 10, Read: 16})
}

// NewGrid is New with the grid of kernels whose blocks wait for each other.
func NewGrid(resident gpu.Grid) (*gpu.Backend, error) {
	return start(&driver{resident: resident})
}

// NewRaces is NewGrid for a device that watches dynamic shared memory: a launch fails in which two threads use
// the same bytes, one of them to write, without having met in between. It is some ten times slower.
func NewRaces(resident gpu.Grid) (*gpu.Backend, error) {
	return start(&driver{resident: resident, races: true})
}

// NewWarps is New for a device without warpgroups.
func NewWarps() (*gpu.Backend, error) {
	return start(&driver{plain: true})
}

func start(d *driver) (*gpu.Backend, error) {
	d.memory, d.kernels = map[uintptr][]byte{}, map[gpu.Kernel]kernel{}
	return gpu.New(d)
}

// Probe names the C++ compiler that New would use.
func Probe() (string, error) {
	for _, name := range []string{os.Getenv("CXX"), "c++", "g++", "clang++"} {
		if fields := strings.Fields(name); len(fields) > 0 {
			if path, err := exec.LookPath(fields[0]); err == nil {
				return strings.Join(append([]string{path}, fields[1:]...), " "), nil
			}
		}
	}
	return "", ErrNoCompiler
}

// kernel is what launching one takes besides its address.
type kernel struct {
	launch uintptr // emu_launch of its library
	name   *byte   // zero-terminated
}

// driver runs each launch as it comes. Its memory is Go's, named by its address.
type driver struct {
	mu        sync.Mutex
	memory    map[uintptr][]byte
	kernels   map[gpu.Kernel]kernel
	backwards bool
	plain     bool // without warpgroups
	races     bool // shared memory is watched
	resident  gpu.Grid
}

func (d *driver) Info() gpu.Info {
	return gpu.Info{Dialect: "host", Backend: "emu", Device: "GPU emulated on " + runtime.GOARCH, Kernels: "host C++", Matrix: true, Warpgroups: !d.plain, Cluster: 2, Units: 8, Resident: d.resident}
}

var compilerFlags = []string{"-x", "c++", "-std=c++17", "-O2", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE", "-w", "-fPIC"}

func (d *driver) Compile(source string, names []string) ([]gpu.Kernel, error) {
	compiler, err := Probe()
	if err != nil {
		return nil, err
	}
	compiled := make([]gpu.Kernel, len(names))
	run := func(input string, flags ...string) error {
		args := append(strings.Fields(compiler), flags...)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(input)
		if message, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compiling the kernels with %s: %w\n%s", compiler, err, message)
		}
		return nil
	}
	flags := compilerFlags
	if d.races {
		flags = append(flags[:len(flags):len(flags)], "-DRACES", "-fsanitize=thread")
	}
	build := func(path string) error {
		object := path + ".o" // linked apart, without the sanitizer's library
		defer os.Remove(object)
		if err := run(source, append(flags[:len(flags):len(flags)], "-c", "-o", object, "-")...); err != nil {
			return err
		}
		return run("", "-shared", "-o", path, object)
	}
	use := func(path string) error {
		lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			return fmt.Errorf("loading the compiled kernels: %w", err)
		}
		launch, err := purego.Dlsym(lib, "emu_launch")
		if err != nil {
			return err
		}
		for i, name := range names {
			address, err := purego.Dlsym(lib, name)
			if err != nil {
				return fmt.Errorf("the kernel %s: %w", name, err)
			}
			compiled[i] = gpu.Kernel(address)
			d.mu.Lock()
			d.kernels[compiled[i]] = kernel{launch, unsafe.StringData(name + "\x00")}
			d.mu.Unlock()
		}
		return nil
	}
	key := strings.Join(append([]string{compiler, runtime.GOARCH, source}, flags...), "\n")
	return compiled, kernels.Built(key, ".so", build, use)
}

// Alloc fills memory with a pattern that is a NaN in every float type, so that
// a result shows what a kernel has not written.
func (d *driver) Alloc(bytes int) (gpu.Memory, error) {
	const alignment = 256
	data := make([]byte, bytes+alignment)
	data = data[-uintptr(unsafe.Pointer(&data[0]))&(alignment-1):][:bytes+1]
	for i := range data {
		data[i] = 0xff
	}
	m := gpu.Memory{Handle: uintptr(unsafe.Pointer(&data[0])), Bytes: bytes}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.memory[m.Handle] = data
	return m, nil
}

// Adopt takes the address of data for its handle, once at a time, where it is
// aligned to the largest load of a kernel. A mapped file that is cut short while
// a kernel reads it ends the process.
func (d *driver) Adopt(data []byte) (gpu.Span, bool) {
	const alignment = 16
	m := gpu.Memory{Handle: uintptr(unsafe.Pointer(unsafe.SliceData(data))), Bytes: len(data)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, taken := d.memory[m.Handle]; taken || m.Handle%alignment != 0 {
		return gpu.Span{}, false
	}
	d.memory[m.Handle] = data
	return gpu.Span{Memory: m, Bytes: len(data)}, true
}

func (d *driver) Free(m gpu.Memory) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.memory, m.Handle)
}

func (d *driver) bytes(s gpu.Span) ([]byte, error) {
	data := d.memory[s.Handle]
	if s.Offset < 0 || s.Bytes < 0 || s.Offset+s.Bytes > len(data) {
		return nil, fmt.Errorf("%d bytes at %d are outside of device memory of %d", s.Bytes, s.Offset, s.Memory.Bytes)
	}
	return data[s.Offset : s.Offset+s.Bytes], nil
}

func (d *driver) Write(dst gpu.Span, src []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	to, err := d.bytes(dst)
	copy(to, src)
	return err
}

func (d *driver) Zero(dst gpu.Span) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	to, err := d.bytes(dst)
	clear(to)
	return err
}

func (d *driver) Read(dst []byte, src gpu.Span) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, err := d.bytes(src)
	copy(dst, from)
	return err
}

// span is what the kernels know of a buffer.
type span struct {
	data         unsafe.Pointer
	bytes, width int64
}

// running guards the fibers, of which the library has one set.
var running sync.Mutex

// Resident allows what the grid has: all blocks are fibers of one thread.
func (d *driver) Resident(_ gpu.Kernel, threads, shared int) (int, error) {
	if threads > 1024 || shared > d.resident.Shared {
		return 0, nil
	}
	return d.resident.Blocks, nil
}

func (d *driver) Launch(l *gpu.Launch) error {
	running.Lock()
	defer running.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	spans := make([]span, len(l.Spans))
	for i, s := range l.Spans {
		if s.Bytes == 0 {
			continue
		}
		data, err := d.bytes(s)
		if err != nil {
			return err
		}
		spans[i] = span{data: unsafe.Pointer(&data[0]), bytes: int64(len(data))}
		if l.Widths != nil {
			spans[i].width = int64(l.Widths[i])
		}
	}
	grid := [3]int32{int32(l.Grid[0]), int32(l.Grid[1]), int32(l.Grid[2])}
	flag := func(b bool) uintptr {
		if b {
			return 1
		}
		return 0
	}
	together := max(1, l.Cluster)
	if l.Resident {
		together = l.Grid[0] * l.Grid[1] * l.Grid[2]
	}
	k := d.kernels[l.Kernel]
	message, _, _ := purego.SyscallN(k.launch, uintptr(l.Kernel), uintptr(unsafe.Pointer(k.name)), uintptr(unsafe.Pointer(&grid)),
		uintptr(l.Threads), uintptr(l.Shared), uintptr(together), flag(d.backwards), uintptr(unsafe.Pointer(unsafe.SliceData(spans))), uintptr(unsafe.Pointer(unsafe.SliceData(l.Args))))
	runtime.KeepAlive(spans)
	runtime.KeepAlive(l)
	if message != 0 {
		return fmt.Errorf("emulated kernel: %s", text(message))
	}
	return nil
}

// text reads C's string.
func text(address uintptr) string {
	p := *(*unsafe.Pointer)(unsafe.Pointer(&address))
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

// Synchronize has nothing to wait for. The threads of the next launches run in
// the other order, so that two runs of one computation cover both.
func (d *driver) Synchronize() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backwards = !d.backwards
	return nil
}

func (d *driver) Close() error { return nil }

// recording runs its launches one by one.
type recording struct {
	driver   *driver
	launches []gpu.Launch
}

func (d *driver) Record(launches []gpu.Launch) (gpu.Recording, error) {
	return &recording{d, launches}, nil
}

func (r *recording) Replay() error {
	for i := range r.launches {
		if err := r.driver.Launch(&r.launches[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *recording) Close() error { return nil }
