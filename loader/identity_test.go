package loader

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	of := func(path string) string {
		t.Helper()
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		return identity(file, path)
	}

	plain := write("model.safetensors", "header and data")
	first := of(plain)
	if !blobName.MatchString(first) || of(plain) != first {
		t.Errorf("a file has the identities %q and %q", first, of(plain))
	}
	if other := of(write("other.safetensors", "header and data")); other == first {
		t.Error("a copy has the same identity")
	}
	link := filepath.Join(dir, "link.safetensors")
	if err := os.Symlink(plain, link); err == nil && of(link) != first {
		t.Error("a link has another identity than its file")
	}
	changed := time.Now().Add(-time.Hour)
	if err := os.Chtimes(plain, changed, changed); err != nil {
		t.Fatal(err)
	}
	if of(plain) == first {
		t.Error("a file that was touched has the same identity")
	}
	hash := strings.Repeat("0f", 32)
	if got := of(write("blobs/"+hash, "x")); got != hash {
		t.Errorf("a blob has the identity %q", got)
	}

	memory, err := fstest.MapFS{"a": {Data: []byte("x")}}.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if got := identity(memory, ""); got != "" {
		t.Errorf("a file in memory has the identity %q", got)
	}
}
