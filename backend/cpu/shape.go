package cpu

import (
	"encoding/binary"
	"math"

	"emily/backend"
)

// bindCopy copies a view into an output.
func bindCopy(b *binder, n *backend.Tensor) bool {
	x, y := b.raw(0), b.out(0)
	b.ranges(n.Bytes(), 1, func(f *frame, _ *worker, i, j int) { copy(f.bytes(y)[i:j], f.bytes(x)[i:j]) })
	return true
}

// bindStrided gathers elements at regular distances: slice, transpose, broadcast.
func bindStrided(b *binder, n *backend.Tensor) bool {
	src, a := n.Args()[0], n.Attrs()
	strides := contiguous(src.Shape())
	start := 0
	switch n.Op() {
	case backend.OpSlice:
		start = a.Start * strides[a.Axis]
	case backend.OpTranspose:
		moved := make([]int, len(a.Perm))
		for i, p := range a.Perm {
			moved[i] = strides[p]
		}
		strides = moved
	case backend.OpBroadcast:
		wide := make([]int, n.Rank())
		off := n.Rank() - src.Rank()
		for i, d := range src.Shape() {
			if d != 1 {
				wide[off+i] = strides[i]
			}
		}
		strides = wide
	}
	b.strided(n, start, strides)
	return true
}

func contiguous(shape []int) []int {
	s, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// strided fills the result, row by row of its last axes, from operand 0.
func (b *binder) strided(n *backend.Tensor, start int, strides []int) {
	if n.Elements() == 0 {
		return
	}
	shape, size := n.Shape(), n.DType().Size()
	inner, axis := 1, len(shape)
	for axis > 0 && (strides[axis-1] == inner || shape[axis-1] == 1) { // runs that are copied whole
		axis--
		inner *= shape[axis]
	}
	last, step := 1, 0 // the axis before them
	if axis > 0 {
		last, step = shape[axis-1], strides[axis-1]
		axis--
	}
	outer := 1
	for _, d := range shape[:axis] {
		outer *= d
	}
	x, y := b.raw(0), b.out(0)
	b.ranges(outer, last*inner*2, func(f *frame, _ *worker, from, to int) {
		src, dst := f.bytes(x), f.bytes(y)
		for o := from; o < to; o++ {
			at, rest := start, o
			for a := axis - 1; a >= 0; a-- {
				at += rest % shape[a] * strides[a]
				rest /= shape[a]
			}
			copyStrided(dst[o*last*inner*size:(o+1)*last*inner*size], src[at*size:], last, step*size, inner*size)
		}
	})
}

// copyStrided copies count runs of n bytes that lie step bytes apart.
func copyStrided(dst, src []byte, count, step, n int) {
	if n == 4 {
		for i := range count {
			binary.NativeEndian.PutUint32(dst[4*i:], binary.NativeEndian.Uint32(src[i*step:]))
		}
		return
	}
	for i := range count {
		copy(dst[i*n:(i+1)*n], src[i*step:i*step+n])
	}
}

func bindConcat(b *binder, n *backend.Tensor) bool {
	axis, size := n.Attrs().Axis, n.DType().Size()
	outer := 1
	for _, d := range n.Shape()[:axis] {
		outer *= d
	}
	if n.Bytes() == 0 {
		return true
	}
	width := n.Bytes() / outer
	y, at := b.out(0), 0
	type part struct {
		ref       ref
		at, width int
	}
	var parts []part
	for i, t := range n.Args() {
		w := t.Elements() * size / outer
		parts = append(parts, part{b.raw(i), at, w})
		at += w
	}
	b.ranges(outer, width/4+1, func(f *frame, _ *worker, from, to int) {
		for _, p := range parts {
			src := f.bytes(p.ref)
			for o := from; o < to; o++ {
				copy(f.bytes(y)[o*width+p.at:][:p.width], src[o*p.width:])
			}
		}
	})
	return true
}

func bindGather(b *binder, n *backend.Tensor) bool {
	table, ids := n.Args()[0], n.Args()[1]
	rows, width := table.Shape()[0], elements(table.Shape()[1:])
	size := table.DType().Size()
	src, index, dst := b.raw(0), b.arg(1), b.out(0)
	stored := b.backend.stored(table.DType())
	whole := table.DType() == backend.I32
	b.ranges(ids.Elements(), width, func(f *frame, _ *worker, from, to int) {
		for i := from; i < to; i++ {
			id := int(f.i32(index)[i])
			switch inside := id >= 0 && id < rows; {
			case whole && inside:
				copy(f.bytes(dst)[i*width*4:][:width*4], f.bytes(src)[id*width*4:])
			case whole:
				for k := range width {
					f.i32(dst)[i*width+k] = -1
				}
			case inside:
				stored.Widen(f.f32(dst)[i*width:(i+1)*width], f.bytes(src)[id*width*size:(id+1)*width*size])
			default:
				for k := range width {
					f.f32(dst)[i*width+k] = float32(math.NaN())
				}
			}
		}
	})
	return true
}

func bindIota(b *binder, n *backend.Tensor) bool {
	axis := n.Attrs().Axis
	inner := 1
	for _, d := range n.Shape()[axis+1:] {
		inner *= d
	}
	size, y := n.Shape()[axis], b.out(0)
	b.ranges(n.Elements(), 1, func(f *frame, _ *worker, from, to int) {
		out := f.i32(y)
		for i := from; i < to; i++ {
			out[i] = int32(i / inner % size)
		}
	})
	return true
}

func bindCast(b *binder, n *backend.Tensor) bool {
	from, to := n.Args()[0].DType(), n.DType()
	x, y := b.raw(0), b.out(0)
	if !from.IsFloat() || from == backend.F32 {
		x = b.arg(0)
	}
	in, out := b.backend.stored(from), b.backend.stored(to)
	b.ranges(n.Elements(), 2, func(f *frame, w *worker, i, j int) {
		src := f.bytes(x)[i*from.Size() : j*from.Size()]
		dst := f.bytes(y)[i*to.Size() : j*to.Size()]
		switch {
		case to == backend.I32:
			truncate(f.i32(y)[i:j], from, src, f, x, i)
		case from == backend.U8:
			for k, v := range src {
				f.f32(y)[i+k] = float32(v)
			}
		case from == backend.I32:
			for k, v := range f.i32(x)[i:j] {
				f.f32(y)[i+k] = float32(v)
			}
		case to == backend.F32:
			in.Widen(floats(dst), src)
		case from == backend.F32:
			out.Narrow(dst, floats(src))
		default: // between the two 16-bit formats
			wide := w.floats(j - i)
			in.Widen(wide, src)
			out.Narrow(dst, wide)
		}
	})
	return true
}

// truncate converts to I32 towards zero.
func truncate(dst []int32, from backend.DType, src []byte, f *frame, x ref, at int) {
	if from == backend.U8 {
		for k, v := range src {
			dst[k] = int32(v)
		}
		return
	}
	for k, v := range f.f32(x)[at : at+len(dst)] {
		dst[k] = int32(v)
	}
}
