//go:build !unix && !windows

package mmap

import "os"

// Map reads the first size bytes of a file where files cannot be mapped.
func Map(file *os.File, size int) (data []byte, unmap func() error, err error) {
	data = make([]byte, size)
	if _, err := file.ReadAt(data, 0); err != nil {
		return nil, nil, err
	}
	return data, func() error { return nil }, nil
}

// Forget does nothing here: the system takes pages back when it needs them.
func Forget([]byte) {}
