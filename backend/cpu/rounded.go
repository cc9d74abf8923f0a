package cpu

import (
	"sync"
	"sync/atomic"
	"weak"

	"emily/backend"
)

// rounded is an f32 weight in bf16, packed in the panels of the tiles. It takes
// half of what is mapped, which is let go: a weight of many rows of activations
// would otherwise be read in f32, rounded and packed anew in every run. Each
// panel is made by the first worker that multiplies with it.
type rounded struct {
	data   []float32 // pairs: panels of [k/2, NR]
	panels []roundedPanel
	left   atomic.Int64 // panels to make
	forget func()       // of the weight, may be nil
}

type roundedPanel struct {
	mu   sync.Mutex
	made atomic.Bool
}

// rounded returns the rounded form of the product's right operand, nil where
// that is not an f32 weight for tiles of pairs. Programs share it, and it goes
// with the last of them.
func (b *Backend) rounded(p *product, t *backend.Tensor) *rounded {
	if t.Op() != backend.OpWeight || t.DType() != backend.F32 || !p.packed() || !p.pairs() {
		return nil
	}
	w := t.Attrs().Weight
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.of(w)
	if r := d.rounded.Value(); r != nil {
		return r
	}
	n := (p.n + p.set.NR - 1) / p.set.NR
	r := &rounded{data: make([]float32, n*p.set.NR*p.k/2), panels: make([]roundedPanel, n), forget: w.Forget}
	r.left.Store(int64(n))
	d.rounded = weak.Make(r)
	return r
}

// panel returns panel i. pack, which makes it, may fault: then it is made another time.
func (r *rounded) panel(i int, pack func(dst []float32)) []float32 {
	size := len(r.data) / len(r.panels)
	data, p := r.data[i*size:(i+1)*size], &r.panels[i]
	if p.made.Load() {
		return data
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.made.Load() {
		pack(data)
		p.made.Store(true)
		if r.left.Add(-1) == 0 && r.forget != nil {
			r.forget()
		}
	}
	return data
}
