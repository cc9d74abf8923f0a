// Package gpu runs plans on GPUs: it turns each step of a plan into launches of
// kernels written once (package kernels) and hands them to a driver. What a
// device has to offer is the interface Driver; the drivers are in the packages
// below this one.
package gpu

// Driver is one device with one queue: writes, launches and replays run in the
// order of the calls. All methods are safe for concurrent use.
type Driver interface {
	// Info describes the device.
	Info() Info
	// Compile builds a program of package kernels and returns the named kernels in
	// order. Its error holds the compiler's message with the source line.
	Compile(source string, names []string) ([]Kernel, error)
	// Alloc returns memory aligned to 256 bytes. Its contents are undefined.
	Alloc(bytes int) (Memory, error)
	// Free returns memory once the work queued so far has ended.
	Free(m Memory)
	// Write queues a copy to the device; src may change when it returns.
	Write(dst Span, src []byte) error
	// Zero queues the filling of a span with zeros.
	Zero(dst Span) error
	// Read waits for the work queued so far and copies from the device.
	Read(dst []byte, src Span) error
	// Resident returns how many blocks of a kernel the device runs at once, each
	// with as many threads and as much dynamic shared memory as given, which it
	// allows the kernel from then on.
	Resident(k Kernel, threads, shared int) (int, error)
	// Launch queues one kernel.
	Launch(l *Launch) error
	// Record prepares launches that are always queued together. They must not
	// change as long as the recording is in use.
	Record(launches []Launch) (Recording, error)
	// Synchronize waits for the work queued so far and returns its error.
	Synchronize() error
	// Close frees the device.
	Close() error
}

// Adopter is a Driver whose device can read the host's memory where it is.
type Adopter interface {
	// Adopt returns device memory over the pages of data, where data begins at the
	// span's offset, or false where they cannot be bound. The device never writes
	// to them. On a device whose handles are addresses the offset is 0. Data stays
	// in its place until the memory is freed and Synchronize has returned after
	// that: it is a weight's that is mapped from a file, and a model closes its
	// programs, with which the memory goes, before it unmaps its files.
	Adopt(data []byte) (at Span, ok bool)
}

// Info describes a device.
type Info struct {
	// Dialect is the target of package kernels: "cuda", "metal" or "host".
	Dialect string
	// Backend and Device name the driver and the device in words; Kernels says
	// what the kernels are compiled for.
	Backend, Device, Kernels string
	// Matrix says that the dialect has matrix units: the kernels of src/matrix.cu.
	Matrix bool
	// Warpgroups says that the dialect has products of warpgroups too, the kernels
	// of src/warpgroup.cu.
	Warpgroups bool
	// Cluster is the number of blocks that share what those products read; 0 and 1 are the same.
	Cluster int
	// Units is the number of blocks that keep the device busy: its multiprocessors.
	Units int
	// Resident is the grid of kernels whose blocks wait for each other; without
	// blocks there are none.
	Resident Grid
}

// Grid is the most blocks that run at once, each with Shared bytes of shared
// memory, Warps that compute, and Feeders, warps that copy for them. All of them
// together read at most Read bytes of the device's memory in a cycle; 0 is not known.
type Grid struct {
	Blocks, Warps, Feeders, Shared int
	Read                           float64
}

// Kernel is a driver's handle of a compiled kernel.
type Kernel uintptr

// Memory is a piece of the device's memory: an address or a driver's handle.
type Memory struct {
	Handle uintptr
	Bytes  int
}

// Span is a part of a Memory.
type Span struct {
	Memory
	Offset int
	Bytes  int
}

// Launch is one run of a kernel over a grid of blocks.
type Launch struct {
	Kernel  Kernel
	Grid    [3]int
	Threads int // of a block, whole warps
	Shared  int // bytes of dynamic shared memory
	// Resident says that the blocks wait for each other: all must run at once.
	Resident bool
	// Cluster is, where it is not 0, the number of blocks that follow each other
	// along the grid's first dimension and reach each other's shared memory.
	Cluster int
	// Spans are the kernel's buffers in order; one without bytes is not used.
	Spans []Span
	// Widths are, if there are any, for each buffer that the kernel takes as a
	// matrix of bf16 the elements of a row, a multiple of 8, and else 0.
	Widths []int
	// Args is the kernel's struct of arguments.
	Args []byte
}

// Recording is a list of launches that a device replays in one call.
type Recording interface {
	Replay() error
	Close() error
}
