package gpu

import (
	"slices"

	"emily/backend"
)

// linearOperands are the operands of a Linear and its relatives by their roles.
type linearOperands struct {
	backend.LinearArgs
	m, k     int
	x        operand
	weights  []operand
	biases   []operand
	residual operand
	norm     []operand // of x
	exact    bool      // all elements of x are bf16 when a product has them
	// What kernels have made of x for products: the norm, and so many bf16 terms of it.
	normed operand
	terms  [mostTerms + 1]operand
}

// linearOperands sorts the step's operands.
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
	l.norm, l.exact = rest, b.exactArg(0)
	if a.Norm != backend.NoNorm {
		l.exact = b.rounds()
	}
	return l
}

// multiplyOne adds a product of x, and before it what it needs x to be, once.
func (l *linearOperands) multiplyOne(b *binder, p *product) {
	a := b.step.Node.Attrs()
	switch {
	case p.warpgroups(b):
		n := p.xTerms()
		if l.terms[n] == (operand{}) {
			if len(l.norm) > 0 {
				l.terms[n] = b.terms(l.m, l.k, n)
				b.normalise(normaliseTerms, l.X.Elements(), a.Norm, a.Eps, l.Norm, l.x, l.norm, l.terms[n], l.exact)
			} else {
				l.terms[n] = b.split(l.x, l.m, l.k, n)
			}
		}
		p.split = l.terms[n]
	case len(l.norm) > 0 && p.normalises(b, l.norm):
		l.normalise(b, p, a)
	case len(l.norm) > 0:
		if l.normed == (operand{}) {
			l.normed = b.scratch(l.X.Bytes())
			b.normalise(normalise, l.X.Elements(), a.Norm, a.Eps, l.Norm, l.x, l.norm, l.normed, l.exact)
		}
		p.x = l.normed
	}
	b.multiply(p)
}

// rounds reports whether activations are rounded to bf16: then so is a norm
// that became part of another op, as transformers does.
func (b *binder) rounds() bool { return b.plan.Options.DType == backend.BF16 }

// multiply adds the products of x with every weight. Those of one dtype share
// launches where a warp computes each column. finish completes the arguments.
func (l *linearOperands) multiply(b *binder, outs []operand, finish func(p *product)) {
	var p *product
	for i, w := range l.Weights {
		weight, dtype := b.meets(b.step.Args[1+i], l.weights[i], l.m, l.exact)
		terms := 1
		if dtype == backend.F32 {
			weight, dtype, terms = b.inTerms(b.step.Args[1+i], weight, l.x, l.m, l.k)
		}
		if p == nil || p.dtype != dtype || p.wTerms != terms || len(p.members) == mostMembers || !p.vectors() && !p.matrices(b) {
			if p != nil {
				l.multiplyOne(b, p)
			}
			p = linear(l.x, l.m, l.k, dtype)
			p.round, p.exact, p.wTerms = flag(b.round), l.exact, terms
			finish(p)
		}
		m := member{w: weight, y: outs[i]}
		if l.biases != nil {
			m.bias, p.biasType[len(p.members)] = l.biases[i], i32(int(l.Biases[i].DType()))
		}
		p.add(w.Dim(0), m)
	}
	l.multiplyOne(b, p)
}

// normalise makes the product apply the norm of x.
func (l *linearOperands) normalise(b *binder, p *product, a backend.Attrs) {
	p.productArgs.norm, p.eps, p.roundNorm = i32(int(a.Norm)), a.Eps, flag(b.rounds())
	copy(p.norm[:], l.norm)
	p.normWeightType = i32(int(l.Norm[0].DType()))
	if len(l.Norm) > 1 {
		p.normBiasType = i32(int(l.Norm[1].DType()))
	}
}

// bindLinear binds one product or a group of products of the same rows.
func bindLinear(b *binder, n *backend.Tensor) bool {
	l := b.linearOperands(n)
	var outs []operand
	for i := range l.weights {
		outs = append(outs, b.out(i))
	}
	l.multiply(b, outs, func(p *product) {
		p.activation = i32(int(n.Attrs().Activation))
		p.residual, p.addResidual = l.residual, flag(n.Attrs().Residual)
	})
	return true
}

func bindGatedLinear(b *binder, n *backend.Tensor) bool {
	l := b.linearOperands(n)
	p := linear(l.x, l.m, l.k, l.Weights[0].DType())
	if p.dtype == l.Weights[1].DType() && (p.vectors() || p.matrices(b)) {
		l.multiply(b, []operand{b.out(0), {}}, func(p *product) { p.gated = 1 })
		return true
	}
	gate, up := b.scratch(n.Bytes()), b.scratch(n.Bytes())
	l.multiply(b, []operand{gate, up}, func(*product) {})
	m := broadcast(n.Shape(), n, n)
	m.op = i32(slices.Index(binaryOps, backend.OpSwiGLU))
	b.each(binaryFloat, n.Elements(), bytesOf(m), gate, up, b.out(0))
	return true
}

func bindLinearTopK(b *binder, n *backend.Tensor) bool {
	l := b.linearOperands(n)
	width := l.Weights[0].Dim(0)
	logits := b.scratch(4 * l.m * width)
	l.multiply(b, []operand{logits}, func(*product) {})
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
		b.launch(topK, [3]int{rows, chunks, 1}, blockThreads, bytesOf(args), x, operand{}, in, best)
		x, args.width, args.chunks, args.withIDs = best, i32(candidates), 1, 1
	}
	args.chunk, args.withValues = args.width, flag(values.kind != unused)
	b.launch(topK, [3]int{rows, 1, 1}, rowThreads(int(args.width)), bytesOf(args), x, in, ids, values)
}
