package emu_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/gpu"
	"emily/backend/gpu/emu"
	"emily/backend/gpu/kernels"
)

// mistaken are kernels with the mistakes that the emulator finds.
const mistaken = `
KERNEL(outside, RowArgs, BUF(0, float, x)) {
  const Thread t = THREAD;
  x[t.index] = 1;
}
KERNEL(divergent, RowArgs, BUF(0, float, x)) {
  const Thread t = THREAD;
  if (t.index != 3) barrier();
  x[t.index] = 1;
}
KERNEL(race, RowArgs, BUF(0, float, x)) {
  const Thread t = THREAD;
  SHARED(float, shared, 64);
  shared[t.index] = float(t.index);
  x[t.index] = shared[t.count - 1 - t.index]; // without a barrier
}
`

// launch runs one block of 32 threads over n floats.
func launch(t *testing.T, d gpu.Driver, k gpu.Kernel, n int) ([]float32, error) {
	t.Helper()
	span := spanOf(t, d, 4*n)
	x := make([]float32, n)
	err := d.Launch(&gpu.Launch{Kernel: k, Grid: [3]int{1, 1, 1}, Threads: 32, Shared: 128, Spans: []gpu.Span{span}, Args: make([]byte, 8)})
	if err := d.Read(backend.BufferOf(x), span); err != nil {
		t.Fatal(err)
	}
	return x, err
}

func TestMistakes(t *testing.T) {
	d := open(t).Driver()
	compiled, err := d.Compile(kernels.Source("host", kernels.Plain)+mistaken, []string{"outside", "divergent", "race"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := launch(t, d, compiled[0], 32); err != nil {
		t.Error(err)
	}
	if _, err := launch(t, d, compiled[0], 31); err == nil || !strings.Contains(err.Error(), "thread 31: outside of a buffer (index 31 of 31)") {
		t.Errorf("a write past the end: %v", err)
	}
	if _, err := launch(t, d, compiled[1], 32); err == nil || !strings.Contains(err.Error(), "do not reach this barrier") {
		t.Errorf("a barrier in a branch: %v", err)
	}
	one, _ := launch(t, d, compiled[2], 32)
	if err := d.Synchronize(); err != nil {
		t.Fatal(err)
	}
	other, _ := launch(t, d, compiled[2], 32)
	same := true
	for i := range one {
		same = same && one[i] == other[i]
	}
	if same {
		t.Error("a missing barrier makes no difference between the orders of threads")
	}
}

func TestSourceError(t *testing.T) {
	_, err := open(t).Driver().Compile("#line 7 \"broken.cu\"\nint f( {", nil)
	if err == nil || !strings.Contains(err.Error(), "broken.cu:7") {
		t.Errorf("%v, want the place of the mistake", err)
	}
}

// TestCache cuts a built library short, which the system's loader does not survive; it is built again.
func TestCache(t *testing.T) {
	open(t) // skips without a compiler
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("HOME", home)
	start := func() {
		b, err := emu.New()
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
	}
	start()
	libraries := func() (built []string) {
		err := filepath.WalkDir(home, func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				built = append(built, path)
			}
			return err
		})
		if err != nil || len(built) != int(kernels.Parts) {
			t.Fatalf("%d files in the cache, want a library for each part: %v", len(built), err)
		}
		return built
	}
	built := libraries()
	library, err := os.ReadFile(built[0])
	if err != nil {
		t.Fatal(err)
	}
	// A new file: the library of this process must stay as it is.
	if err := os.Remove(built[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(built[0], library[:20000], 0o600); err != nil {
		t.Fatal(err)
	}
	start()
	for _, path := range libraries() {
		if info, err := os.Stat(path); err != nil || info.Size() <= 20000 {
			t.Errorf("the damaged library was left: %v, %v", info, err)
		}
	}
}

func TestNoCompiler(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CXX", "")
	if _, err := emu.New(); err == nil || !strings.Contains(err.Error(), "C++ compiler") {
		t.Errorf("%v, want what is missing", err)
	}
}
