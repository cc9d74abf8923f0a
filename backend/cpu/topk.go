package cpu

import (
	"emily/backend"
)

// best keeps the k largest numbers of a row, largest first and of equals the
// first index. A NaN is larger than any number.
type best struct {
	ids    []int32
	values []float32
	n      int
}

func above(a, b float32) bool { return a > b || (a != a && b == b) }

// scan adds x[i], whose index in the row is first+i.
func (t *best) scan(x []float32, first int) {
	for i, v := range x {
		if t.n == len(t.values) && !above(v, t.values[t.n-1]) {
			continue
		}
		t.insert(v, int32(first+i))
	}
}

func (t *best) insert(v float32, id int32) {
	at := t.n
	if t.n < len(t.values) {
		t.n++
	} else {
		at--
	}
	for at > 0 && above(v, t.values[at-1]) {
		t.values[at], t.ids[at] = t.values[at-1], t.ids[at-1]
		at--
	}
	t.values[at], t.ids[at] = v, id
}

func bindTopK(b *binder, n *backend.Tensor) bool {
	k := n.Attrs().K
	m, width := n.Args()[0].Dim(0), n.Args()[0].Dim(1)
	x, ids, values := b.arg(0), b.out(0), b.out(1)
	b.ranges(m, width, func(f *frame, _ *worker, from, to int) {
		for i := from; i < to; i++ {
			t := best{ids: f.i32(ids)[i*k : (i+1)*k], values: f.f32(values)[i*k : (i+1)*k]}
			b.topK(&t, f.f32(x)[i*width:(i+1)*width], 0)
		}
	})
	return true
}

// topK fills t from one row or piece of a row.
func (b *binder) topK(t *best, x []float32, first int) {
	if len(t.values) > 1 {
		t.scan(x, first)
		return
	}
	if i := b.set.ArgMax(x); i >= 0 && (t.n == 0 || above(x[i], t.values[0])) {
		t.n, t.values[0], t.ids[0] = 1, x[i], int32(first+i)
	}
}

// bindLinearTopK scores columns chunk by chunk and keeps the best of each
// chunk, so that the logits are never stored. Where the weight has a screen,
// most columns are only bounded: see screen.go.
func bindLinearTopK(b *binder, n *backend.Tensor) bool {
	a := n.Attrs()
	l := a.Linear(n.Args())
	m, k, top := l.X.Dim(0), l.X.Dim(1), a.K
	p := b.product(m, l.Weights[0].Dim(0), k, l.Weights[0], false)
	var bias []float32
	if len(l.Biases) > 0 {
		bias = b.vector(l.Biases[0])
	}
	chunk := p.chunk()
	if b.threads == 1 && !p.packed() {
		chunk = min(chunk, 1024)
	}
	chunks := (p.n + chunk - 1) / chunk
	x, w, ids, values := b.arg(0), b.raw(1), b.out(0), b.out(1)
	if m == 0 {
		return true
	}
	input := b.prepare(p, x, b.prologue(a, l.Norm))
	packed := b.phaseScratch(p) // after the rows of x
	candidates := chunks * m * top
	b.share(packed + 2*candidates)
	area := func(f *frame, c, i int) best {
		at := (c*m + i) * top
		bits := floatsAsInts(f.shared[packed : packed+candidates])
		return best{ids: bits[at : at+top], values: f.shared[packed+candidates:][at : at+top]}
	}
	score := func(f *frame, wk *worker, c int) {
		j0, j1 := c*chunk, min((c+1)*chunk, p.n)
		width := j1 - j0
		plain, packed := input(f)
		logits := wk.second(m * width)
		p.columns(wk, logits, width, plain, packed, f.bytes(w), j0, width)
		for i := range m {
			row := logits[i*width : (i+1)*width]
			if bias != nil {
				b.set.Add(row, row, bias[j0:j1])
			}
			t := area(f, c, i)
			b.topK(&t, row, j0)
			t.end()
		}
	}
	if p.form != nil && screenable(l) {
		b.screen(&screening{
			product: p, top: top, chunk: chunk, chunks: chunks, w: w, score: score,
			x:    func(f *frame) []float32 { plain, _ := input(f); return plain },
			area: func(f *frame, c int) best { return area(f, c, 0) },
		}, packed+2*candidates)
	} else {
		b.phase(chunks, score)
	}
	b.phase(1, func(f *frame, _ *worker, _ int) {
		for i := range m {
			t := best{ids: f.i32(ids)[i*top : (i+1)*top], values: f.f32(values)[i*top : (i+1)*top]}
			for c := range chunks {
				t.merge(area(f, c, i))
			}
		}
	})
	return true
}

// end marks the places that were not filled.
func (t *best) end() {
	for i := t.n; i < len(t.ids); i++ {
		t.ids[i] = -1
	}
}

// merge adds the best of a later piece of the row, up to its end.
func (t *best) merge(part best) {
	for r, id := range part.ids {
		if id < 0 {
			return
		}
		if t.n < len(t.values) || above(part.values[r], t.values[t.n-1]) {
			t.insert(part.values[r], id)
		}
	}
}

// phaseScratch is the shared scratch that prepare uses for p.
func (b *binder) phaseScratch(p *product) int {
	if p.packed() {
		return p.packElements()
	}
	return p.m * p.k
}
