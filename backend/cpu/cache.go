package cpu

import (
	"slices"

	"emily/backend"
	"emily/backend/cpu/kernel"
)

// cache addresses one layer of a cache [layers, slots, heads, capacity, head_dim].
type cache struct {
	index, layer                    int
	slots, heads, capacity, headDim int
	size                            int
	stored                          *kernel.Stored
}

func (b *binder) cache(spec *backend.StateSpec, layer int) cache {
	s := spec.Shape
	return cache{slices.Index(b.plan.States, spec), layer, s[1], s[2], s[3], s[4], spec.DType.Size(), b.backend.stored(spec.DType)}
}

// head returns the rows of one head, [capacity, head_dim] in the stored dtype;
// a slot that does not exist reads slot 0.
func (c *cache) head(f *frame, slot, head int) []byte {
	if slot < 0 || slot >= c.slots {
		slot = 0
	}
	n := c.capacity * c.headDim * c.size
	at := ((c.layer*c.slots+slot)*c.heads + head) * n
	return f.caches[c.index].data[at : at+n]
}

func bindStateRead(b *binder, n *backend.Tensor) bool {
	a := n.Attrs()
	y := b.out(0)
	if a.Layer < 0 {
		i := slices.Index(b.plan.States, a.State)
		b.phase(1, func(f *frame, _ *worker, _ int) { copy(f.bytes(y), f.caches[i].data) })
		return true
	}
	c, slot := b.cache(a.State, a.Layer), b.arg(0)
	head := c.capacity * c.headDim * c.size
	b.ranges(c.heads, head/2, func(f *frame, _ *worker, from, to int) {
		for h := from; h < to; h++ {
			copy(f.bytes(y)[h*head:(h+1)*head], c.head(f, int(f.i32(slot)[0]), h))
		}
	})
	return true
}

func bindStateWrite(b *binder, n *backend.Tensor) bool {
	a := n.Attrs()
	x := b.arg(0)
	if a.Layer < 0 {
		i := slices.Index(b.plan.States, a.State)
		b.phase(1, func(f *frame, _ *worker, _ int) { copy(f.caches[i].data, f.bytes(x)) })
		return true
	}
	b.write(a, x, b.arg(1), []int{n.Args()[0].Dim(0)}, nil)
	return true
}

func bindCacheUpdate(b *binder, n *backend.Tensor) bool {
	a, args := n.Attrs(), n.Args()
	x, table := b.arg(0), b.arg(1)
	if !a.Rotary {
		b.write(a, x, table, a.Segments, nil)
		return true
	}
	r := b.rotation(a, args[2], args[3:])
	rotary := b.arg(2)
	b.write(a, x, table, a.Segments, func(f *frame, dst, src []float32, row int) {
		r.head(dst, src, f.f32(rotary)[2*r.half*row:2*r.half*(row+1)])
	})
	return true
}

// write stores rows of x at the places that the table of segments gives.
func (b *binder) write(a backend.Attrs, x, table ref, lens []int, rotate func(f *frame, dst, src []float32, row int)) {
	c := b.cache(a.State, a.Layer)
	width, total := c.heads*c.headDim, 0
	var segment, index []int // of each row
	for s, l := range lens {
		for i := range l {
			segment, index = append(segment, s), append(index, i)
		}
		total += l
	}
	b.ranges(total, 4*width, func(f *frame, w *worker, from, to int) {
		for row := from; row < to; row++ {
			t := f.i32(table)[3*segment[row]:]
			slot, pos := int(t[0]), int(t[1])+index[row]
			if slot < 0 || slot >= c.slots || index[row] >= int(t[2]) || pos < 0 || pos >= c.capacity {
				continue
			}
			for h := range c.heads {
				src := f.f32(x)[row*width+h*c.headDim:][:c.headDim]
				if rotate != nil {
					dst := w.floats(c.headDim)
					rotate(f, dst, src, row)
					src = dst
				}
				at := pos * c.headDim * c.size
				c.stored.Narrow(c.head(f, slot, h)[at:at+c.headDim*c.size], src)
			}
		}
	})
}
