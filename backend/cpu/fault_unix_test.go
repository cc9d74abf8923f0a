//go:build unix

package cpu_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
)

// mapped returns a weight whose data is a mapped file, and a function that
// truncates the file behind it.
func mapped(t *testing.T, dtype backend.DType, shape ...int) (*backend.Weight, func()) {
	t.Helper()
	n := dtype.Size()
	for _, d := range shape {
		n *= d
	}
	name := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(name, make([]byte, n), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(data) })
	return &backend.Weight{Name: "w", DType: dtype, Shape: shape, Data: data}, func() {
		if err := os.Truncate(name, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTruncatedFile: a checkpoint that shrinks while it is mapped is an error
// of the run, and the backend goes on with other weights.
func TestTruncatedFile(t *testing.T) {
	for _, threads := range []int{1, 3} {
		for _, rows := range []int{1, 40} {
			be := open(t, cpu.Options{Threads: threads})
			w, truncate := mapped(t, backend.BF16, 2000, 64)
			g := backend.NewGraph()
			g.Output("y", g.Input("x", backend.F32, rows, 64).Linear(w, nil))
			sess, err := compile(t, be, g, backend.Options{}).Bind()
			if err != nil {
				t.Fatal(err)
			}
			in := []backend.Buffer{backend.BufferOf(make([]float32, rows*64))}
			out := []backend.Buffer{backend.BufferOf(make([]float32, rows*2000))}
			if err := sess.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			truncate()
			for range 3 {
				err := sess.Run(context.Background(), in, out)
				if err == nil || !strings.Contains(err.Error(), "truncated") {
					t.Fatalf("%d threads, %d rows: error is %v", threads, rows, err)
				}
			}
			d := newDecoder(2)
			if err := d.bind(t, be, compile(t, be, d.graph, backend.Options{})).run(context.Background()); err != nil {
				t.Errorf("after a fault: %v", err)
			}
		}
	}
}

// TestTruncatedBeforeCompile: compiling reads norm weights and biases.
func TestTruncatedBeforeCompile(t *testing.T) {
	be := open(t, cpu.Options{Threads: 1})
	w, truncate := mapped(t, backend.BF16, 4096)
	truncate()
	g := backend.NewGraph()
	g.Output("y", g.Input("x", backend.F32, 1, 4096).RMSNorm(w, 1e-6))
	prog, err := backend.Compile(be, g, backend.Options{})
	if err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("error is %v", err)
	}
	if prog != nil {
		t.Errorf("program is %v", prog)
	}
	d := newDecoder(2)
	compile(t, be, d.graph, backend.Options{})
}
