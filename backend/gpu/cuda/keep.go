//go:build linux && !nogpu

package cuda

import (
	"sync"

	"emily/backend/gpu"
)

// mostKept is the size of the largest memory that is kept, and keptBytes that of all.
const (
	mostKept  = 16 << 20
	keptBytes = 128 << 20
)

// keep holds freed memory for the next allocation of the same size. All work
// runs on one stream, in order, so what was freed may be used again at once:
// the eager lane, which allocates each result, calls the driver for none.
type keep struct {
	mu    sync.Mutex
	free  map[int][]gpu.Memory // by size
	bytes int
}

// take returns memory of a size, if there is some.
func (k *keep) take(bytes int) (gpu.Memory, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.free[bytes]
	if len(list) == 0 {
		return gpu.Memory{}, false
	}
	m := list[len(list)-1]
	k.free[bytes] = list[:len(list)-1]
	k.bytes -= bytes
	return m, true
}

// keep reports whether it keeps the memory.
func (k *keep) keep(m gpu.Memory) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.Bytes > mostKept || k.bytes+m.Bytes > keptBytes {
		return false
	}
	if k.free == nil {
		k.free = map[int][]gpu.Memory{}
	}
	k.free[m.Bytes] = append(k.free[m.Bytes], m)
	k.bytes += m.Bytes
	return true
}

// all returns what is kept and keeps it no longer.
func (k *keep) all() []gpu.Memory {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []gpu.Memory
	for _, l := range k.free {
		list = append(list, l...)
	}
	k.free, k.bytes = nil, 0
	return list
}
