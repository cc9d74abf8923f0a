package cpu

import (
	"math"

	"emily/backend"
)

func bindReduce(b *binder, n *backend.Tensor) bool {
	shape, axis := n.Args()[0].Shape(), n.Attrs().Axis
	count, inner := shape[axis], 1
	for _, d := range shape[axis+1:] {
		inner *= d
	}
	one, many, empty := b.set.Sum, b.set.Add, float32(0)
	if n.Op() == backend.OpReduceMax {
		one, many, empty = b.set.MaxOf, b.set.Max, float32(math.Inf(-1))
	}
	x, y := b.arg(0), b.out(0)
	if inner == 1 {
		b.ranges(n.Elements(), count, func(f *frame, _ *worker, from, to int) {
			for i := from; i < to; i++ {
				f.f32(y)[i] = one(f.f32(x)[i*count : (i+1)*count])
			}
		})
		return true
	}
	if inner == 0 {
		return true
	}
	b.ranges(n.Elements()/inner, count*inner, func(f *frame, _ *worker, from, to int) {
		for i := from; i < to; i++ {
			dst, src := f.f32(y)[i*inner:(i+1)*inner], f.f32(x)[i*count*inner:]
			for k := range dst {
				dst[k] = empty
			}
			for k := range count {
				many(dst, dst, src[k*inner:(k+1)*inner])
			}
		}
	})
	return true
}

// bindMapSum sums what an op computes of a row, block by block in scratch that
// stays in the cache.
func bindMapSum(b *binder, n *backend.Tensor) bool {
	const block = 2048
	operands := n.Args()
	m, width := n.Elements(), operands[0].Dim(-1)
	y, x := b.out(0), b.arg(0)
	if n.Attrs().Map == backend.OpSoftmax {
		b.ranges(m, 8*width, func(f *frame, w *worker, from, to int) {
			for i := from; i < to; i++ {
				row, e := f.f32(x)[i*width:(i+1)*width], w.floats(width)
				sum := b.set.ExpSum(e, row, b.set.MaxOf(row))
				b.set.MulScalar(e, e, 1/sum)
				f.f32(y)[i] = b.set.Sum(e)
			}
		})
		return true
	}
	loop, work := b.mapSum(n), 4
	if len(operands) == 2 {
		work = 1
	}
	b.ranges(m, work*width, func(f *frame, w *worker, from, to int) {
		for i := from; i < to; i++ {
			sum := float32(0)
			for j := i * width; j < (i+1)*width; j += block {
				sum += loop(f, w, j, min(block, (i+1)*width-j))
			}
			f.f32(y)[i] = sum
		}
	})
	return true
}

// mapSum returns the loop that sums n elements of what an op computes, from one
// place of its operands on. Sums and products need no scratch.
func (b *binder) mapSum(n *backend.Tensor) func(f *frame, w *worker, at, n int) float32 {
	both := map[backend.Op]func(x, y []float32) float32{backend.OpAdd: b.set.AddSum, backend.OpMul: b.set.Dot}[n.Attrs().Map]
	if both != nil {
		x, z := b.arg(0), b.arg(1)
		return func(f *frame, _ *worker, at, n int) float32 { return both(f.f32(x)[at:at+n], f.f32(z)[at:at+n]) }
	}
	loop := b.mapped(n)
	return func(f *frame, w *worker, at, n int) float32 {
		part := w.floats(n)
		loop(f, part, at)
		return b.set.Sum(part)
	}
}

// mapped returns the loop that computes elements of the op in a map sum, from
// one place of its operands on.
func (b *binder) mapped(n *backend.Tensor) func(f *frame, dst []float32, at int) {
	x := b.arg(0)
	if len(n.Args()) == 1 {
		loop := b.unary(n.Attrs().Map)
		return func(f *frame, dst []float32, at int) { loop(dst, f.f32(x)[at:at+len(dst)]) }
	}
	loop, z := b.binary(n.Attrs().Map), b.arg(1)
	return func(f *frame, dst []float32, at int) { loop(dst, f.f32(x)[at:at+len(dst)], f.f32(z)[at:at+len(dst)]) }
}

func bindArgMax(b *binder, n *backend.Tensor) bool {
	m, width := n.Elements(), n.Args()[0].Dim(-1)
	x, y := b.arg(0), b.out(0)
	b.ranges(m, width, func(f *frame, _ *worker, from, to int) {
		for i := from; i < to; i++ {
			f.i32(y)[i] = int32(b.set.ArgMax(f.f32(x)[i*width : (i+1)*width]))
		}
	})
	return true
}

func bindSoftmax(b *binder, n *backend.Tensor) bool {
	m, width := rows(n)
	x, y := b.arg(0), b.out(0)
	b.ranges(m, 8*width, func(f *frame, _ *worker, from, to int) {
		for i := from; i < to; i++ {
			src, dst := f.f32(x)[i*width:(i+1)*width], f.f32(y)[i*width:(i+1)*width]
			sum := b.set.ExpSum(dst, src, b.set.MaxOf(src))
			b.set.MulScalar(dst, dst, 1/sum)
		}
	})
	return true
}

// norm returns the loop that normalises one group of elements.
func (b *binder) norm(kind backend.Norm, eps float32, weights []*backend.Tensor) func(dst, x []float32) {
	var vectors [2][]float32
	for i, t := range weights {
		vectors[i] = b.vector(t)
	}
	weight, bias := vectors[0], vectors[1]
	n := float32(len(weight))
	return func(dst, x []float32) {
		var mean float32
		if kind == backend.LayerNorm {
			mean = b.set.Sum(x) / n
		}
		scale := 1 / math.Sqrt(float64(b.set.SumSquares(x, mean)/n)+float64(eps))
		b.set.Norm(dst, x, mean, float32(scale), weight, bias)
	}
}

func bindNorm(b *binder, n *backend.Tensor) bool {
	kind := backend.RMSNorm
	if n.Op() == backend.OpLayerNorm {
		kind = backend.LayerNorm
	}
	width := n.Args()[1].Dim(0)
	loop := b.norm(kind, n.Attrs().Eps, n.Args()[1:])
	x, y := b.arg(0), b.out(0)
	b.ranges(n.Elements()/width, 3*width, func(f *frame, _ *worker, from, to int) {
		for i := from; i < to; i++ {
			loop(f.f32(y)[i*width:(i+1)*width], f.f32(x)[i*width:(i+1)*width])
		}
	})
	return true
}
