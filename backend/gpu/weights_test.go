package gpu_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"emily/arch"
	"emily/backend"
	"emily/backend/gpu"
	"emily/internal/golden"
	"emily/internal/mmap"
	"emily/loader"
)

// ledger is a device that computes nothing and keeps account of its memory.
type ledger struct {
	counter
	t *testing.T

	mu      sync.Mutex
	last    uintptr
	live    map[uintptr]int // bytes by handle
	used    int
	limit   int // of what is used, or 0
	fail    int // the first allocation that fails, from 1 on, or 0
	allocs  int
	written int
	queued  bool // work may still read what was freed
	closed  bool
}

func newLedger(t *testing.T) *ledger {
	return &ledger{counter: counter{launches: map[string]int{}}, t: t, live: map[uintptr]int{}}
}

func (d *ledger) Alloc(bytes int) (gpu.Memory, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.allocs++
	if d.fail > 0 && d.allocs >= d.fail || d.limit > 0 && d.used+bytes > d.limit {
		return gpu.Memory{}, fmt.Errorf("the ledger has no %d bytes left", bytes)
	}
	d.last += 256
	d.live[d.last] = bytes
	d.used += bytes
	return gpu.Memory{Handle: d.last, Bytes: bytes}, nil
}

func (d *ledger) Free(m gpu.Memory) {
	d.mu.Lock()
	defer d.mu.Unlock()
	bytes, ok := d.live[m.Handle]
	if !ok || d.closed {
		d.t.Errorf("memory %d is freed, but it is not in use (the device is closed: %t)", m.Handle, d.closed)
	}
	delete(d.live, m.Handle)
	d.used -= bytes
	d.queued = true
}

func (d *ledger) Synchronize() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queued = false
	return nil
}

func (d *ledger) Write(_ gpu.Span, src []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written += len(src)
	return nil
}

func (d *ledger) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// memory returns the bytes in use and the pieces.
func (d *ledger) memory() (used, pieces int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used, len(d.live)
}

// check compares the bytes in use.
func (d *ledger) check(when string, want int) {
	d.t.Helper()
	if used, pieces := d.memory(); used != want {
		d.t.Errorf("%s: %d bytes in %d pieces are in use, want %d", when, used, pieces, want)
	}
}

// empty collects garbage until no memory is in use.
func (d *ledger) empty(when string) {
	d.t.Helper()
	for range 100 {
		runtime.GC()
		if _, pieces := d.memory(); pieces == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond) // cleanups run in a goroutine of their own
	}
	used, pieces := d.memory()
	d.t.Errorf("%s: %d bytes in %d pieces are still in use", when, used, pieces)
}

// sharing is a ledger whose device reads the host's memory, in pages as Metal's.
type sharing struct{ *ledger }

func (d sharing) Adopt(data []byte) (gpu.Span, bool) {
	if uintptr(unsafe.Pointer(unsafe.SliceData(data)))%16 != 0 {
		return gpu.Span{}, false
	}
	m, err := d.Alloc(0)
	return gpu.Span{Memory: m, Offset: 48, Bytes: len(data)}, err == nil
}

func open(t *testing.T, d gpu.Driver) *gpu.Backend {
	t.Helper()
	b, err := gpu.New(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const width = 64

func matrix(name string) *backend.Weight {
	return &backend.Weight{Name: name, DType: backend.F32, Shape: []int{width, width}, Data: make([]byte, 4*width*width)}
}

const matrixBytes = 4 * width * width

// products compiles a product of rows with each of some weights.
func products(b *gpu.Backend, rows int, opt backend.Options, weights ...*backend.Weight) (backend.Program, error) {
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, rows, width)
	for _, w := range weights {
		x = x.Linear(w, nil)
	}
	g.Output("y", x)
	return backend.Compile(b, g, opt)
}

func compiled(t *testing.T, b *gpu.Backend, rows int, opt backend.Options, weights ...*backend.Weight) backend.Program {
	t.Helper()
	p, err := products(b, rows, opt, weights...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// decode runs a model of the tiny ones for a prompt and a token, and closes it.
func decode(t *testing.T, b *gpu.Backend, name string, dtype backend.DType) error {
	folder, err := loader.Find(t.Context(), golden.Path("models", name), loader.Options{})
	if err != nil {
		return err
	}
	m, err := arch.Load(t.Context(), folder, arch.Options{Backend: b, DType: dtype, KV: dtype})
	if err != nil {
		return err
	}
	defer m.Close()
	seq, err := m.Model.(arch.Decoder).NewSequence()
	if err != nil {
		return err
	}
	defer seq.Close()
	for _, n := range []int{40, 1} {
		if _, _, err := seq.Extend(t.Context(), make([]int32, n), 1); err != nil {
			return err
		}
	}
	return nil
}

// TestWeightsGo loads a model and closes it: its memory goes with its weights,
// also that of weights rounded to bf16.
func TestWeightsGo(t *testing.T) {
	for _, dtype := range []backend.DType{backend.F32, backend.BF16} {
		d := newLedger(t)
		b := open(t, d)
		if err := decode(t, b, "tiny-qwen3", dtype); err != nil {
			t.Fatal(err)
		}
		if d.written < 100_000 {
			t.Errorf("only %d bytes were written", d.written)
		}
		d.empty("after the model was closed")
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWeightsStay compiles one program after the other for the same weights.
func TestWeightsStay(t *testing.T) {
	d := newLedger(t)
	b := open(t, d)
	w := matrix("w")
	for _, rows := range []int{1, 2, 1} {
		if err := compiled(t, b, rows, backend.Options{}, w).Close(); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
	}
	if err := b.Upload(w); err != nil {
		t.Fatal(err)
	}
	if d.written != matrixBytes {
		t.Errorf("%d bytes were written, want the weight's %d", d.written, matrixBytes)
	}
	d.check("after the programs", matrixBytes)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	d.check("after the backend was closed", 0)
	runtime.KeepAlive(w)
	w = nil
	runtime.GC() // Free reports what comes too late
	time.Sleep(20 * time.Millisecond)
}

// TestFailedCompile lets each allocation of a program fail.
func TestFailedCompile(t *testing.T) {
	for _, opt := range []backend.Options{{}, {DType: backend.BF16}} {
		weights := []*backend.Weight{matrix("a"), matrix("b"), matrix("c")}
		for fail := 1; ; fail++ {
			d := newLedger(t)
			b := open(t, d)
			shared := compiled(t, b, 1, backend.Options{}, weights[0])
			before, _ := d.memory()
			d.fail = d.allocs + fail
			p, err := products(b, 100, opt, weights...)
			if err == nil {
				if fail < 4 {
					t.Errorf("%v: only %d allocations could fail", opt.DType, fail-1)
				}
				p.Close()
				shared.Close()
				b.Close()
				break
			}
			if !strings.Contains(err.Error(), "bytes left") || fail == 2 && !strings.Contains(err.Error(), "weight ") {
				t.Errorf("%v", err)
			}
			d.check("after a failure", before)
			d.fail = 0
			if err := errorOf(products(b, 100, opt, weights...)); err != nil {
				t.Errorf("after a failure: %v", err)
			}
			shared.Close()
			b.Close()
		}
	}
}

func errorOf(_ backend.Program, err error) error { return err }

// TestFailedModel lets each allocation of a model's programs, sessions and
// states fail.
func TestFailedModel(t *testing.T) {
	d := newLedger(t)
	b := open(t, d)
	if err := decode(t, b, "tiny-qwen3", backend.F32); err != nil {
		t.Fatal(err)
	}
	all := d.allocs
	for fail := 1; fail <= all; fail += 5 {
		d.empty("before")
		d.allocs, d.fail = 0, fail
		if err := decode(t, b, "tiny-qwen3", backend.F32); err == nil || !strings.Contains(err.Error(), "bytes left") {
			t.Errorf("allocation %d fails: %v", fail, err)
		}
	}
	d.empty("after the last")
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestRoom allocates where only weights that no program uses leave no room.
func TestRoom(t *testing.T) {
	d := newLedger(t)
	b := open(t, d)
	defer b.Close()
	used, idle := matrix("used"), matrix("idle")
	p := compiled(t, b, 1, backend.Options{}, used)
	for _, c := range []struct {
		what string
		take func() (free func() error)
	}{
		{"another weight", func() func() error { return compiled(t, b, 1, backend.Options{}, matrix("other")).Close }},
		{"a state", func() func() error {
			st, err := b.NewState(&backend.StateSpec{Name: "s", DType: backend.F32, Shape: []int{width * width}})
			if err != nil {
				t.Fatal(err)
			}
			return st.Close
		}},
	} {
		d.limit = 0
		if err := b.Upload(idle); err != nil {
			t.Fatal(err)
		}
		d.limit, _ = d.memory()
		free := c.take()
		if used, _ := d.memory(); used > d.limit {
			t.Errorf("%s: %d bytes are in use", c.what, used)
		}
		free()
	}
	d.limit, _ = d.memory()
	if _, err := products(b, 1, backend.Options{}, matrix("x"), matrix("y"), matrix("z")); err == nil {
		t.Error("a program took the memory of another one's weights")
	}
	d.check("with one program left", matrixBytes)
	p.Close()
	runtime.KeepAlive([]*backend.Weight{used, idle})
}

// mapped returns weights of which each is a file of its own, n bytes after its beginning.
func mapped(t *testing.T, n int, names ...string) (weights []*backend.Weight) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, bytes.Repeat([]byte{1}, n+matrixBytes), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		data, unmap, err := mmap.Map(f, n+matrixBytes)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unmap() })
		w := matrix(name)
		w.Data, w.Forget = data[n:], func() {}
		weights = append(weights, w)
	}
	return weights
}

// TestBound binds weights to a device: they cost no memory and go with the last
// program, closed or dropped.
func TestBound(t *testing.T) {
	d := newLedger(t)
	b := open(t, sharing{d})
	w := append(mapped(t, 48, "a", "b"), mapped(t, 8, "unaligned")...)
	w = append(w, matrix("in Go's memory"))
	if err := b.Upload(w[0]); err != nil {
		t.Fatal(err)
	}
	if _, pieces := d.memory(); pieces != 0 {
		t.Error("a weight that no program uses stays bound")
	}
	p := compiled(t, b, 1, backend.Options{}, w[:2]...)
	d.check("two weights that are bound", 0)
	if _, pieces := d.memory(); pieces != 3 { // and the constants
		t.Errorf("%d pieces of memory, want 3", pieces)
	}
	q := compiled(t, b, 1, backend.Options{}, w[1])
	p.Close()
	if _, pieces := d.memory(); pieces != 2 {
		t.Errorf("%d pieces of memory after the first of two programs, want 2", pieces)
	}
	q.Close()
	if _, pieces := d.memory(); pieces != 0 {
		t.Errorf("%d pieces of memory after both programs, want none", pieces)
	}
	if d.queued {
		t.Error("the last program is closed, but the device may still read what was bound")
	}
	compiled(t, b, 2, backend.Options{}, w[0]) // dropped
	d.empty("after a program that was not closed")
	p = compiled(t, b, 1, backend.Options{}, w...)
	d.check("two weights that are copied", 2*matrixBytes)
	// The rounded copy of a bound weight stays as others do.
	q = compiled(t, b, 100, backend.Options{DType: backend.BF16}, w[2], w[0])
	q.Close()
	p.Close()
	d.check("after all programs", 2*matrixBytes+matrixBytes/2)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	d.check("at the end", 0)
	runtime.KeepAlive(w)
}
