package backend

import "slices"

// fuse applies the fuse passes to a graph of composites. Each pass asks
// supports about the node it would make and merges only what the backend has a
// kernel for. Passes keep the order of effects on states.
func fuse(g *Graph, supports func(*Tensor) bool) *Graph {
	f := fuser{supports}
	for _, pass := range []func(*Graph) *Graph{f.gatedLinears, f.activations, f.residuals, f.linearTopK, f.linearGroups, f.norms, f.cacheUpdates, f.mapSums} {
		g = prune(pass(g))
	}
	return g
}

type fuser struct{ supports func(*Tensor) bool }

// uses counts how often each node is read; outputs count as a use.
func uses(g *Graph) []int {
	n := make([]int, len(g.nodes))
	for _, t := range g.nodes {
		for _, a := range t.args {
			n[a.id]++
		}
	}
	for _, o := range g.outputs {
		n[o.Tensor.id]++
	}
	return n
}

// try keeps a node, the last that was recorded, if the backend has a kernel for it.
func (f fuser) try(t *Tensor) bool {
	g := t.graph
	if g.err == nil && f.supports(t) {
		return true
	}
	if n := len(g.nodes) - 1; g.nodes[n] == t {
		g.nodes = g.nodes[:n]
	}
	return false
}

// plainLinear reports whether t is a product without epilogue that only one node reads.
func plainLinear(t *Tensor, uses []int) bool {
	a := t.attrs
	return t.op == OpLinear && uses[t.id] == 1 && !a.Residual && a.Activation == NoActivation
}

// gatedLinears merges SwiGLU of two products of one input.
func (f fuser) gatedLinears(g *Graph) *Graph {
	n := uses(g)
	mapped := mapping{}
	return rewrite(g, mapped.record(func(t *Tensor, args []*Tensor) []*Tensor {
		if t.op != OpSwiGLU {
			return nil
		}
		gate, up := t.args[0], t.args[1]
		if !plainLinear(gate, n) || !plainLinear(up, n) || gate.args[0] != up.args[0] || gate.attrs.Bias != up.attrs.Bias {
			return nil
		}
		l, u := linearArgs(gate.attrs, mapped.all(gate.args)), linearArgs(up.attrs, mapped.all(up.args))
		l.Weights, l.Biases = append(l.Weights[:1:1], u.Weights...), append(l.Biases[:len(l.Biases):len(l.Biases)], u.Biases...)
		merged := l.X.graph.linear(OpGatedLinear, Attrs{Weights: 2, Bias: gate.attrs.Bias}, l.list())
		if !f.try(merged) {
			return nil
		}
		return []*Tensor{merged}
	}))
}

// activations merges an activation into the product before it.
func (f fuser) activations(g *Graph) *Graph {
	n := uses(g)
	mapped := mapping{}
	return rewrite(g, mapped.record(func(t *Tensor, args []*Tensor) []*Tensor {
		act, ok := activationOps[t.op]
		if !ok || !plainLinear(t.args[0], n) {
			return nil
		}
		lin := t.args[0]
		a := lin.attrs
		a.Activation = act
		merged := args[0].graph.linear(OpLinear, a, mapped.all(lin.args))
		if !f.try(merged) {
			return nil
		}
		return []*Tensor{merged}
	}))
}

// residuals merges the addition of another tensor into the product before it.
func (f fuser) residuals(g *Graph) *Graph {
	n := uses(g)
	mapped := mapping{}
	return rewrite(g, mapped.record(func(t *Tensor, args []*Tensor) []*Tensor {
		if t.op != OpAdd {
			return nil
		}
		for i, lin := range t.args {
			other := t.args[1-i]
			if lin.op != OpLinear || n[lin.id] != 1 || lin.attrs.Residual || !sameShape(lin, other) || lin == other {
				continue
			}
			a := lin.attrs
			a.Residual = true
			l := linearArgs(lin.attrs, mapped.all(lin.args))
			l.Residual = args[1-i]
			merged := l.X.graph.linear(OpLinear, a, l.list())
			if f.try(merged) {
				return []*Tensor{merged}
			}
		}
		return nil
	}))
}

// linearTopK merges TopK into the product whose rows it reads, so that logits need no memory.
func (f fuser) linearTopK(g *Graph) *Graph {
	n := uses(g)
	mapped := mapping{}
	return rewrite(g, mapped.record(func(t *Tensor, args []*Tensor) []*Tensor {
		if t.op != OpTopK || !plainLinear(t.args[0], n) {
			return nil
		}
		lin := t.args[0]
		a := lin.attrs
		a.K = t.attrs.K
		merged := args[0].graph.linear(OpLinearTopK, a, mapped.all(lin.args))
		if !f.try(merged) {
			return nil
		}
		ids, values := merged.graph.topKParts(merged, lin.shape[0])
		return []*Tensor{ids, values}
	}))
}

// linearGroups merges products of one input, all with or all without a bias,
// into one at the place of the first.
func (f fuser) linearGroups(g *Graph) *Graph {
	type key struct {
		input *Tensor
		bias  bool
	}
	group := map[key][]*Tensor{}
	for _, t := range g.nodes {
		a := t.attrs
		if t.op == OpLinear && !a.Residual && a.Activation == NoActivation {
			k := key{t.args[0], a.Bias}
			group[k] = append(group[k], t)
		}
	}
	parts := map[*Tensor]*Tensor{}
	mapped := mapping{}
	return rewrite(g, mapped.record(func(t *Tensor, args []*Tensor) []*Tensor {
		if p := parts[t]; p != nil {
			return []*Tensor{p}
		}
		if t.op != OpLinear {
			return nil
		}
		members := group[key{t.args[0], t.attrs.Bias}]
		if len(members) < 2 || members[0] != t {
			return nil
		}
		return f.group(members, args[0], parts)
	}))
}

// group records one product for all members and remembers each one's part.
func (f fuser) group(members []*Tensor, x *Tensor, parts map[*Tensor]*Tensor) []*Tensor {
	g := x.graph
	l := LinearArgs{X: x}
	for _, m := range members {
		l.Weights = append(l.Weights, g.Weight(m.args[1].attrs.Weight))
	}
	if members[0].attrs.Bias {
		for _, m := range members {
			l.Biases = append(l.Biases, g.Weight(m.args[2].attrs.Weight))
		}
	}
	merged := g.linear(OpLinearGroup, Attrs{Weights: len(members), Bias: members[0].attrs.Bias}, l.list())
	if !f.try(merged) {
		return nil
	}
	for i, m := range members {
		parts[m] = g.add(OpPart, F32, m.shape, Attrs{Part: i}, merged)
	}
	return []*Tensor{parts[members[0]]}
}

// norms merges a norm into the product or rotation that alone reads it.
func (f fuser) norms(g *Graph) *Graph {
	n := uses(g)
	mapped := mapping{}
	return rewrite(g, mapped.record(func(t *Tensor, args []*Tensor) []*Tensor {
		switch t.op {
		case OpLinear, OpLinearGroup, OpGatedLinear, OpLinearTopK, OpRoPE:
		default:
			return nil
		}
		norm := t.args[0]
		if (norm.op != OpRMSNorm && norm.op != OpLayerNorm) || n[norm.id] != 1 || t.attrs.Norm != NoNorm {
			return nil
		}
		a := t.attrs
		a.Eps, a.Norm = norm.attrs.Eps, RMSNorm
		if norm.op == OpLayerNorm {
			a.Norm = LayerNorm
		}
		x := mapped[norm.args[0]]
		operands := slices.Concat([]*Tensor{x}, args[1:], mapped.all(norm.args[1:]))
		merged := x.graph.add(t.op, t.dtype, t.shape, a, operands...)
		if !f.try(merged) {
			return nil
		}
		return []*Tensor{merged}
	}))
}

// cacheUpdates merges a rotation into the write that alone reads it.
func (f fuser) cacheUpdates(g *Graph) *Graph {
	n := uses(g)
	mapped := mapping{}
	return rewrite(g, mapped.record(func(t *Tensor, args []*Tensor) []*Tensor {
		if t.op != OpCacheUpdate || t.args[0].op != OpRoPE || n[t.args[0].id] != 1 || t.attrs.Rotary {
			return nil
		}
		rope := t.args[0]
		a := t.attrs
		a.Rotary, a.Norm, a.Eps = true, rope.attrs.Norm, rope.attrs.Eps
		r := mapped.all(rope.args)
		merged := args[1].graph.add(OpCacheUpdate, Invalid, nil, a, append([]*Tensor{r[0], args[1]}, r[1:]...)...)
		if !f.try(merged) {
			return nil
		}
		return []*Tensor{merged}
	}))
}

// mapping remembers what each old node became, for passes that look past their operands.
type mapping map[*Tensor]*Tensor

func (m mapping) all(ts []*Tensor) []*Tensor {
	out := make([]*Tensor, len(ts))
	for i, t := range ts {
		out[i] = m[t]
	}
	return out
}

// record wraps a replacement so that the mapping learns the operands' new nodes.
func (m mapping) record(f func(t *Tensor, args []*Tensor) []*Tensor) func(*Tensor, []*Tensor) []*Tensor {
	return func(t *Tensor, args []*Tensor) []*Tensor {
		for i, a := range t.args {
			m[a] = args[i]
		}
		return f(t, args)
	}
}
