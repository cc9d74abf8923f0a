//go:build !linux

package bench

import "errors"

// Memory returns the bytes of main memory and what programs may still take of it.
func Memory() (total, free int64, err error) {
	return 0, 0, errors.New("the size of memory is read on Linux only")
}

// peakRSS is not known here.
func peakRSS(int) int64 { return 0 }
