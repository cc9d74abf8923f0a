//go:build unix

package loader

import (
	"fmt"
	"io/fs"
	"syscall"
)

// place says where a file is, whatever path leads to it.
func place(path string, info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d %d", s.Dev, s.Ino)
	}
	return path
}
