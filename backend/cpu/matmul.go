package cpu

import "emily/backend"

func bindMatMul(b *binder, n *backend.Tensor) bool {
	x, u := n.Args()[0], n.Args()[1]
	m := x.Dim(-2)
	if n.Elements() == 0 {
		return true
	}
	batch := n.Shape()[:n.Rank()-2]
	if u.Rank() == 2 { // one right operand for all: the batch is more rows
		m *= elements(batch)
		batch = nil
	}
	p := b.product(m, n.Dim(-1), x.Dim(-1), u, !n.Attrs().Transposed)
	xr, y := b.arg(0), b.out(0)
	ur := b.raw(1)
	if p.plain {
		ur = b.arg(1)
	}
	if elements(batch) == 1 {
		b.single(p, xr, ur, y)
		return true
	}
	it := broadcast(append([]int(nil), batch...), x.Shape()[:x.Rank()-2], u.Shape()[:u.Rank()-2])
	b.batched(p, elements(batch), it, xr, ur, y)
	return true
}

// single binds one product over all workers.
func (b *binder) single(p *product, x, u, y ref) {
	input := b.prepare(p, x, nil)
	chunk := p.chunk()
	b.phase((p.n+chunk-1)/chunk, func(f *frame, w *worker, c int) {
		plain, packed := input(f)
		j := c * chunk
		p.columns(w, f.f32(y)[j:], p.n, plain, packed, f.bytes(u), j, min(chunk, p.n-j))
	})
}

// batched gives each worker whole products of a batch.
func (b *binder) batched(p *product, batch int, it *iteration, x, u, y ref) {
	b.ranges(batch, p.m*p.n*p.k/16+1, func(f *frame, w *worker, from, to int) {
		for i := from; i < to; i++ {
			xs := f.f32(x)[it.element(0, i)*p.m*p.k:][:p.m*p.k]
			us := f.bytes(u)[it.element(1, i)*p.n*p.k*p.size:][:p.n*p.k*p.size]
			var packed []float32
			if p.packed() {
				packed = w.second(p.packElements())
				p.packRows(packed, 0, xs)
			}
			p.columns(w, f.f32(y)[i*p.m*p.n:(i+1)*p.m*p.n], p.n, xs, packed, us, 0, p.n)
		}
	})
}

// element is the index of operand i's element for element e of the result.
func (it *iteration) element(i, e int) int {
	if it.inner == 0 {
		return 0
	}
	return it.offset(i, e/it.inner) + e%it.inner*it.steps[i]
}

// bindConv gathers the inputs of each output position into a row, then
// multiplies the rows by the kernel.
func bindConv(b *binder, n *backend.Tensor) bool {
	x, kern := n.Args()[0], n.Args()[1]
	a, spatial := n.Attrs(), n.Rank()-1
	in := x.Dim(-1)
	// A signal is an image of height 1.
	h, kh, outH, padH := 1, 1, 1, 0
	if spatial == 2 {
		h, kh, outH, padH = x.Dim(0), kern.Dim(2), n.Dim(0), a.Pad
	}
	w, kw, outW := x.Dim(-2), kern.Dim(-1), n.Dim(-2)
	m, k := outH*outW, in*kh*kw
	p := b.product(m, kern.Dim(0), k, kern, false)
	if n.Elements() == 0 {
		return true
	}
	xr, ur, y := b.arg(0), b.raw(1), b.out(0)
	b.share(m*k + p.packElements())
	gathered := func(f *frame) []float32 { return f.shared[p.packElements():][:m*k] }
	b.ranges(m, 2*k, func(f *frame, _ *worker, from, to int) {
		src := f.f32(xr)
		for i := from; i < to; i++ {
			dst := gathered(f)[i*k : (i+1)*k]
			top, left := i/outW*a.Stride-padH, i%outW*a.Stride-a.Pad
			for c := range in {
				for r := range kh {
					for q := range kw {
						v := float32(0)
						if u, t := top+r, left+q; u >= 0 && u < h && t >= 0 && t < w {
							v = src[(u*w+t)*in+c]
						}
						dst[(c*kh+r)*kw+q] = v
					}
				}
			}
		}
	})
	mr := p.tiling().rows
	if p.packed() {
		b.ranges((m+mr-1)/mr, mr*k*2, func(f *frame, _ *worker, from, to int) {
			for i := from * mr; i < min(to*mr, m); i += mr {
				p.packRows(f.shared, i, gathered(f)[i*k:min(i+mr, m)*k])
			}
		})
	}
	chunk := p.chunk()
	b.phase((p.n+chunk-1)/chunk, func(f *frame, w *worker, c int) {
		j := c * chunk
		p.columns(w, f.f32(y)[j:], p.n, gathered(f), f.shared, f.bytes(ur), j, min(chunk, p.n-j))
	})
	return true
}
