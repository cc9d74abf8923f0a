package backend

// LayerNorm returns (x-mean)/√(variance+eps)·weight + bias over the last axis
// (Ba et al. 2016). weight and bias are [features].
func (t *Tensor) LayerNorm(weight, bias *Weight, eps float32) *Tensor {
	if weight == nil || bias == nil {
		return t.graph.fail(OpLayerNorm, "weight or bias is nil")
	}
	return t.norm(OpLayerNorm, eps, t.graph.Weight(weight), t.graph.Weight(bias))
}

// RMSNorm returns x/√(mean(x²)+eps)·weight (Zhang and Sennrich 2019) over
// groups of len(weight) elements of the last axis: the whole axis, or each
// head of it.
func (t *Tensor) RMSNorm(weight *Weight, eps float32) *Tensor {
	if weight == nil {
		return t.graph.fail(OpRMSNorm, "the weight is nil")
	}
	return t.norm(OpRMSNorm, eps, t.graph.Weight(weight))
}

func (t *Tensor) norm(op Op, eps float32, weights ...*Tensor) *Tensor {
	n := weights[0].Dim(0)
	for _, w := range weights {
		if t.dtype != F32 || t.Rank() < 1 || w.Rank() != 1 || !w.dtype.IsFloat() || w.shape[0] != n || n == 0 || t.Dim(-1)%n != 0 || (op == OpLayerNorm && t.Dim(-1) != n) {
			return t.graph.fail(op, "%s%v with weight %s%v", t.dtype, t.shape, w.dtype, w.shape)
		}
	}
	return t.graph.add(op, F32, t.shape, Attrs{Eps: eps}, append([]*Tensor{t}, weights...)...)
}

func lowerRMSNorm(n *Tensor, args []*Tensor) []*Tensor {
	x, w := args[0], args[1]
	y := x.Reshape(append(append([]int{}, x.shape[:x.Rank()-1]...), -1, w.shape[0])...)
	r := y.Mul(y).Mean(-1).Add(x.graph.Scalar(n.attrs.Eps)).Rsqrt()
	return []*Tensor{y.Mul(r).Mul(w.Cast(F32)).Reshape(x.shape...)}
}

func lowerLayerNorm(n *Tensor, args []*Tensor) []*Tensor {
	x, w, b := args[0], args[1], args[2]
	c := x.Sub(x.Mean(-1))
	r := c.Mul(c).Mean(-1).Add(x.graph.Scalar(n.attrs.Eps)).Rsqrt()
	return []*Tensor{c.Mul(r).Mul(w.Cast(F32)).Add(b.Cast(F32))}
}
