package backend

// lowerings holds for each composite and fused op how simpler ops compute it.
// A lowering is the op's definition: its fallback, its documentation, and the
// oracle that its kernels are tested against. It records on the graph of args
// and returns the op's outputs.
var lowerings = map[Op]func(n *Tensor, args []*Tensor) []*Tensor{}

func init() {
	lowerings[OpLinear] = lowerLinear
	lowerings[OpLinearGroup] = lowerLinearGroup
	lowerings[OpGatedLinear] = lowerGatedLinear
	lowerings[OpLinearTopK] = lowerLinearTopK
	lowerings[OpMapSum] = lowerMapSum
	lowerings[OpLayerNorm] = lowerLayerNorm
	lowerings[OpRMSNorm] = lowerRMSNorm
	lowerings[OpGELU] = lowerGELU
	lowerings[OpGELUTanh] = lowerGELUTanh
	lowerings[OpSiLU] = lowerSiLU
	lowerings[OpReLU] = lowerReLU
	lowerings[OpSwiGLU] = lowerSwiGLU
	lowerings[OpSoftmax] = lowerSoftmax
	lowerings[OpPositions] = lowerPositions
	lowerings[OpRotaryTable] = lowerRotaryTable
	lowerings[OpRoPE] = lowerRoPE
	lowerings[OpAttention] = lowerAttention
	lowerings[OpCacheUpdate] = lowerCacheUpdate
	lowerings[OpTopK] = lowerTopK
}

// Lower returns the graph with every composite that keep refuses replaced by
// its lowering, until only primitives and kept composites are left. A nil keep
// refuses all.
func Lower(g *Graph, keep func(*Tensor) bool) *Graph {
	for {
		found := false
		next := rewrite(g, func(n *Tensor, args []*Tensor) []*Tensor {
			if !n.op.Composite() || (keep != nil && keep(n)) {
				return nil
			}
			found = true
			outs := lowerings[n.op](n, args)
			if outs == nil {
				outs = []*Tensor{}
			}
			return outs
		})
		if !found {
			return g
		}
		g = next
	}
}

// rewrite copies a graph node by node. replace may record other nodes instead
// of n, on the new operands, and return its outputs; nil copies n as it is.
// Parts of a replaced node become its outputs.
func rewrite(g *Graph, replace func(n *Tensor, args []*Tensor) []*Tensor) *Graph {
	dst := NewGraph()
	dst.nodes = make([]*Tensor, 0, len(g.nodes)+len(g.nodes)/4)
	outs := make([][]*Tensor, len(g.nodes))
	for _, n := range g.nodes {
		dst.caller, dst.scopes = n.caller, nil
		if n.scope != "" {
			dst.scopes = []string{n.scope}
		}
		if n.op == OpPart {
			o := outs[n.args[0].id]
			if len(o) == 0 {
				continue // pruned
			}
			if len(o) > 1 || o[0].dtype != Invalid {
				outs[n.id] = o[n.attrs.Part : n.attrs.Part+1]
				continue
			}
		}
		args := make([]*Tensor, len(n.args))
		for i, a := range n.args {
			if o := outs[a.id]; len(o) > 0 {
				args[i] = o[0]
			}
		}
		o := replace(n, args)
		if o == nil {
			o = []*Tensor{dst.copy(n, args)}
		}
		outs[n.id] = o
	}
	dst.caller, dst.scopes = nil, nil
	for _, in := range g.inputs {
		dst.inputs = append(dst.inputs, outs[in.id][0])
	}
	for _, o := range g.outputs {
		dst.outputs = append(dst.outputs, Output{o.Name, outs[o.Tensor.id][0]})
	}
	if dst.err == nil {
		dst.err = g.err
	}
	return dst
}

// copy records n again on other operands.
func (g *Graph) copy(n *Tensor, args []*Tensor) *Tensor {
	if n.op == OpWeight {
		return g.Weight(n.attrs.Weight)
	}
	return g.add(n.op, n.dtype, n.shape, n.attrs, args...)
}

// prune drops the nodes that neither an output nor a state needs. Inputs stay.
func prune(g *Graph) *Graph {
	live := make([]bool, len(g.nodes))
	for _, o := range g.outputs {
		live[o.Tensor.id] = true
	}
	for i := len(g.nodes) - 1; i >= 0; i-- {
		n := g.nodes[i]
		if n.writesState() || n.op == OpInput {
			live[i] = true
		}
		if !live[i] {
			continue
		}
		for _, a := range n.args {
			live[a.id] = true
		}
	}
	// All outputs of a live node keep their places.
	for _, n := range g.nodes {
		if n.op == OpPart && live[n.args[0].id] {
			live[n.id] = true
		}
	}
	return rewrite(g, func(n *Tensor, _ []*Tensor) []*Tensor {
		if !live[n.id] {
			return []*Tensor{}
		}
		return nil
	})
}

func (t *Tensor) writesState() bool { return t.op == OpStateWrite || t.op == OpCacheUpdate }
