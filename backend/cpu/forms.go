package cpu

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"emily/backend"
	"emily/backend/cpu/compact"
	"emily/backend/cpu/kernel"
)

// Packing says where compact forms of bf16 weights are kept. Forms that are
// there are used from the start; those that lack are made by workers of their
// own while a program that decodes is running.
type Packing struct {
	// Dir is the folder; it need not exist.
	Dir string
	// MinBytes is how many bytes of bf16 weights a program must read for packing
	// to pay: fewer stay in the processor's cache.
	MinBytes int64
	// After is the number of runs of decoding programs before forms are made, so
	// that one short answer does not pay for them.
	After int
	// Anyway packs with kernels, too, that do not read compact weights faster.
	Anyway bool
	// Notice, if not nil, is told in one line what was made, or why it was not. It is
	// called from other goroutines.
	Notice func(string)
}

// forms are the compact forms of a backend's weights. Nil forms keep none.
type forms struct {
	Packing
	store *compact.Store

	mu    sync.Mutex
	known map[*backend.Weight]*form

	runs   atomic.Int64
	making atomic.Bool // by one session at a time
	failed atomic.Bool // after a failure, such as a full disk
	sum    made
}

// form is one weight with what there is of it. All of it gives the same
// results, so that it may come while products run.
type form struct {
	matrix compact.Matrix
	forget func() // or nil
	exact  atomic.Pointer[kernel.Compact]
	screen atomic.Pointer[compact.Screened]
	// Whether exact and screen were looked for, and whether they cannot be made.
	tried, refused [2]atomic.Bool
}

// demand is a form that a program can use.
type demand struct {
	*form
	kind compact.Kind
}

func newForms(p *Packing, set *kernel.Set) *forms {
	if p == nil || !p.Anyway && !set.CompactPays() {
		return nil
	}
	return &forms{Packing: *p, store: compact.NewStore(p.Dir), known: map[*backend.Weight]*form{}}
}

func (f *forms) close() error {
	if f == nil {
		return nil
	}
	return f.store.Close()
}

// compact returns the exact form, or nil if there is none yet.
func (f *form) compact() *kernel.Compact {
	if f == nil {
		return nil
	}
	return f.exact.Load()
}

// screened returns the screen, or nil if there is none yet.
func (f *form) screened() *compact.Screened {
	if f == nil {
		return nil
	}
	return f.screen.Load()
}

// form returns the form of an operand that is a weight which a program wants compact, else nil.
func (b *binder) form(t *backend.Tensor) *form {
	f := b.backend.forms
	if f == nil || t.Op() != backend.OpWeight {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[t.Attrs().Weight]
}

// prepare finds what a plan's products can use of compact forms and opens those
// that are in the store. It returns nothing if the weights are too small.
func (f *forms) prepare(p *backend.Plan) []demand {
	if f == nil {
		return nil
	}
	wanted := map[*backend.Weight]compact.Kind{}
	var total int64
	for _, st := range p.Steps {
		for _, t := range st.Node.Args() {
			kind := formOf(st.Node, t)
			if kind == 0 {
				continue
			}
			w := t.Attrs().Weight
			if _, twice := wanted[w]; !twice {
				total += int64(len(w.Data))
			}
			wanted[w] = max(wanted[w], kind)
		}
	}
	if total < f.MinBytes {
		return nil
	}
	var list []demand
	f.mu.Lock()
	for w, kind := range wanted {
		if f.known[w] == nil {
			f.known[w] = &form{
				matrix: compact.Matrix{Source: w.Source, Name: w.Name, N: w.Shape[0], K: w.Shape[1], Data: w.Data},
				forget: w.Forget,
			}
		}
		list = append(list, demand{f.known[w], kind})
	}
	f.mu.Unlock()
	var wg sync.WaitGroup
	turns := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, d := range list {
		if d.tried[d.kind-1].Swap(true) {
			continue
		}
		turns <- struct{}{}
		wg.Go(func() {
			// What cannot be opened is not there, or damaged: it is made anew.
			_ = d.open(f.store)
			<-turns
		})
	}
	wg.Wait()
	return list
}

// formOf returns the form in which a node can read an operand, 0 for none.
func formOf(n, t *backend.Tensor) compact.Kind {
	if t.Op() != backend.OpWeight || t.Rank() != 2 || t.DType() != backend.BF16 || t.Attrs().Weight.Source == "" || t.Elements() == 0 {
		return 0
	}
	a := n.Attrs()
	switch n.Op() {
	case backend.OpLinearTopK:
		if l := a.Linear(n.Args()); screenable(l) && t == l.Weights[0] {
			return compact.Screen
		}
		return compact.Exact
	case backend.OpLinear, backend.OpLinearGroup, backend.OpGatedLinear:
		return compact.Exact
	case backend.OpMatMul:
		if a.Transposed && t == n.Args()[1] {
			return compact.Exact
		}
	}
	return 0
}

// screenable reports whether the best of a product are found by a screen.
func screenable(l backend.LinearArgs) bool { return l.X.Dim(0) == 1 && len(l.Biases) == 0 }

// open maps the form from the store.
func (d demand) open(s *compact.Store) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	if d.kind == compact.Screen {
		w, err := s.OpenScreen(d.matrix)
		if err == nil {
			d.screen.Store(w)
		}
		return err
	}
	w, err := s.OpenExact(d.matrix)
	if err == nil {
		d.exact.Store(w)
	}
	return err
}

// missing reports whether the form is not there but can be made.
func (d demand) missing() bool {
	if d.refused[d.kind-1].Load() {
		return false
	}
	if d.kind == compact.Screen {
		return d.screen.Load() == nil
	}
	return d.exact.Load() == nil
}
