package loader

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Guard runs f and turns a memory fault in it into an error. A mapped file
// faults where it is read if it was cut short or if the disk fails. Guard
// covers the calling goroutine alone: workers need their own. Other panics
// pass through.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case interface { // a runtime.Error of a memory fault has its address
			runtime.Error
			Addr() uintptr
		}:
			err = fmt.Errorf("reading a weight failed at address %#x: its file was changed while it was in use, or the disk failed: %w", fault.Addr(), fault)
		default:
			panic(fault)
		}
	}()
	return f()
}
