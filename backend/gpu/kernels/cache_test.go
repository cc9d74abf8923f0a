package kernels

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBuilt: a file is built once, and again where it was damaged or cannot be kept.
func TestBuilt(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("HOME", home)
	dir, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	builds, full := 0, false
	var used string
	request := func() {
		t.Helper()
		used = ""
		err := Built("key", ".lib", func(path string) error {
			if full && strings.HasPrefix(path, home) {
				return errors.New("no space left on device")
			}
			builds++
			return os.WriteFile(path, []byte("compiled"), 0o600)
		}, func(path string) error {
			content, err := os.ReadFile(path)
			used = string(content)
			return err
		})
		if err != nil || used != "compiled" {
			t.Errorf("%q is used: %v", used, err)
		}
	}
	files := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for i, step := range []struct {
		name   string
		before func()
		builds int
	}{
		{"nothing is there", func() {}, 1},
		{"it is there", func() {}, 1},
		{"it is damaged", func() { os.WriteFile(files()[0], []byte("compile"), 0o600) }, 2},
		{"a killed process left files", func() {
			os.Remove(files()[0])
			left := filepath.Join(dir, "building-1.lib.o")
			os.WriteFile(left, nil, 0o600)
			old := time.Now().Add(-2 * time.Hour)
			os.Chtimes(left, old, old)
		}, 3},
		{"the disk is full", func() { os.Remove(files()[0]); full = true }, 4},
		{"and still is", func() {}, 5},
	} {
		step.before()
		request()
		want := 1
		if full {
			want = 0
		}
		if n := len(files()); builds != step.builds || n != want {
			t.Errorf("%d, %s: built %d times, want %d; %d files, want %d", i, step.name, builds, step.builds, n, want)
		}
	}
}
