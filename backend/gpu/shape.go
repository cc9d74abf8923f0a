package gpu

import "emily/backend"

// copyKernels are the copies by the size of an element.
var copyKernels = map[int]kernel{1: copy8, 2: copy16, 4: copy32}

// move copies elements of a size from x to y, as a mapping with the strides of
// both and their first elements says.
func (b *binder) move(size int, m mapArgs, x, y operand) {
	b.each(copyKernels[size], int(m.count), bytesOf(m), x, y)
}

// moveAll copies a whole buffer.
func (b *binder) moveAll(x, y operand) {
	size := 4
	if x.bytes%4 != 0 || x.offset%4 != 0 || y.offset%4 != 0 {
		size = 1
	}
	one := []int{1}
	b.move(size, mapping([]int{x.bytes / size}, one, one), x, y)
}

func bindReshape(b *binder, n *backend.Tensor) bool {
	b.moveAll(b.arg(0), b.out(0))
	return true
}

// gathered copies n from strided elements of its operand.
func (b *binder) gathered(n *backend.Tensor, from []int, first int) bool {
	m := mapping(n.Shape(), from, strides(n.Shape()))
	m.a0 = i32(first)
	b.move(n.DType().Size(), m, b.arg(0), b.out(0))
	return true
}

func bindSlice(b *binder, n *backend.Tensor) bool {
	from := strides(n.Args()[0].Shape())
	return b.gathered(n, from, n.Attrs().Start*from[n.Attrs().Axis])
}

func bindTranspose(b *binder, n *backend.Tensor) bool {
	steps := strides(n.Args()[0].Shape())
	from := make([]int, len(steps))
	for i, p := range n.Attrs().Perm {
		from[i] = steps[p]
	}
	return b.gathered(n, from, 0)
}

func bindBroadcast(b *binder, n *backend.Tensor) bool {
	return b.gathered(n, spread(n.Args()[0].Shape(), n.Rank()), 0)
}

func bindConcat(b *binder, n *backend.Tensor) bool {
	to, at := strides(n.Shape()), 0
	for i, part := range n.Args() {
		m := mapping(part.Shape(), strides(part.Shape()), to)
		m.b0 = i32(at * to[n.Attrs().Axis])
		b.move(n.DType().Size(), m, b.arg(i), b.out(0))
		at += part.Dim(n.Attrs().Axis)
	}
	return true
}

func bindGather(b *binder, n *backend.Tensor) bool {
	table, ids := n.Args()[0], n.Args()[1]
	width := 1
	for _, d := range table.Shape()[1:] {
		width *= d
	}
	args := gatherArgs{i32(ids.Elements()), i32(width), i32(table.Dim(0)), i32(int(table.DType()))}
	b.each(gather, n.Elements(), bytesOf(args), b.arg(0), b.arg(1), b.out(0))
	return true
}
