package cpu

import (
	"math"

	"emily/backend"
)

func bindPositions(b *binder, n *backend.Tensor) bool {
	lens := n.Attrs().Segments
	table, y := b.arg(0), b.out(0)
	b.phase(1, func(f *frame, _ *worker, _ int) {
		row := 0
		for s, l := range lens {
			first := f.i32(table)[3*s+1]
			for i := range l {
				f.i32(y)[row+i] = first + int32(i)
			}
			row += l
		}
	})
	return true
}

func bindRotaryTable(b *binder, n *backend.Tensor) bool {
	half, scale := n.Dim(1)/2, float64(n.Attrs().Scale)
	pos, freq, y := b.arg(0), b.arg(1), b.out(0)
	b.ranges(n.Dim(0), 40*half, func(f *frame, _ *worker, from, to int) {
		for i := from; i < to; i++ {
			row := f.f32(y)[2*half*i : 2*half*(i+1)]
			for k, v := range f.f32(freq)[:half] {
				sin, cos := math.Sincos(float64(float32(f.i32(pos)[i]) * v)) // the angle is rounded to f32, as in the reference
				row[k], row[half+k] = float32(cos*scale), float32(sin*scale)
			}
		}
	})
	return true
}

// rotation is the loop that normalises and rotates one head of a row.
type rotation struct {
	norm   func(dst, x []float32)
	rotate func(dst, x, cos, sin []float32)
	half   int
}

func (b *binder) rotation(a backend.Attrs, table *backend.Tensor, norm []*backend.Tensor) rotation {
	return rotation{b.prologue(a, norm), b.set.Rotate, table.Dim(1) / 2}
}

// head sets dst to one rotated head; row is its row of the rotary table.
func (r *rotation) head(dst, x, row []float32) {
	if r.norm != nil {
		r.norm(dst, x)
		x = dst
	}
	r.rotate(dst[:2*r.half], x[:2*r.half], row[:r.half], row[r.half:])
	if len(x) > 2*r.half && &dst[0] != &x[0] {
		copy(dst[2*r.half:], x[2*r.half:])
	}
}

func bindRoPE(b *binder, n *backend.Tensor) bool {
	a, width := n.Attrs(), n.Dim(1)
	headDim := width / a.Heads
	r := b.rotation(a, n.Args()[1], n.Args()[2:])
	x, table, y := b.arg(0), b.arg(1), b.out(0)
	b.ranges(n.Dim(0), 4*width, func(f *frame, _ *worker, from, to int) {
		for i := from; i < to; i++ {
			row := f.f32(table)[2*r.half*i : 2*r.half*(i+1)]
			for h := i * width; h < (i+1)*width; h += headDim {
				r.head(f.f32(y)[h:h+headDim], f.f32(x)[h:h+headDim], row)
			}
		}
	})
	return true
}
