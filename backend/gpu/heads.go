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

// mostHeadParts is the number of operands of whose heads a launch takes care.
const mostHeadParts = 3

// headPart is one of them: its heads become rows again, or go to a cache.
type headPart struct {
	heads, pairs        int
	norm                backend.Attrs
	weights             []*backend.Tensor // of the norm
	x, weight, bias, to operand
	cache               *backend.StateSpec // or nil
	layer               int
}

// headLaunch is a launch for heads. A step adds its part to the launch just
// before, where nothing keeps them apart.
type headLaunch struct {
	at                    int // among the launches
	rows, dim             int
	round                 bool
	rotary, table, places operand
	parts                 []headPart
}

// placeHeads adds heads of rows; table and places are those of a part that goes to a cache.
func (b *binder) placeHeads(rows, dim int, part headPart, rotary, table, places operand) {
	l := b.heads
	if !b.joins(rows, dim, part, rotary, table, places) {
		l = &headLaunch{at: len(b.launches), rows: rows, dim: dim}
		b.heads = l
	} else {
		b.launches = b.launches[:l.at]
	}
	l.parts = append(l.parts, part)
	if part.pairs > 0 {
		l.rotary = rotary
	}
	if part.cache != nil {
		l.table, l.places = table, places
	} else {
		l.round = b.round
	}
	args := headsArgs{rows: i32(rows), dim: i32(dim), round: flag(l.round)}
	operands, total := []operand{l.rotary, l.table, l.places}, 0
	for i, p := range l.parts {
		p.describe(&args, i)
		operands = append(operands, p.x, p.weight, p.bias, p.to)
		total += p.heads
	}
	operands = append(operands, make([]operand, 4*(mostHeadParts-len(l.parts)))...)
	b.each(heads, rows*total*warpSize, bytesOf(args), operands...)
}

// joins reports whether a part can run beside those of the last launch. It must
// go to a cache: the memory of other results may be that of what the launch reads.
func (b *binder) joins(rows, dim int, part headPart, rotary, table, places operand) bool {
	l := b.heads
	if l == nil || part.cache == nil || b.plan.Options.Lane == backend.Eager || l.at != len(b.launches)-1 || l.rows != rows || l.dim != dim || len(l.parts) == mostHeadParts {
		return false
	}
	for _, p := range l.parts {
		apart := p.to.kind == part.x.kind && p.to.index == part.x.index || // it reads what the other writes
			p.cache == part.cache && p.layer == part.layer ||
			p.pairs > 0 && part.pairs > 0 && l.rotary != rotary ||
			p.cache != nil && (l.table != table || l.places != places)
		if apart {
			return false
		}
	}
	return true
}

// describe fills in the arguments of part i.
func (p *headPart) describe(h *headsArgs, i int) {
	h.heads[i], h.pairs[i], h.norm[i], h.eps[i] = i32(p.heads), i32(p.pairs), i32(int(p.norm.Norm)), p.norm.Eps
	if len(p.weights) > 0 {
		h.weightType[i] = i32(int(p.weights[0].DType()))
	}
	if len(p.weights) > 1 {
		h.biasType[i] = i32(int(p.weights[1].DType()))
	}
	if s := p.cache; s != nil {
		h.cached[i], h.dtype[i], h.layer[i], h.slots[i], h.capacity[i] = 1, i32(int(s.DType)), i32(p.layer), i32(s.Shape[1]), i32(s.Shape[3])
	}
}

// normOperands are a norm's weight and bias, perhaps unused, from operand i on.
func (b *binder) normOperands(i int) (weight, bias operand) {
	stored := append(b.args(i), operand{}, operand{})
	return stored[0], stored[1]
}

func bindRoPE(b *binder, n *backend.Tensor) bool {
	a, args := n.Attrs(), n.Args()
	p := headPart{heads: a.Heads, pairs: args[1].Dim(1) / 2, norm: a, weights: args[2:], x: b.arg(0), to: b.out(0)}
	p.weight, p.bias = b.normOperands(2)
	b.placeHeads(n.Dim(0), n.Dim(1)/a.Heads, p, b.arg(1), operand{}, operand{})
	return true
}

func bindCacheUpdate(b *binder, n *backend.Tensor) bool {
	a, args := n.Attrs(), n.Args()
	p, rotary := headPart{x: b.arg(0)}, operand{}
	if a.Rotary {
		p.pairs, p.norm, p.weights, rotary = args[2].Dim(1)/2, a, args[3:], b.arg(2)
		p.weight, p.bias = b.normOperands(3)
	}
	b.store(p, args[0].Dim(0), a, rotary, b.arg(1), a.Segments)
	return true
}

// store writes heads of rows into a layer of a cache.
func (b *binder) store(p headPart, rows int, a backend.Attrs, rotary, table operand, segments []int) {
	p.cache, p.layer, p.to, p.heads = a.State, a.Layer, b.state(a.State), a.State.Shape[2]
	b.placeHeads(rows, a.State.Shape[4], p, rotary, table, b.places(segments))
}

func bindStateWrite(b *binder, n *backend.Tensor) bool {
	a, x := n.Attrs(), n.Args()[0]
	if a.Layer < 0 {
		b.moveAll(b.arg(0), b.state(a.State))
		return true
	}
	b.store(headPart{x: b.arg(0)}, x.Dim(0), a, operand{}, b.arg(1), []int{x.Dim(0)})
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
