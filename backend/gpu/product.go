package gpu

import "emily/backend"

// product is y[m, n] = x[m, k]·w for each of a batch, finished by bias,
// activation and a residual that is added or multiplied.
type product struct {
	productArgs
	count    int // of the batch
	dtype    backend.DType
	x, w, y  operand
	bias     operand
	residual operand
	norm     [2]operand // weight and bias of the norm of x that the product applies
}

// The ways in which a product meets its residual.
const (
	addResidual int32 = 1 + iota
	multiplyResidual
)

const (
	// mostVectorRows is the number of rows up to which a warp for each column,
	// which reads the column of w once for all, beats tiles.
	mostVectorRows = 16
	// mostNormedRows is the number of rows up to which every block of a product
	// normalises x for itself rather than a kernel before it.
	mostNormedRows = 4
)

// linear is a product with a weight [n, k].
func (b *binder) linear(x operand, m, k int, w *backend.Tensor, stored, y operand) *product {
	p := &product{count: 1, dtype: w.DType(), x: x, w: stored, y: y}
	p.m, p.k, p.n = i32(m), i32(k), i32(w.Dim(0))
	p.batch = [4]int32{1, 1, 1, 1}
	p.wRow, p.wColumn = 1, i32(k)
	return p
}

// multiply adds the launch of a product.
func (b *binder) multiply(p *product) {
	k, m, n := products(p.dtype), int(p.m), int(p.n)
	operands := []operand{p.x, p.w, p.bias, p.residual, p.norm[0], p.norm[1], p.y}
	if p.wRow != 1 || m > mostVectorRows {
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
	const warps = blockThreads / warpSize
	b.launch(k, [3]int{(n + warps - 1) / warps, min(m, 1), p.count}, blockThreads, bytesOf(p.productArgs), operands...)
}

// aligned reports whether all rows start at a multiple of 16 bytes and have whole vectors.
func (p *product) aligned() bool {
	ok := p.k%8 == 0 && p.wColumn%8 == 0 && p.x.offset%16 == 0 && p.w.offset%16 == 0
	for i := range p.batch {
		ok = ok && p.xBatch[i]%8 == 0 && p.wBatch[i]%8 == 0
	}
	return ok
}

func bindMatMul(b *binder, n *backend.Tensor) bool {
	x, u := n.Args()[0], n.Args()[1]
	batch := n.Shape()[:n.Rank()-2]
	p := &product{count: 1, dtype: u.DType(), x: b.arg(0), w: b.arg(1), y: b.out(0)}
	p.m, p.k, p.n = i32(x.Dim(-2)), i32(x.Dim(-1)), i32(n.Dim(-1))
	p.wRow, p.wColumn = p.n, 1
	if n.Attrs().Transposed {
		p.wRow, p.wColumn = 1, p.k
	}
	p.batch = [4]int32{1, 1, 1, 1}
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
			p.xBatch[first+i], p.wBatch[first+i] = i32(xs[i])*p.m*p.k, i32(us[i])*p.n*p.k
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
	b.multiply(b.linear(gathered, m, k, kern, b.arg(1), b.out(0)))
	return true
}
