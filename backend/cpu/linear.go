package cpu

import (
	"emily/backend"
	"emily/backend/cpu/kernel"
)

// maxGemv is the number of rows that share one pass over a weight; more rows
// use packed tiles.
const maxGemv = 16

// product is x[m,k]·w[n,k]ᵀ for one stored matrix, or x[m,k]·w[k,n] for a plain
// one, computed by blocks of columns.
type product struct {
	set     *kernel.Set
	stored  *kernel.Stored
	form    *form // of a weight that is kept compact, else nil
	m, n, k int
	size    int      // bytes of an element of w
	plain   bool     // w is [k,n]
	bf16    bool     // x may be rounded to bf16
	rounded *rounded // of w, or nil
	threads int
}

// product is of m rows with w, which gives n columns.
func (b *binder) product(m, n, k int, w *backend.Tensor, plain bool) *product {
	form := b.form(w)
	b.decodes = b.decodes || form != nil && m <= maxGemv
	p := &product{
		set: b.set, stored: b.backend.stored(w.DType()), form: form,
		m: m, n: n, k: k, size: w.DType().Size(), plain: plain, threads: b.threads,
		bf16: b.dots(),
	}
	p.rounded = b.backend.rounded(p, w)
	return p
}

// dots reports whether tiles multiply in bf16.
func (b *binder) dots() bool { return b.plan.Options.DType == backend.BF16 && b.set.DotBF16 }

// chunk is the number of columns that a worker computes at a time: small
// enough to share evenly and to stop within a millisecond, large enough to
// outweigh the claim.
func (p *product) chunk() int {
	const (
		gemvBytes = 128 << 10 // of weights: 5 to 10 us
		gemmNR    = 4         // column panels: so many use the rows that are in L2
	)
	if p.threads == 1 && p.m <= maxGemv {
		return max(p.n, 1)
	}
	if p.m <= maxGemv {
		c := max(8, gemvBytes/max(1, p.k*p.size))
		c = min(c, max(8, (p.n+4*p.threads-1)/(4*p.threads)))
		return (c + 7) / 8 * 8
	}
	panels := (p.n + p.set.NR - 1) / p.set.NR
	return p.set.NR * max(1, min(gemmNR, panels/(2*p.threads)))
}

// packed reports whether the product runs on tiles. The tiles of a plain right
// operand are packed from f32 only.
func (p *product) packed() bool { return p.m > maxGemv && !(p.plain && p.size != 4) }

// pairs reports whether tiles are multiplied in bf16. Weights of other dtypes are
// rounded to it then.
func (p *product) pairs() bool { return p.bf16 && !p.plain && p.k%2 == 0 }

func (p *product) tiling() tiling { return tilingOf(p.set, p.pairs()) }

// packElements is the size of the packed x.
func (p *product) packElements() int {
	t := p.tiling()
	return t.padded(p.m) * p.k / t.lane
}

// packRows packs rows from row i on, a multiple of a panel's, of x[m,k].
func (p *product) packRows(packed []float32, i int, rows []float32) {
	if p.k == 0 {
		return
	}
	t := p.tiling()
	t.packRows(packed[i*p.k/t.lane:], rows, p.k, len(rows)/p.k, p.k)
}

// columns computes count columns of the result from j on into y, which has
// rows of ldy. x is the rows, or packed is what PackRows made of them.
func (p *product) columns(wk *worker, y []float32, ldy int, x, packed []float32, w []byte, j, count int) {
	switch {
	case p.m == 0 || count <= 0:
	case p.packed():
		p.tiles(wk, y, ldy, packed, w, j, count)
	case !p.plain:
		p.gemv(wk, y, ldy, x, w, j, count)
	default:
		for i := range p.m {
			clear(y[i*ldy : i*ldy+count])
		}
		for i := 0; i < p.m && p.k > 0; i += maxGemv {
			p.stored.Accumulate(y[i*ldy:], ldy, x[i*p.k:], p.k, w[j*p.size:], p.n, min(maxGemv, p.m-i), p.k, count)
		}
	}
}

// gemv is columns for at most maxGemv rows.
func (p *product) gemv(wk *worker, y []float32, ldy int, x []float32, w []byte, j, count int) {
	if c := p.form.compact(); c != nil {
		p.set.GemvCompact(y, ldy, x, p.k, c, j, p.m, count, wk.bytes(p.set.CompactScratch(p.k)))
		return
	}
	p.stored.Gemv(y, ldy, x, p.k, w[j*p.k*p.size:], p.k, p.m, count, p.k)
}

// tiles is columns for more rows: of each part of k, all rows are multiplied
// with one panel of columns after the other.
func (p *product) tiles(wk *worker, y []float32, ldy int, packed []float32, w []byte, first, count int) {
	t, nr := p.tiling(), p.set.NR
	if p.k == 0 {
		for i := range p.m {
			clear(y[i*ldy : i*ldy+count])
		}
	}
	k := p.k / t.lane
	panel := wk.floats(nr * min(t.depth, k))
	for k0 := 0; k0 < k; k0 += t.depth {
		kc := min(t.depth, k-k0)
		for j := 0; j < count; j += nr {
			b, n := panel[:nr*kc], min(nr, count-j)
			if p.rounded != nil {
				b = p.roundedPanel(wk, w, first+j)[k0*nr : (k0+kc)*nr]
			} else {
				p.packPanel(wk, b, w, first+j, n, k0*t.lane, kc*t.lane)
			}
			t.tile(y[j:], ldy, packed[k0*t.rows:], k*t.rows, b, kc, p.m, n, k0 > 0)
		}
	}
}

// roundedPanel returns the rounded columns from j on, a multiple of a panel's width.
func (p *product) roundedPanel(wk *worker, w []byte, j int) []float32 {
	nr := p.set.NR
	return p.rounded.panel(j/nr, func(dst []float32) {
		p.packPanel(wk, dst, w, j, min(nr, p.n-j), 0, p.k)
	})
}

// packPanel packs columns j:j+n of the result, rows k0:k0+kc of the sum.
func (p *product) packPanel(wk *worker, dst []float32, w []byte, j, n, k0, kc int) {
	if p.plain {
		p.set.PackCols(dst, floats(w)[k0*p.n+j:], p.n, kc, n)
		return
	}
	pack := p.tiling().pack(p.stored)
	if c := p.form.compact(); c != nil {
		rows := wk.bytes(2 * n * kc)
		p.set.ExpandRows(rows, c, j, n, k0, kc)
		pack(dst, rows, kc, n, kc)
		return
	}
	pack(dst, w[(j*p.k+k0)*p.size:], p.k, n, kc)
}

// prepare adds the phase that packs x for tiles, or that normalises it, and
// returns where the product finds it.
func (b *binder) prepare(p *product, x ref, norm func(dst, x []float32)) func(f *frame) (plain, packed []float32) {
	m, k, mr := p.m, p.k, p.tiling().rows
	if !p.packed() {
		if norm == nil {
			return func(f *frame) ([]float32, []float32) { return f.f32(x), nil }
		}
		b.share(m * k)
		b.phase(1, func(f *frame, _ *worker, _ int) {
			for i := range m {
				norm(f.shared[i*k:(i+1)*k], f.f32(x)[i*k:(i+1)*k])
			}
		})
		return func(f *frame) ([]float32, []float32) { return f.shared[:m*k], nil }
	}
	b.share(p.packElements())
	b.ranges((m+mr-1)/mr, mr*k*2, func(f *frame, w *worker, from, to int) {
		for i := from * mr; i < min(to*mr, m); i += mr {
			n := min(mr, m-i)
			src := f.f32(x)[i*k : (i+n)*k]
			if norm != nil {
				rows := w.floats(n * k)
				for r := range n {
					norm(rows[r*k:(r+1)*k], src[r*k:(r+1)*k])
				}
				src = rows
			}
			p.packRows(f.shared, i, src)
		}
	})
	return func(f *frame) ([]float32, []float32) { return nil, f.shared }
}

// prologue is the norm before a product, nil for none.
func (b *binder) prologue(a backend.Attrs, norm []*backend.Tensor) func(dst, x []float32) {
	if a.Norm == backend.NoNorm {
		return nil
	}
	return b.norm(a.Norm, a.Eps, norm)
}

// epilogue finishes columns j0:j1 of each row.
type epilogue struct {
	bias       []float32
	activation func(dst, x []float32)
	add        func(dst, x, y []float32)
	residual   ref
}

func (e *epilogue) apply(f *frame, y []float32, m, n, j0, j1 int) {
	if e.bias == nil && e.activation == nil && e.residual < 0 {
		return
	}
	for i := range m {
		row := y[i*n+j0 : i*n+j1]
		if e.bias != nil {
			e.add(row, row, e.bias[j0:j1])
		}
		if e.activation != nil {
			e.activation(row, row)
		}
		if e.residual >= 0 {
			e.add(row, f.f32(e.residual)[i*n+j0:i*n+j1], row)
		}
	}
}

// bindLinear binds one product or a group of products of the same rows.
func bindLinear(b *binder, n *backend.Tensor) bool {
	a := n.Attrs()
	l := a.Linear(n.Args())
	m, k := l.X.Dim(0), l.X.Dim(1)
	type member struct {
		*product
		w, y ref
		epilogue
		first, chunk int // chunks
	}
	var members []member
	chunks := 0
	for i, w := range l.Weights {
		p := b.product(m, w.Dim(0), k, w, false)
		e := epilogue{activation: b.activation(a.Activation), add: b.set.Add, residual: -1}
		if len(l.Biases) > 0 {
			e.bias = b.vector(l.Biases[i])
		}
		if l.Residual != nil {
			e.residual = b.arg(len(n.Args()) - 1 - len(l.Norm))
		}
		c := p.chunk()
		members = append(members, member{p, b.raw(1 + i), b.out(i), e, chunks, c})
		chunks += (p.n + c - 1) / c
	}
	if m == 0 || chunks == 0 {
		return true
	}
	input := b.prepare(members[0].product, b.arg(0), b.prologue(a, l.Norm))
	b.phase(chunks, func(f *frame, w *worker, c int) {
		i := len(members) - 1
		for members[i].first > c {
			i--
		}
		p := &members[i]
		j0 := (c - p.first) * p.chunk
		j1 := min(j0+p.chunk, p.n)
		plain, packed := input(f)
		y := f.f32(p.y)
		p.columns(w, y[j0:], p.n, plain, packed, f.bytes(p.w), j0, j1-j0)
		p.apply(f, y, m, p.n, j0, j1)
	})
	return true
}

// bindGatedLinear computes the same columns of gate and up, then joins them.
func bindGatedLinear(b *binder, n *backend.Tensor) bool {
	a := n.Attrs()
	l := a.Linear(n.Args())
	m, k := l.X.Dim(0), l.X.Dim(1)
	width := l.Weights[0].Dim(0)
	gate, up := b.product(m, width, k, l.Weights[0], false), b.product(m, width, k, l.Weights[1], false)
	var gateBias, upBias []float32
	if len(l.Biases) > 0 {
		gateBias, upBias = b.vector(l.Biases[0]), b.vector(l.Biases[1])
	}
	chunk := gate.chunk()
	if !gate.packed() {
		chunk = max(8, chunk/2)
	}
	x, wg, wu, y := b.arg(0), b.raw(1), b.raw(2), b.out(0)
	if m == 0 || gate.n == 0 {
		return true
	}
	input := b.prepare(gate, x, b.prologue(a, l.Norm))
	chunks := (gate.n + chunk - 1) / chunk
	b.phase(chunks, func(f *frame, w *worker, c int) {
		j0, j1 := c*chunk, min((c+1)*chunk, gate.n)
		width := j1 - j0
		plain, packed := input(f)
		out := f.f32(y)
		other := w.second(m * width)
		gate.columns(w, out[j0:], gate.n, plain, packed, f.bytes(wg), j0, width)
		up.columns(w, other, width, plain, packed, f.bytes(wu), j0, width)
		for i := range m {
			g, u := out[i*gate.n+j0:i*gate.n+j1], other[i*width:(i+1)*width]
			if gateBias != nil {
				b.set.Add(g, g, gateBias[j0:j1])
				b.set.Add(u, u, upBias[j0:j1])
			}
			b.set.SwiGLU(g, g, u)
		}
	})
	return true
}
