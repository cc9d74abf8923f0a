//go:build !linux

package main

import "errors"

func systemMemory() (total, free int64, err error) {
	return 0, 0, errors.New("the size of memory is read on Linux only")
}
