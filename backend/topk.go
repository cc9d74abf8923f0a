package backend

import "math"

// MaxTopK is the largest k of TopK.
const MaxTopK = 64

// TopK returns the k largest elements of each row of [rows, n], largest first
// and of equals the first: their indices, I32 [rows, k], and values, [rows, k].
// k = 1 is arg-max. A NaN counts as the largest.
func (t *Tensor) TopK(k int) (ids, values *Tensor) {
	g := t.graph
	if t.dtype != F32 || t.Rank() != 2 || k < 1 || k > MaxTopK || k > t.shape[1] {
		t = g.fail(OpTopK, "%d of %s%v", k, t.dtype, t.shape)
		return t, t
	}
	return g.topKParts(g.add(OpTopK, Invalid, nil, Attrs{K: k}, t), t.shape[0])
}

func (g *Graph) topKParts(n *Tensor, rows int) (ids, values *Tensor) {
	shape := []int{rows, n.attrs.K}
	return g.add(OpPart, I32, shape, Attrs{Part: 0}, n), g.add(OpPart, F32, shape, Attrs{Part: 1}, n)
}

func lowerTopK(n *Tensor, args []*Tensor) []*Tensor {
	x := args[0]
	g := x.graph
	column := g.Iota(1, 1, x.shape[1])
	none := g.Scalar(float32(math.Inf(-1)))
	left := x.Max(g.Scalar(-math.MaxFloat32)) // -Inf is left to those that are taken
	var ids, values []*Tensor
	for range n.attrs.K {
		id := left.ArgMax()
		taken := column.Equal(id)
		ids, values = append(ids, id), append(values, taken.Select(x, none).ReduceMax(-1))
		left = taken.Select(none, left)
	}
	return []*Tensor{Concat(1, ids...), Concat(1, values...)}
}
