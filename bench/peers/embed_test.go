package peers

import (
	"os"
	"path/filepath"
	"testing"
)

func TestEveryLaneHasAScript(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "scripts")
	for range 2 { // once more over the files that are there
		if err := Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	for lane := range scripts {
		command := Command("python", dir, lane)
		if _, err := os.Stat(command[2]); err != nil {
			t.Errorf("%s: %v", lane, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "setup"))
	if err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("setup cannot be run: %v, %v", info, err)
	}
}

func TestPython(t *testing.T) {
	t.Setenv("EMILY_BENCH_PEERS", "")
	dir := t.TempDir()
	if got := Python(dir); got != "" {
		t.Errorf("an empty folder has %q", got)
	}
	python := filepath.Join(dir, "bin", "python")
	if err := os.MkdirAll(filepath.Dir(python), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(python, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := Python(dir); got != python {
		t.Errorf("found %q, want %q", got, python)
	}
	t.Setenv("EMILY_BENCH_PEERS", t.TempDir())
	if got := Python(dir); got != "" {
		t.Errorf("EMILY_BENCH_PEERS is not heeded: %q", got)
	}
}
