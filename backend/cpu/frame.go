package cpu

import (
	"unsafe"

	"emily/backend"
)

// frame is the memory that the kernels of one session see.
type frame struct {
	mem    [][]byte // by ref
	shared []float32
	caches []*state // by index in the plan
}

// ref names a piece of a frame's memory.
type ref int

func (f *frame) bytes(r ref) []byte { return f.mem[r] }

func (f *frame) f32(r ref) []float32 { return floats(f.mem[r]) }

func (f *frame) i32(r ref) []int32 {
	b := f.mem[r]
	if len(b) < 4 {
		return nil
	}
	return unsafe.Slice((*int32)(unsafe.Pointer(&b[0])), len(b)/4)
}

// floats views aligned bytes as f32.
func floats(b []byte) []float32 {
	if len(b) < 4 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}

// aligned returns n zero bytes that start at a cache line.
func aligned(n int) []byte {
	const line = 64
	b := make([]byte, n+line)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & (line - 1))
	return b[skip : skip+n : skip+n]
}

// isAligned reports whether b can be viewed as f32.
func isAligned(b []byte) bool { return len(b) == 0 || uintptr(unsafe.Pointer(&b[0]))%4 == 0 }

// place is how a session finds the memory of a ref.
type place struct {
	slot  backend.Slot
	bytes int
	data  []byte // for weights and constants
}

// elements is the number of elements of a shape.
func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// floatsAsInts views f32 memory as i32.
func floatsAsInts(x []float32) []int32 {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*int32)(unsafe.Pointer(&x[0])), len(x))
}
