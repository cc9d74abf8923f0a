//go:build unix

package hub

import (
	"io/fs"
	"syscall"
)

// onDisk returns what a file takes on the disk; one that is being transferred
// has holes.
func onDisk(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(int64(s.Blocks)*512, info.Size())
	}
	return info.Size()
}
