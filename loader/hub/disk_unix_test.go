//go:build unix

package hub

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

func TestCacheErrors(t *testing.T) {
	c := Cache{Dir: "/c"}
	for _, tt := range []struct {
		cause error
		want  string
	}{
		{syscall.ENOSPC, "the disk of /c is full; free some space"},
		{syscall.EDQUOT, "the disk of /c is full; free some space"},
		{syscall.EROFS, "set HF_HUB_CACHE to a folder that can"},
		{syscall.EACCES, "set HF_HUB_CACHE to a folder that can"},
		{syscall.EIO, "the model cache /c: "},
	} {
		err := c.cacheError(&fs.PathError{Op: "write", Path: "/c/x", Err: tt.cause})
		if !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.cause) {
			t.Errorf("%v: %v", tt.cause, err)
		}
	}
	if c.cacheError(nil) != nil {
		t.Error("no error became one")
	}
	if free, err := freeSpace(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("free space %d, %v", free, err)
	}
}
