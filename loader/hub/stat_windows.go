package hub

import (
	"io/fs"
	"syscall"
	"time"
)

func onDisk(info fs.FileInfo) int64 { return info.Size() }

// lastUsed returns when a file was last read.
func lastUsed(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		return time.Unix(0, s.LastAccessTime.Nanoseconds())
	}
	return info.ModTime()
}
