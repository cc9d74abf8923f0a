package cpu

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emily/backend"
)

func newRounded(panels, size int, forget func()) *rounded {
	r := &rounded{data: make([]float32, panels*size), panels: make([]roundedPanel, panels), forget: forget}
	r.left.Store(int64(panels))
	return r
}

// TestRoundedPanels makes each panel once, whoever asks first, and lets go of
// the weight after the last.
func TestRoundedPanels(t *testing.T) {
	const panels, size = 7, 3
	var made, forgotten atomic.Int64
	r := newRounded(panels, size, func() {
		if made.Load() != panels {
			t.Errorf("the weight was let go after %d panels", made.Load())
		}
		forgotten.Add(1)
	})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range panels {
				got := r.panel(i, func(dst []float32) {
					made.Add(1)
					for k := range dst {
						dst[k] = float32(i)
					}
				})
				if len(got) != size || slices.ContainsFunc(got, func(v float32) bool { return v != float32(i) }) {
					t.Errorf("panel %d is %v", i, got)
				}
			}
		})
	}
	workers.Wait()
	if made.Load() != panels || forgotten.Load() != 1 {
		t.Errorf("%d panels made, let go %d times, want %d and 1", made.Load(), forgotten.Load(), panels)
	}
}

// TestRoundedFault makes a panel anew after the weight could not be read.
func TestRoundedFault(t *testing.T) {
	r := newRounded(1, 1, nil)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the fault is lost")
			}
		}()
		r.panel(0, func([]float32) { panic("a fault") })
	}()
	if got := r.panel(0, func(dst []float32) { dst[0] = 5 }); got[0] != 5 {
		t.Errorf("after a fault the panel is %v, want [5]", got)
	}
}

// TestRoundedShared gives programs one rounded form, for f32 weights of many
// rows only, and frees it with the last program.
func TestRoundedShared(t *testing.T) {
	be, err := New(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	if !be.set.DotBF16 {
		t.Skip("this processor has no dot products of bf16")
	}
	const n, k = 40, 64
	program := func(rows int, w *backend.Weight, dtype backend.DType) backend.Program {
		g := backend.NewGraph()
		g.Output("y", g.Input("x", backend.F32, rows, k).Linear(w, nil))
		p, err := backend.Compile(be, g, backend.Options{DType: dtype})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	weight := func(d backend.DType) *backend.Weight {
		w := &backend.Weight{DType: d, Shape: []int{n, k}, Data: make([]byte, n*k*d.Size())}
		for i := range w.Data {
			w.Data[i] = byte(rand.Uint32() & 0x3f)
		}
		return w
	}
	forms := func() (n int) {
		for _, d := range be.derived {
			if d.rounded.Value() != nil {
				n++
			}
		}
		return n
	}
	w := weight(backend.F32)
	for _, p := range []backend.Program{program(maxGemv, w, backend.BF16), program(40, w, backend.F32), program(40, weight(backend.BF16), backend.BF16)} {
		if forms() != 0 {
			t.Errorf("%s is rounded", p.Plan().Graph)
		}
	}
	one, two := program(40, w, backend.BF16), program(100, w, backend.BF16)
	r := be.of(w).rounded.Value()
	if forms() != 1 || r == nil || len(r.data) != (n+be.set.NR-1)/be.set.NR*be.set.NR*k/2 {
		t.Fatalf("two programs hold %d rounded forms, want one", forms())
	}
	runtime.KeepAlive(one)
	runtime.KeepAlive(two)
	one, two, r = nil, nil, nil
	for range 10 {
		runtime.GC()
	}
	if be.of(w).rounded.Value() != nil {
		t.Error("the rounded form outlives its programs")
	}
	runtime.KeepAlive(w)
	w = nil
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		be.mu.Lock()
		left := len(be.derived)
		be.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d weights are remembered after they are gone", left)
		}
	}
}
