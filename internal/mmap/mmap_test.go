package mmap

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := bytes.Repeat([]byte("0123456789"), 5000)
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, unmap, err := Map(file, len(want))
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	for _, part := range [][2]int{{0, 0}, {0, 10}, {3, 9000}, {0, len(want)}, {len(want) - 1, len(want)}} {
		Forget(data[part[0]:part[1]])
		if !bytes.Equal(data, want) {
			t.Fatalf("after Forget of %v the content is another", part)
		}
	}
	if err := unmap(); err != nil {
		t.Fatal(err)
	}
}
