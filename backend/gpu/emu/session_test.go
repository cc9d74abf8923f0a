//go:build unix

package emu_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"emily/backend"
)

// doubled compiles y = 2x for a weightless graph of n elements.
func doubled(t *testing.T, b backend.Backend, n int, lane backend.Lane) backend.Program {
	t.Helper()
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, n)
	g.Output("y", x.Add(x))
	p, err := backend.Compile(b, g, backend.Options{Lane: lane})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestConcurrentSessions runs sessions of shared programs at once.
func TestConcurrentSessions(t *testing.T) {
	b := open(t)
	var all sync.WaitGroup
	for _, lane := range []backend.Lane{backend.Fuse, backend.Eager} {
		p := doubled(t, b, 1000, lane)
		for worker := range 3 {
			s, err := p.Bind()
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				defer s.Close()
				x, y := make([]float32, 1000), make([]float32, 1000)
				for round := range 20 {
					for i := range x {
						x[i] = float32(i + 1000*worker + round)
					}
					if err := s.Run(t.Context(), []backend.Buffer{backend.BufferOf(x)}, []backend.Buffer{backend.BufferOf(y)}); err != nil {
						t.Error(err)
						return
					}
					for i := range y {
						if y[i] != 2*x[i] {
							t.Errorf("%s: element %d is %v, want %v", lane, i, y[i], 2*x[i])
							return
						}
					}
				}
			})
		}
	}
	all.Wait()
}

// TestSessionOutlivesProgram closes a program while its session closes too, as a model
// and a text of it may at once.
func TestSessionOutlivesProgram(t *testing.T) {
	p := doubled(t, open(t), 3, backend.Fuse)
	s, err := p.Bind()
	if err != nil {
		t.Fatal(err)
	}
	in, out := []backend.Buffer{make([]byte, 12)}, []backend.Buffer{make([]byte, 12)}
	if err := s.Run(t.Context(), in, out); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for _, c := range []interface{ Close() error }{p, s} {
		both.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
}

// TestWrongCalls gives a session what it must refuse.
func TestWrongCalls(t *testing.T) {
	p := doubled(t, open(t), 3, backend.Fuse)
	s, err := p.Bind()
	if err != nil {
		t.Fatal(err)
	}
	in, out := []backend.Buffer{make([]byte, 12)}, []backend.Buffer{make([]byte, 12)}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx     context.Context
		in, out []backend.Buffer
		want    string
	}{
		{t.Context(), nil, out, "1 inputs and 1 outputs"},
		{t.Context(), []backend.Buffer{make([]byte, 11)}, out, "input x: 11 bytes"},
		{t.Context(), in, []backend.Buffer{make([]byte, 13)}, "output y: 13 bytes"},
		{cancelled, in, out, "canceled"},
	} {
		if err := s.Run(c.ctx, c.in, c.out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	s.Close()
	if err := s.Run(t.Context(), in, out); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed session: %v", err)
	}
}

// TestTruncatedFile uploads a weight whose mapped file has become shorter.
func TestTruncatedFile(t *testing.T) {
	b := open(t)
	const size = 1 << 20
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(data)
	if err := os.Truncate(path, size/2); err != nil {
		t.Fatal(err)
	}
	err = b.Upload(&backend.Weight{Name: "w", DType: backend.F32, Shape: []int{size / 4}, Data: data})
	if err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("%v, want what happened to the file", err)
	}
	if err := b.Upload(&backend.Weight{Name: "v", DType: backend.F32, Shape: []int{size / 8}, Data: data[:size/2]}); err != nil {
		t.Error(err)
	}
}
