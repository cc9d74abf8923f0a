package gpu

import (
	"slices"

	"emily/backend"
)

// unaryOps and binaryOps number the ops as kernels/src/elementwise.cu does.
var (
	unaryOps = []backend.Op{
		backend.OpNeg, backend.OpExp, backend.OpLog, backend.OpTanh, backend.OpErf, backend.OpSqrt, backend.OpRsqrt,
		backend.OpSin, backend.OpCos, backend.OpGELU, backend.OpGELUTanh, backend.OpSiLU, backend.OpReLU,
	}
	binaryOps = []backend.Op{
		backend.OpAdd, backend.OpSub, backend.OpMul, backend.OpDiv, backend.OpMax, backend.OpMin, backend.OpLess,
		backend.OpEqual, backend.OpSwiGLU,
	}
)

func bindUnary(b *binder, n *backend.Tensor) bool {
	args := mapArgs{count: i32(n.Elements()), op: i32(slices.Index(unaryOps, n.Op()))}
	b.each(unary, n.Elements(), bytesOf(args), b.arg(0), b.out(0))
	return true
}

func bindBinary(b *binder, n *backend.Tensor) bool {
	k := binaryFloat
	if n.DType() == backend.U8 {
		k = compareFloat
	}
	if n.Args()[0].DType() == backend.I32 {
		k++ // the kernel for int
	}
	m := broadcast(n.Shape(), n.Args()...)
	m.op = i32(slices.Index(binaryOps, n.Op()))
	b.each(k, n.Elements(), bytesOf(m), b.arg(0), b.arg(1), b.out(0))
	return true
}

func bindSelect(b *binder, n *backend.Tensor) bool {
	b.each(select32, n.Elements(), bytesOf(broadcast(n.Shape(), n.Args()...)), b.arg(0), b.arg(1), b.arg(2), b.out(0))
	return true
}

func bindIota(b *binder, n *backend.Tensor) bool {
	along := make([]int, n.Rank())
	along[n.Attrs().Axis] = 1
	b.each(iotas, n.Elements(), bytesOf(mapping(n.Shape(), along)), b.out(0))
	return true
}

func bindCast(b *binder, n *backend.Tensor) bool {
	args := mapArgs{count: i32(n.Elements()), op: 8*i32(int(n.Args()[0].DType())) + i32(int(n.DType()))}
	b.each(cast, n.Elements(), bytesOf(args), b.arg(0), b.out(0))
	return true
}

// strides are the distances of a row-major shape's elements along each axis.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = step
		step *= shape[i]
	}
	return s
}

// spread are the strides of an operand that is broadcast to a number of axes.
func spread(shape []int, rank int) []int {
	s := make([]int, rank)
	for i, step := range strides(shape) {
		if shape[i] != 1 {
			s[rank-len(shape)+i] = step
		}
	}
	return s
}

// broadcast maps the elements of a shape to those of up to three operands.
func broadcast(shape []int, operands ...*backend.Tensor) mapArgs {
	steps := make([][]int, len(operands))
	for i, t := range operands {
		steps[i] = spread(t.Shape(), len(shape))
	}
	return mapping(shape, steps...)
}

// mapping maps the elements of a shape to operands with the given strides.
// Axes along which all operands go on evenly become one.
func mapping(shape []int, steps ...[]int) mapArgs {
	m := mapArgs{count: 1}
	to := [...]*[maxRank]int32{&m.a, &m.b, &m.c}
	merges := func(axis int) bool { // into the one that was added last
		for i, s := range steps {
			if to[i][m.rank-1] != i32(s[axis]*shape[axis]) {
				return false
			}
		}
		return true
	}
	for axis, d := range shape {
		m.count *= i32(d)
		if d == 1 {
			continue
		}
		if m.rank > 0 && merges(axis) {
			m.shape[m.rank-1] *= i32(d)
		} else {
			m.shape[m.rank] = i32(d)
			m.rank++
		}
		for i, s := range steps {
			to[i][m.rank-1] = i32(s[axis])
		}
	}
	return m
}
