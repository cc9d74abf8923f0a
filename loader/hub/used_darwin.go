package hub

import (
	"io/fs"
	"syscall"
	"time"
)

// lastUsed returns when a file was last read.
func lastUsed(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Atimespec.Unix())
	}
	return info.ModTime()
}
