package gpu

import (
	"slices"

	"emily/backend"
)

// product is y[m, n] = x[m, k]·w for each of a batch, or for up to mostMembers
// weights of one x, finished by bias, activation and a residual.
type product struct {
	productArgs
	count    int // of the batch
	dtype    backend.DType
	wTerms   int // of an f32 weight in bf16 terms, or 1
	x        operand
	members  []member
	residual operand
	exact    bool       // all elements of x are bf16
	split    operand    // the terms of x for warpgroups, if a kernel has made them
	norm     [2]operand // weight and bias of the norm of x that the product applies
}

// member is one weight of a product. Bias may be unused.
type member struct{ w, bias, y operand }

const (
	// mostMembers is the number of weights that one launch takes.
	mostMembers = 3
	// mostVectorRows is the number of rows up to which a warp for each column,
	// which reads the column of w once for all, beats tiles.
	mostVectorRows = 16
	// mostNormedRows is the number of rows up to which every block of warps for
	// columns normalises x for itself rather than a kernel before it.
	mostNormedRows = 4
)

// linear is a product with weights [n, k] that have yet to be added.
func linear(x operand, m, k int, dtype backend.DType) *product {
	p := &product{count: 1, dtype: dtype, wTerms: 1, x: x}
	p.m, p.k = i32(m), i32(k)
	p.batch = [4]int32{1, 1, 1, 1}
	p.wRow, p.wColumn = 1, i32(k)
	return p
}

// add adds a weight of n columns.
func (p *product) add(n int, m member) {
	p.n[len(p.members)] = i32(n)
	p.members = append(p.members, m)
}

// vectors reports whether the product runs as a warp for each column.
func (p *product) vectors() bool { return p.wRow == 1 && p.m <= mostVectorRows }

// normalises reports whether the product's kernel applies the norm of x, of some weight and bias.
func (p *product) normalises(b *binder, norm []operand) bool {
	if p.few(b) {
		aligned := !slices.ContainsFunc(norm, func(o operand) bool { return o.offset%16 != 0 })
		return aligned && p.m <= mostVectorRows
	}
	return p.m <= mostNormedRows
}

// operands are those of the kernels that can apply the norm of x.
func (p *product) operands() []operand {
	list := []operand{p.x, p.members[0].w, p.members[0].bias, p.members[0].y, p.residual, p.norm[0], p.norm[1]}
	for _, m := range append(p.members[1:len(p.members):len(p.members)], make([]member, mostMembers-len(p.members))...) {
		list = append(list, m.w, m.bias, m.y)
	}
	return list
}

// storedWeights reports whether no kernel writes what x is multiplied by.
func (p *product) storedWeights() bool {
	return !slices.ContainsFunc(p.members, func(m member) bool { return m.w.kind != inWeight })
}

// joins reports whether a product can share the launch of the last, whose x it
// has, where a warp takes columns. The last must read nothing else that it is
// the last to read: the memory of that may be what this one writes.
func (p *product) joins(b *binder) bool {
	last := b.product
	if last == nil || b.plan.Options.Lane == backend.Eager || b.productAt != len(b.launches)-1 || len(last.members)+len(p.members) > mostMembers {
		return false
	}
	same := p.x == last.x && p.m == last.m && p.k == last.k && p.dtype == last.dtype && p.exact == last.exact && p.round == last.round
	plain := func(p *product) bool {
		return p.storedWeights() && (p.vectors() || p.few(b)) && p.wRow == 1 && p.count == 1 && p.activation == 0 && p.addResidual == 0 && p.productArgs.norm == 0 && p.gated == 0
	}
	return same && plain(p) && plain(last) && p.wColumn == last.wColumn &&
		!slices.ContainsFunc(last.members, func(m member) bool { return m.y.kind == p.x.kind && m.y.index == p.x.index })
}

// join is the last product with the members of p too, in place of both.
func (p *product) join(b *binder) *product {
	both := *b.product
	both.members = slices.Clone(both.members)
	for i, m := range p.members {
		both.biasType[len(both.members)] = p.biasType[i]
		both.add(int(p.n[i]), m)
	}
	b.launches = b.launches[:b.productAt]
	return &both
}

// multiply adds the launch of a product.
func (b *binder) multiply(p *product) {
	if p.joins(b) {
		p = p.join(b)
	}
	b.product, b.productAt = p, len(b.launches)
	p.stored = flag(p.count == 1 && p.storedWeights())
	if p.few(b) {
		b.multiplyFew(p)
		return
	}
	operands := p.operands()
	k, m, n := products(p.dtype), int(p.m), 0
	for _, columns := range p.n {
		n += int(columns)
	}
	if p.gated == 1 {
		n = int(p.n[0])
	}
	if !p.vectors() {
		if p.warpgroups(b) {
			b.multiplyWarpgroups(p)
			return
		}
		if p.matrices(b) {
			b.multiplyMatrices(p)
			return
		}
		if m <= mostVectorRows && p.wColumn == 1 {
			if k += columns4; m > 4 {
				k++
			}
			b.launch(k, [3]int{(n + warpSize - 1) / warpSize, min(m, 1), p.count}, blockThreads, bytesOf(p.productArgs), operands...)
			return
		}
		const side = 64 // of a tile
		b.launch(k+tiles, [3]int{(n + side - 1) / side, (m + side - 1) / side, p.count}, 256, bytesOf(p.productArgs), operands...)
		return
	}
	switch {
	case m == 1:
		k += vector1
	case m <= 4:
		k += vector4
	default:
		k += vector16
	}
	p.wide = flag(p.aligned())
	warps := max(1, min(n, blockThreads/warpSize))
	b.launch(k, [3]int{(n + warps - 1) / warps, min(m, 1), p.count}, warps*warpSize, bytesOf(p.productArgs), operands...)
}

// aligned reports whether all columns of the weights start at a multiple of 16
// bytes and have whole vectors.
func (p *product) aligned() bool {
	ok := p.k%8 == 0 && p.wColumn%8 == 0
	for i := range p.batch {
		ok = ok && p.wBatch[i]%8 == 0
	}
	ok = ok && p.x.offset%16 == 0
	for _, m := range p.members {
		ok = ok && m.w.offset%16 == 0
	}
	return ok
}

func bindMatMul(b *binder, n *backend.Tensor) bool {
	x, u := n.Args()[0], n.Args()[1]
	batch := n.Shape()[:n.Rank()-2]
	columns := i32(n.Dim(-1))
	w, dtype := b.meets(b.step.Args[1], b.arg(1), x.Dim(-2), b.exactArg(0))
	p := linear(b.arg(0), x.Dim(-2), x.Dim(-1), dtype)
	if !n.Attrs().Transposed {
		p.wRow, p.wColumn = columns, 1
	}
	p.add(int(columns), member{w: w, y: b.out(0)})
	p.round, p.exact = flag(b.round), b.exactArg(0)
	for _, d := range batch {
		p.count *= d
	}
	if u.Elements() == u.Dim(-1)*u.Dim(-2) && x.Elements() == p.count*int(p.m*p.k) {
		p.m, p.count = p.m*i32(p.count), 1 // one right operand: the batch is more rows
	} else {
		first := len(p.batch) - len(batch)
		xs, us := spread(x.Shape()[:x.Rank()-2], len(batch)), spread(u.Shape()[:u.Rank()-2], len(batch))
		for i, d := range batch {
			p.batch[first+i] = i32(d)
			p.xBatch[first+i], p.wBatch[first+i] = i32(xs[i])*p.m*p.k, i32(us[i])*columns*p.k
		}
	}
	b.multiply(p)
	return true
}

// bindConv gathers the inputs of each output position into a row, then
// multiplies the rows by the kernel.
func bindConv(b *binder, n *backend.Tensor) bool {
	x, kern, a := n.Args()[0], n.Args()[1], n.Attrs()
	// A signal is an image of height 1.
	g := patchArgs{height: 1, width: i32(x.Dim(-2)), channels: i32(x.Dim(-1)), kernelHeight: 1, kernelWidth: i32(kern.Dim(-1)),
		outHeight: 1, outWidth: i32(n.Dim(-2)), stride: i32(a.Stride), padLeft: i32(a.Pad)}
	if n.Rank() == 3 {
		g.height, g.kernelHeight, g.outHeight, g.padTop = i32(x.Dim(0)), i32(kern.Dim(2)), i32(n.Dim(0)), i32(a.Pad)
	}
	m, k := int(g.outHeight*g.outWidth), int(g.channels*g.kernelHeight*g.kernelWidth)
	gathered := b.scratch(4 * m * k)
	b.each(patches, m*k, bytesOf(g), b.arg(0), gathered)
	w, dtype, terms := b.inTerms(b.step.Args[1], b.arg(1), gathered, m, k)
	p := linear(gathered, m, k, dtype)
	p.wTerms = terms
	p.add(kern.Dim(0), member{w: w, y: b.out(0)})
	p.round, p.exact = flag(b.round), b.exactArg(0)
	b.multiply(p)
	return true
}
