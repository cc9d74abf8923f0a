package cpu

import (
	"math"

	"emily/backend"
)

// unary returns the loop of an elementwise op.
func (b *binder) unary(op backend.Op) func(dst, x []float32) {
	switch op {
	case backend.OpExp:
		return b.set.Exp
	case backend.OpTanh:
		return b.set.Tanh
	case backend.OpErf:
		return b.set.Erf
	case backend.OpSiLU:
		return b.set.SiLU
	case backend.OpGELU:
		return b.set.GELU
	case backend.OpGELUTanh:
		return b.set.GELUTanh
	case backend.OpNeg:
		return func(dst, x []float32) { b.set.MulScalar(dst, x, -1) }
	case backend.OpReLU:
		return relu
	case backend.OpLog:
		return func(dst, x []float32) { each(dst, x, math.Log) }
	case backend.OpSqrt:
		return func(dst, x []float32) { each(dst, x, math.Sqrt) }
	case backend.OpRsqrt:
		return func(dst, x []float32) { each(dst, x, func(v float64) float64 { return 1 / math.Sqrt(v) }) }
	case backend.OpSin:
		return func(dst, x []float32) { each(dst, x, math.Sin) }
	case backend.OpCos:
		return func(dst, x []float32) { each(dst, x, math.Cos) }
	}
	return nil
}

func each(dst, x []float32, f func(float64) float64) {
	for i, v := range x {
		dst[i] = float32(f(float64(v)))
	}
}

func relu(dst, x []float32) {
	for i, v := range x {
		dst[i] = max(v, 0)
	}
}

// activation returns the loop of a linear layer's epilogue, nil for none.
func (b *binder) activation(a backend.Activation) func(dst, x []float32) {
	switch a {
	case backend.GELU:
		return b.set.GELU
	case backend.GELUTanh:
		return b.set.GELUTanh
	case backend.SiLU:
		return b.set.SiLU
	case backend.ReLU:
		return relu
	case backend.Tanh:
		return b.set.Tanh
	}
	return nil
}

func bindUnary(b *binder, n *backend.Tensor) bool {
	loop, x, y := b.unary(n.Op()), b.arg(0), b.out(0)
	b.ranges(n.Elements(), 4, func(f *frame, _ *worker, i, j int) { loop(f.f32(y)[i:j], f.f32(x)[i:j]) })
	return true
}

func bindSwiGLU(b *binder, n *backend.Tensor) bool {
	gate, up, y := b.arg(0), b.arg(1), b.out(0)
	b.ranges(n.Elements(), 4, func(f *frame, _ *worker, i, j int) {
		b.set.SwiGLU(f.f32(y)[i:j], f.f32(gate)[i:j], f.f32(up)[i:j])
	})
	return true
}

// binary returns the loop of an arithmetic op.
func (b *binder) binary(op backend.Op) func(dst, x, y []float32) {
	return map[backend.Op]func(dst, x, y []float32){
		backend.OpAdd: b.set.Add, backend.OpSub: b.set.Sub, backend.OpMul: b.set.Mul,
		backend.OpDiv: b.set.Div, backend.OpMax: b.set.Max, backend.OpMin: b.set.Min,
	}[op]
}

// repeat is the length of the blocks in which a repeated scalar meets a row.
const repeat = 256

func bindBinary(b *binder, n *backend.Tensor) bool {
	if n.DType() == backend.I32 {
		return bindIntegers(b, n)
	}
	loop := b.binary(n.Op())
	it := broadcast(n.Shape(), n.Args()[0].Shape(), n.Args()[1].Shape())
	x, y, z := b.arg(0), b.arg(1), b.out(0)
	// elements computes from:to of outer row o.
	elements := func(f *frame, w *worker, o, from, to int) {
		fill := w.floats(2 * repeat)
		px, py := it.operand(0, f.f32(x), o, fill[:repeat]), it.operand(1, f.f32(y), o, fill[repeat:])
		dst := f.f32(z)[o*it.inner:][from:to]
		if it.steps[0] == 1 && it.steps[1] == 1 {
			loop(dst, px[from:to], py[from:to])
			return
		}
		for i := from; i < to; i += repeat {
			j := min(i+repeat, to)
			loop(dst[i-from:j-from], it.block(0, px, i, j), it.block(1, py, i, j))
		}
	}
	if it.outer == 1 {
		b.ranges(it.inner, 1, func(f *frame, w *worker, from, to int) { elements(f, w, 0, from, to) })
		return true
	}
	b.ranges(it.outer, it.inner, func(f *frame, w *worker, from, to int) {
		for o := from; o < to; o++ {
			elements(f, w, o, 0, it.inner)
		}
	})
	return true
}

// iteration walks a broadcast result as outer rows of inner elements. On the
// inner axis each operand either advances (step 1) or repeats (step 0).
type iteration struct {
	outer, inner int
	dims         []int   // of the outer axes
	strides      [][]int // of each operand on them
	steps        []int   // of each operand on the inner axis
}

// broadcast merges the trailing axes on which every operand advances or repeats.
func broadcast(shape []int, operands ...[]int) *iteration {
	it := &iteration{outer: 1, inner: 1, strides: make([][]int, len(operands)), steps: make([]int, len(operands))}
	full := make([][]int, len(operands)) // strides on every axis
	for i, s := range operands {
		full[i] = make([]int, len(shape))
		stride := 1
		for a := len(s) - 1; a >= 0; a-- {
			if s[a] != 1 {
				full[i][len(shape)-len(s)+a] = stride
			}
			stride *= s[a]
		}
	}
	axis := len(shape)
	for axis > 0 && it.joins(full, shape, axis-1) {
		axis--
		for i := range operands {
			if shape[axis] != 1 && full[i][axis] != 0 {
				it.steps[i] = 1
			}
		}
		it.inner *= shape[axis]
	}
	it.dims = shape[:axis]
	for i := range operands {
		it.strides[i] = full[i][:axis]
	}
	for _, d := range it.dims {
		it.outer *= d
	}
	return it
}

// joins reports whether the axis continues the inner run of every operand.
func (it *iteration) joins(full [][]int, shape []int, axis int) bool {
	if shape[axis] == 1 || it.inner == 1 {
		for i := range full {
			if full[i][axis] > 1 && shape[axis] != 1 {
				return false
			}
		}
		return true
	}
	for i := range full {
		if full[i][axis] != it.steps[i]*it.inner {
			return false
		}
	}
	return true
}

// offset is where operand i starts in outer row o.
func (it *iteration) offset(i, o int) int {
	at := 0
	for a := len(it.dims) - 1; a >= 0; a-- {
		at += o % it.dims[a] * it.strides[i][a]
		o /= it.dims[a]
	}
	return at
}

// operand returns operand i's elements in outer row o; one that repeats is a filled block.
func (it *iteration) operand(i int, x []float32, o int, fill []float32) []float32 {
	at := it.offset(i, o)
	if it.steps[i] == 1 {
		return x[at : at+it.inner]
	}
	for k := range min(repeat, it.inner) {
		fill[k] = x[at]
	}
	return fill
}

// block cuts from:to out of an operand.
func (it *iteration) block(i int, x []float32, from, to int) []float32 {
	if it.steps[i] == 1 {
		return x[from:to]
	}
	return x[:to-from]
}

func bindIntegers(b *binder, n *backend.Tensor) bool {
	loop := integers[n.Op()]
	it := broadcast(n.Shape(), n.Args()[0].Shape(), n.Args()[1].Shape())
	x, y, z := b.arg(0), b.arg(1), b.out(0)
	b.ranges(it.outer, 4*it.inner, func(f *frame, _ *worker, from, to int) {
		xs, ys, zs := f.i32(x), f.i32(y), f.i32(z)
		for o := from; o < to; o++ {
			px, py := it.offset(0, o), it.offset(1, o)
			for i := range it.inner {
				zs[o*it.inner+i] = loop(xs[px+i*it.steps[0]], ys[py+i*it.steps[1]])
			}
		}
	})
	return true
}

var integers = map[backend.Op]func(x, y int32) int32{
	backend.OpAdd: func(x, y int32) int32 { return x + y },
	backend.OpSub: func(x, y int32) int32 { return x - y },
	backend.OpMul: func(x, y int32) int32 { return x * y },
	backend.OpMax: func(x, y int32) int32 { return max(x, y) },
	backend.OpMin: func(x, y int32) int32 { return min(x, y) },
	backend.OpDiv: func(x, y int32) int32 {
		if y == 0 {
			return 0
		}
		return x / y
	},
}

func bindCompare(b *binder, n *backend.Tensor) bool {
	it := broadcast(n.Shape(), n.Args()[0].Shape(), n.Args()[1].Shape())
	x, y, z := b.arg(0), b.arg(1), b.out(0)
	less, whole := n.Op() == backend.OpLess, n.Args()[0].DType() == backend.I32
	b.ranges(it.outer, 4*it.inner, func(f *frame, _ *worker, from, to int) {
		for o := from; o < to; o++ {
			dst := f.bytes(z)[o*it.inner : (o+1)*it.inner]
			px, py := it.offset(0, o), it.offset(1, o)
			if whole {
				compare(dst, f.i32(x)[px:], f.i32(y)[py:], it.steps, less)
			} else {
				compare(dst, f.f32(x)[px:], f.f32(y)[py:], it.steps, less)
			}
		}
	})
	return true
}

func compare[T int32 | float32](dst []byte, x, y []T, steps []int, less bool) {
	for i := range dst {
		u, v := x[i*steps[0]], y[i*steps[1]]
		dst[i] = 0
		if (less && u < v) || (!less && u == v) {
			dst[i] = 1
		}
	}
}

func bindSelect(b *binder, n *backend.Tensor) bool {
	it := broadcast(n.Shape(), n.Args()[0].Shape(), n.Args()[1].Shape(), n.Args()[2].Shape())
	cond, x, y, z := b.arg(0), b.arg(1), b.arg(2), b.out(0)
	// Elements are moved as 32 bits, whatever they mean.
	b.ranges(it.outer, 4*it.inner, func(f *frame, _ *worker, from, to int) {
		c, xs, ys, zs := f.bytes(cond), f.i32(x), f.i32(y), f.i32(z)
		for o := from; o < to; o++ {
			pc, px, py := it.offset(0, o), it.offset(1, o), it.offset(2, o)
			for i := range it.inner {
				if c[pc+i*it.steps[0]] != 0 {
					zs[o*it.inner+i] = xs[px+i*it.steps[1]]
				} else {
					zs[o*it.inner+i] = ys[py+i*it.steps[2]]
				}
			}
		}
	})
	return true
}
