//go:build linux || darwin

package compact

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that may be written to a folder's disk.
func freeSpace(dir string) (bytes int64, known bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
