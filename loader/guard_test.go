//go:build unix

package loader

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGuard cuts a file short while it is mapped.
func TestGuard(t *testing.T) {
	path := filepath.Join(t.TempDir(), singleFile)
	const size = 1 << 20
	if err := os.WriteFile(path, file(header(tensor("a", "BF16", "[524288]", 0, size)), size), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := fromDir(filepath.Dir(path), "").Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	scan := func() error { FirstNonFinite(c.Weight("a")); return nil }
	if err := Guard(scan); err != nil {
		t.Fatalf("before: %v", err)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if err := Guard(scan); err == nil || !strings.Contains(err.Error(), "reading a weight failed") {
		t.Fatalf("after: %v", err)
	}
	want := errors.New("own error")
	if err := Guard(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
	defer func() {
		if recover() != "own panic" {
			t.Error("another panic did not pass through")
		}
	}()
	Guard(func() error { panic("own panic") })
}
