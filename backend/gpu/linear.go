package gpu

import "emily/backend"

// linearOperands are the operands of a Linear and its relatives by their roles.
type linearOperands struct {
	backend.LinearArgs
	m, k     int
	x        operand // normalised, if a kernel of its own does that
	weights  []operand
	biases   []operand
	residual operand
	norm     []operand // if the product applies it
}

// linearOperands sorts the step's operands. With many rows it adds the norm that comes first.
func (b *binder) linearOperands(n *backend.Tensor) linearOperands {
	a := n.Attrs()
	l := linearOperands{LinearArgs: a.Linear(n.Args()), x: b.arg(0)}
	l.m, l.k = l.X.Dim(0), l.X.Dim(1)
	rest := b.args(1)
	l.weights, rest = rest[:a.Weights], rest[a.Weights:]
	if a.Bias {
		l.biases, rest = rest[:a.Weights], rest[a.Weights:]
	}
	if a.Residual {
		l.residual, rest = rest[0], rest[1:]
	}
	if l.m <= mostNormedRows {
		l.norm = rest
	} else if a.Norm != backend.NoNorm {
		y := b.scratch(l.X.Bytes())
		b.normalise(l.X.Elements(), a.Norm, a.Eps, l.Norm, l.x, rest, y)
		l.x = y
	}
	return l
}

// product is the product with weight i, its bias and the norm.
func (b *binder) product(l linearOperands, i int, y operand) *product {
	p := b.linear(l.x, l.m, l.k, l.Weights[i], l.weights[i], y)
	a := b.step.Node.Attrs()
	for j, w := range l.norm {
		p.norm[j] = w
		p.productArgs.norm, p.eps = i32(int(a.Norm)), a.Eps
		*[]*int32{&p.normWeightType, &p.normBiasType}[j] = i32(int(l.Norm[j].DType()))
	}
	if l.biases != nil {
		p.bias, p.biasType = l.biases[i], i32(int(l.Biases[i].DType()))
	}
	return p
}

// bindLinear binds one product or a group of products of the same rows.
func bindLinear(b *binder, n *backend.Tensor) bool {
	l := b.linearOperands(n)
	for i := range l.weights {
		p := b.product(l, i, b.out(i))
		p.activation = i32(int(n.Attrs().Activation))
		if n.Attrs().Residual {
			p.residual, p.combine = l.residual, addResidual
		}
		b.multiply(p)
	}
	return true
}

// bindGatedLinear multiplies the up projection by the activated gate where the
// gate is finished.
func bindGatedLinear(b *binder, n *backend.Tensor) bool {
	l := b.linearOperands(n)
	up := b.product(l, 1, b.scratch(n.Bytes()))
	b.multiply(up)
	gate := b.product(l, 0, b.out(0))
	gate.activation = i32(int(backend.SiLU))
	gate.residual, gate.combine = up.y, multiplyResidual
	b.multiply(gate)
	return true
}

func bindLinearTopK(b *binder, n *backend.Tensor) bool {
	l := b.linearOperands(n)
	width := l.Weights[0].Dim(0)
	logits := b.scratch(4 * l.m * width)
	b.multiply(b.product(l, 0, logits))
	b.topK(logits, l.m, width, n.Attrs().K, b.out(0), b.out(1))
	return true
}

func bindTopK(b *binder, n *backend.Tensor) bool {
	x := n.Args()[0]
	b.topK(b.arg(0), x.Dim(0), x.Dim(1), n.Attrs().K, b.out(0), b.out(1))
	return true
}

func bindArgMax(b *binder, n *backend.Tensor) bool {
	b.topK(b.arg(0), n.Elements(), n.Args()[0].Dim(-1), 1, b.out(0), operand{})
	return true
}

// topKChunk is the part of a row that one block searches k times.
const topKChunk = 2048

// topK finds the k largest of each row; values may be unused.
func (b *binder) topK(x operand, rows, width, k int, ids, values operand) {
	args := topKArgs{rows: i32(rows), width: i32(width), chunk: topKChunk, chunks: 1, k: i32(k)}
	in := operand{} // the ids of candidates
	if chunks := (width + topKChunk - 1) / topKChunk; chunks > 1 {
		candidates := chunks * k
		in, args.chunks, args.withValues = b.scratch(4*rows*candidates), i32(chunks), 1
		best := b.scratch(in.bytes)
		b.launch(topK, [3]int{chunks, rows, 1}, blockThreads, bytesOf(args), x, operand{}, in, best)
		x, args.width, args.chunks, args.withIDs = best, i32(candidates), 1, 1
	}
	args.chunk, args.withValues = args.width, flag(values.kind != unused)
	b.launch(topK, [3]int{1, rows, 1}, rowThreads(int(args.width)), bytesOf(args), x, in, ids, values)
}
