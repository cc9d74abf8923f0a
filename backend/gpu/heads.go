package gpu

import (
	"math"

	"emily/backend"
)

// places lists for each row its segment and its index there.
func (b *binder) places(lens []int) operand {
	var list []int32
	for s, l := range lens {
		for i := range l {
			list = append(list, int32(s), int32(i))
		}
	}
	return b.constant(backend.BufferOf(list))
}

func bindPositions(b *binder, n *backend.Tensor) bool {
	b.each(positions, n.Elements(), bytesOf(rowArgs{rows: i32(n.Elements())}), b.arg(0), b.places(n.Attrs().Segments), b.out(0))
	return true
}

func bindRotaryTable(b *binder, n *backend.Tensor) bool {
	args := rotaryArgs{i32(n.Dim(0)), i32(n.Dim(1) / 2), n.Attrs().Scale}
	b.each(rotaryTable, n.Elements()/2, bytesOf(args), b.arg(0), b.arg(1), b.out(0))
	return true
}

// headArgs describes heads that are normalised by the given operands first.
func (b *binder) headArgs(rows, heads, dim int, a backend.Attrs, norm []*backend.Tensor) headArgs {
	h := headArgs{rows: i32(rows), heads: i32(heads), dim: i32(dim), norm: i32(int(a.Norm)), eps: a.Eps}
	if len(norm) > 0 {
		h.weightType = i32(int(norm[0].DType()))
	}
	if len(norm) > 1 {
		h.biasType = i32(int(norm[1].DType()))
	}
	return h
}

// normOperands are a norm's weight and bias, perhaps unused, from operand i on.
func (b *binder) normOperands(i int) (weight, bias operand) {
	stored := append(b.args(i), operand{}, operand{})
	return stored[0], stored[1]
}

func bindRoPE(b *binder, n *backend.Tensor) bool {
	a, args := n.Attrs(), n.Args()
	h := b.headArgs(n.Dim(0), a.Heads, n.Dim(1)/a.Heads, a, args[2:])
	h.pairs, h.round = i32(args[1].Dim(1)/2), flag(b.round)
	weight, bias := b.normOperands(2)
	b.each(rope, n.Dim(0)*a.Heads*warpSize, bytesOf(h), b.arg(0), b.arg(1), weight, bias, b.out(0))
	return true
}

func bindCacheUpdate(b *binder, n *backend.Tensor) bool {
	a, args := n.Attrs(), n.Args()
	h := b.headArgs(args[0].Dim(0), a.State.Shape[2], a.State.Shape[4], a, nil)
	rotary, weight, bias := operand{}, operand{}, operand{}
	if a.Rotary {
		h = b.headArgs(int(h.rows), int(h.heads), int(h.dim), a, args[3:])
		h.pairs, rotary = i32(args[2].Dim(1)/2), b.arg(2)
		weight, bias = b.normOperands(3)
	}
	b.store(h, a, b.arg(0), rotary, weight, bias, b.arg(1), b.places(a.Segments))
	return true
}

// store writes heads of rows into a layer of a cache.
func (b *binder) store(h headArgs, a backend.Attrs, x, rotary, weight, bias, table, places operand) {
	s := a.State
	h.dtype, h.layer, h.slots, h.capacity = i32(int(s.DType)), i32(a.Layer), i32(s.Shape[1]), i32(s.Shape[3])
	b.each(cacheUpdate, int(h.rows*h.heads)*warpSize, bytesOf(h), x, rotary, weight, bias, table, places, b.state(s))
}

func bindStateWrite(b *binder, n *backend.Tensor) bool {
	a, x := n.Attrs(), n.Args()[0]
	if a.Layer < 0 {
		b.moveAll(b.arg(0), b.state(a.State))
		return true
	}
	h := b.headArgs(x.Dim(0), a.State.Shape[2], a.State.Shape[4], backend.Attrs{}, nil)
	b.store(h, a, b.arg(0), operand{}, operand{}, operand{}, b.arg(1), b.places([]int{x.Dim(0)}))
	return true
}

func bindStateRead(b *binder, n *backend.Tensor) bool {
	a := n.Attrs()
	if a.Layer < 0 {
		b.moveAll(b.state(a.State), b.out(0))
		return true
	}
	size := n.Bytes() / 2
	if size > math.MaxInt32 {
		return false
	}
	args := cacheArgs{i32(a.Layer), i32(a.State.Shape[1]), i32(size)}
	b.each(cacheRead, size, bytesOf(args), b.state(a.State), b.arg(0), b.out(0))
	return true
}
