//go:build unix

package kernel

import (
	"os"
	"syscall"
	"testing"
)

// guarded returns n bytes that begin right after an unmapped page, or end
// right before one, so that a kernel that strays by one byte faults.
func guarded(t testing.TB, n int, atEnd bool) []byte {
	t.Helper()
	page := os.Getpagesize()
	inner := (n + page) / page * page
	m, err := syscall.Mmap(-1, 0, inner+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(m) })
	for _, guard := range [][]byte{m[:page], m[page+inner:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if atEnd {
		return m[page+inner-n : page+inner : page+inner]
	}
	return m[page : page+n : page+n]
}
