// Package leftover removes what processes left that were killed while they wrote.
package leftover

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Remove deletes the files of a folder whose names have a prefix, if nothing
// was written to them for an hour: younger ones may be in use.
func Remove(dir, prefix string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), prefix) && time.Since(info.ModTime()) > time.Hour {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
