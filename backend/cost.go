package backend

// Cost is the work of one run as counted from the graph.
type Cost struct {
	// Bytes that must move between memory and the processor: each weight once,
	// each operand and result of a step once, and the part of a cache that is seen.
	Bytes int64
	// FLOPs of products, two for each multiply-add; other ops count one an element.
	FLOPs int64
}

// Cost counts the work of one run when the caches hold context positions.
func (p *Plan) Cost(context int) Cost {
	var c Cost
	seen := map[*Weight]bool{}
	for _, st := range p.Steps {
		n := st.Node
		for _, s := range st.Args {
			switch {
			case s.Place != InWeight:
				c.Bytes += int64(s.Tensor.Bytes())
			case n.op == OpGather: // only the rows that are picked
				c.Bytes += int64(n.Elements() * s.Weight.DType.Size())
			case !seen[s.Weight]:
				seen[s.Weight] = true
				c.Bytes += int64(len(s.Weight.Data))
			}
		}
		for _, s := range st.Outs {
			if s.Tensor != nil {
				c.Bytes += int64(s.Tensor.Bytes())
			}
		}
		c.add(n, context)
	}
	return c
}

func (c *Cost) add(n *Tensor, context int) {
	switch n.op {
	case OpLinear, OpLinearGroup, OpGatedLinear, OpLinearTopK:
		l := linearArgs(n.attrs, n.args)
		for _, w := range l.Weights {
			c.FLOPs += 2 * int64(l.X.shape[0]) * int64(w.Elements())
		}
	case OpMapSum:
		c.FLOPs += 2 * int64(n.args[0].Elements())
	case OpMatMul:
		c.FLOPs += 2 * int64(n.Elements()) * int64(n.args[0].Dim(-1))
	case OpConv:
		k := n.args[1]
		c.FLOPs += 2 * int64(n.Elements()) * int64(k.Elements()/k.shape[0])
	case OpAttention:
		a, q := n.attrs, n.args[0]
		keys := q.shape[0]
		if a.State != nil {
			keys = min(context, a.State.Capacity())
			if a.Keys > 0 {
				keys = a.Keys
			}
			headDim := a.State.Shape[4]
			c.Bytes += int64(len(a.Segments)) * int64(keys*a.KVHeads*headDim) * int64(a.State.DType.Size()+a.Values.DType.Size())
		}
		c.FLOPs += 4 * int64(q.Elements()) * int64(keys)
	default:
		c.FLOPs += int64(n.Elements())
	}
}
