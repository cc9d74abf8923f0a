package backend

import "slices"

// Linear returns x·wᵀ + bias: [rows, in] -> [rows, out] for a weight [out, in]
// and a bias [out] or nil.
func (t *Tensor) Linear(w, bias *Weight) *Tensor {
	g := t.graph
	if w == nil {
		return g.fail(OpLinear, "the weight is nil")
	}
	args := []*Tensor{t, g.Weight(w)}
	if bias != nil {
		args = append(args, g.Weight(bias))
	}
	return g.linear(OpLinear, Attrs{Weights: 1, Bias: bias != nil}, args)
}

// linear records a product with its prologue and epilogue. The operands are x,
// the weights, a bias for each weight if Bias, the residual if Residual, and
// the norm's weight and bias if Norm.
func (g *Graph) linear(op Op, a Attrs, args []*Tensor) *Tensor {
	l := linearArgs(a, args)
	x, w := l.X, l.Weights[0]
	if x.dtype != F32 || x.Rank() != 2 || w.Rank() != 2 || !w.dtype.IsFloat() || x.shape[1] != w.shape[1] {
		return g.fail(op, "%s%v by weight %s%v", x.dtype, x.shape, w.dtype, w.shape)
	}
	for i, b := range l.Biases {
		if b.Rank() != 1 || b.shape[0] != l.Weights[i].shape[0] || !b.dtype.IsFloat() {
			return g.fail(op, "bias %s%v of weight %v", b.dtype, b.shape, l.Weights[i].shape)
		}
	}
	if op == OpLinearGroup || op == OpLinearTopK {
		return g.add(op, Invalid, nil, a, args...)
	}
	shape := []int{x.shape[0], w.shape[0]}
	if l.Residual != nil && !slices.Equal(l.Residual.shape, shape) {
		return g.fail(op, "residual %v of a result %v", l.Residual.shape, shape)
	}
	return g.add(op, F32, shape, a, args...)
}

// LinearArgs are the operands of a product by their roles.
type LinearArgs struct {
	X        *Tensor
	Weights  []*Tensor
	Biases   []*Tensor // one for each weight, or none
	Residual *Tensor   // or nil
	Norm     []*Tensor // weight and perhaps bias of the norm before the product
}

// Linear sorts the operands of OpLinear, OpLinearGroup, OpGatedLinear or OpLinearTopK.
func (a Attrs) Linear(args []*Tensor) LinearArgs { return linearArgs(a, args) }

func linearArgs(a Attrs, args []*Tensor) LinearArgs {
	l := LinearArgs{X: args[0], Weights: args[1 : 1+a.Weights]}
	rest := args[1+a.Weights:]
	if a.Bias {
		l.Biases, rest = rest[:a.Weights], rest[a.Weights:]
	}
	if a.Residual {
		l.Residual, rest = rest[0], rest[1:]
	}
	if a.Norm != NoNorm {
		l.Norm = rest
	}
	return l
}

func (l LinearArgs) list() []*Tensor {
	args := slices.Concat([]*Tensor{l.X}, l.Weights, l.Biases)
	if l.Residual != nil {
		args = append(args, l.Residual)
	}
	return append(args, l.Norm...)
}

// normalised applies the prologue of a fused op to its first operand.
func (a Attrs) normalised(x *Tensor, norm []*Tensor) *Tensor {
	switch a.Norm {
	case RMSNorm:
		return x.norm(OpRMSNorm, a.Eps, norm...)
	case LayerNorm:
		return x.norm(OpLayerNorm, a.Eps, norm...)
	}
	return x
}

func lowerLinear(n *Tensor, args []*Tensor) []*Tensor {
	l := linearArgs(n.attrs, args)
	y := n.attrs.normalised(l.X, l.Norm).MatMulT(l.Weights[0])
	if len(l.Biases) > 0 {
		y = y.Add(l.Biases[0].Cast(F32))
	}
	y = y.Activate(n.attrs.Activation)
	if l.Residual != nil {
		y = l.Residual.Add(y)
	}
	return []*Tensor{y}
}

// single returns the i-th product of a group as an op of its own.
func (l LinearArgs) single(x *Tensor, i int) *Tensor {
	args := []*Tensor{x, l.Weights[i]}
	if len(l.Biases) > 0 {
		args = append(args, l.Biases[i])
	}
	return x.graph.linear(OpLinear, Attrs{Weights: 1, Bias: len(l.Biases) > 0}, args)
}

func lowerLinearGroup(n *Tensor, args []*Tensor) []*Tensor {
	l := linearArgs(n.attrs, args)
	x := n.attrs.normalised(l.X, l.Norm)
	outs := make([]*Tensor, n.attrs.Weights)
	for i := range outs {
		outs[i] = l.single(x, i)
	}
	return outs
}

func lowerGatedLinear(n *Tensor, args []*Tensor) []*Tensor {
	l := linearArgs(n.attrs, args)
	x := n.attrs.normalised(l.X, l.Norm)
	return []*Tensor{l.single(x, 0).SwiGLU(l.single(x, 1))}
}

func lowerLinearTopK(n *Tensor, args []*Tensor) []*Tensor {
	l := linearArgs(n.attrs, args)
	ids, values := l.single(n.attrs.normalised(l.X, l.Norm), 0).TopK(n.attrs.K)
	return []*Tensor{ids, values}
}
