package backend

import "slices"

// mapped are the ops whose results the fuse passes sum without storing them.
var mapped = map[Op]bool{
	OpNeg: true, OpExp: true, OpTanh: true, OpErf: true, OpGELU: true, OpGELUTanh: true, OpSiLU: true, OpReLU: true,
	OpAdd: true, OpSub: true, OpMul: true, OpDiv: true, OpMax: true, OpMin: true, OpSoftmax: true,
}

// mapSum records the sum along the last axis of an op's result: one pass over
// the operands instead of a second one over what would be stored.
func mapSum(op Op, args []*Tensor) *Tensor {
	shape := slices.Clone(args[0].shape)
	shape[len(shape)-1] = 1
	return args[0].graph.add(OpMapSum, F32, shape, Attrs{Map: op}, args...)
}

func lowerMapSum(n *Tensor, args []*Tensor) []*Tensor {
	x := args[0]
	return []*Tensor{x.graph.add(n.attrs.Map, F32, x.shape, Attrs{}, args...).Sum(-1)}
}

// mapSums merges an op into the sum along the last axis that alone reads it.
func (f fuser) mapSums(g *Graph) *Graph {
	n := uses(g)
	before := mapping{}
	return rewrite(g, before.record(func(t *Tensor, _ []*Tensor) []*Tensor {
		if t.op != OpReduceSum || t.attrs.Axis != t.Rank()-1 {
			return nil
		}
		x := t.args[0]
		broadcasts := func(a *Tensor) bool { return !sameShape(a, x) }
		if !mapped[x.op] || n[x.id] != 1 || slices.ContainsFunc(x.args, broadcasts) {
			return nil
		}
		merged := mapSum(x.op, before.all(x.args))
		if !f.try(merged) {
			return nil
		}
		return []*Tensor{merged}
	}))
}
