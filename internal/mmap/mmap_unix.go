//go:build unix

package mmap

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Map maps the first size bytes of a file, read-only and shared with every
// other process that maps it.
func Map(file *os.File, size int) (data []byte, unmap func() error, err error) {
	data, err = unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// Forget takes the pages that lie wholly in a part of a mapped file out of the
// process's memory; they come back from the file when they are read.
func Forget(data []byte) {
	page := uintptr(os.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	skip := int(-start & (page - 1))
	if n := (len(data) - skip) &^ int(page-1); n > 0 {
		_ = unix.Madvise(data[skip:skip+n], unix.MADV_DONTNEED) // advice: nothing depends on it
	}
}
