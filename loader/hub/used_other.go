//go:build !linux && !darwin && !windows

package hub

import (
	"io/fs"
	"time"
)

// lastUsed returns when a file was written; here it is not known when it was read.
func lastUsed(info fs.FileInfo) time.Time { return info.ModTime() }
