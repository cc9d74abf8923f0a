package mmap

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Map maps the first size bytes of a file, read-only. The view keeps the
// mapping alive after its handle is closed.
func Map(file *os.File, size int) (data []byte, unmap func() error, err error) {
	mapping, err := windows.CreateFileMapping(windows.Handle(file.Fd()), nil, windows.PAGE_READONLY, 0, 0, nil)
	if err != nil {
		return nil, nil, err
	}
	defer windows.CloseHandle(mapping)
	address, err := windows.MapViewOfFile(mapping, windows.FILE_MAP_READ, 0, 0, uintptr(size))
	if err != nil {
		return nil, nil, err
	}
	// The address of a view is no Go pointer: go through its bits, which vet accepts.
	start := *(*unsafe.Pointer)(unsafe.Pointer(&address))
	return unsafe.Slice((*byte)(start), size), func() error { return windows.UnmapViewOfFile(address) }, nil
}

// Forget does nothing here: the system takes pages back when it needs them.
func Forget([]byte) {}
