package gpu

import "slices"

// factor is a part of an axis: so many elements, that far apart.
type factor struct{ size, stride int }

// view says where the elements of a shape lie in a buffer. An axis has one
// factor, the outermost first, or several where it was several axes before a
// reshape; an axis of size 1 has none.
type view struct {
	axes   [][]factor
	offset int
}

// contiguous is the view of a buffer that holds a shape in order.
func contiguous(shape []int) view {
	v := view{axes: make([][]factor, len(shape))}
	for i, step := range strides(shape) {
		if shape[i] != 1 {
			v.axes[i] = []factor{{shape[i], step}}
		}
	}
	return v
}

// reshaped views the same elements as another shape. It fails where an axis of
// the new shape would end within a factor that it does not divide.
func (v view) reshaped(shape []int) (view, bool) {
	left := slices.Concat(v.axes...)
	r := view{axes: make([][]factor, len(shape)), offset: v.offset}
	for i := len(shape) - 1; i >= 0; i-- {
		for need := shape[i]; need != 1; {
			if len(left) == 0 {
				return r, false
			}
			last := &left[len(left)-1]
			switch {
			case last.size == 0 || need == 0:
				return r, false
			case need%last.size == 0:
				r.axes[i] = append([]factor{*last}, r.axes[i]...)
				need /= last.size
				left = left[:len(left)-1]
			case last.size%need == 0:
				r.axes[i] = append([]factor{{need, last.stride}}, r.axes[i]...)
				last.size, last.stride = last.size/need, last.stride*need
				need = 1
			default:
				return r, false
			}
		}
	}
	return r, len(left) == 0
}

// broadcast repeats the elements of a shape over another by NumPy's rules.
func (v view) broadcast(from, to []int) view {
	r := view{axes: make([][]factor, len(to)), offset: v.offset}
	for i := range to {
		j := i - (len(to) - len(from))
		switch {
		case j >= 0 && from[j] == to[i]:
			r.axes[i] = v.axes[j]
		case to[i] != 1:
			r.axes[i] = []factor{{to[i], 0}}
		}
	}
	return r
}

func (v view) transposed(perm []int) view {
	r := view{axes: make([][]factor, len(perm)), offset: v.offset}
	for i, p := range perm {
		r.axes[i] = v.axes[p]
	}
	return r
}

// sliced keeps n elements of an axis from start on. It fails where they are
// not whole outermost parts.
func (v view) sliced(axis, start, n int) (view, bool) {
	r := view{axes: slices.Clone(v.axes), offset: v.offset}
	if len(v.axes[axis]) == 0 {
		return r, n == 1
	}
	inner := 1
	for _, f := range v.axes[axis][1:] {
		inner *= f.size
	}
	if inner == 0 || start%inner != 0 || n%inner != 0 {
		return r, false
	}
	fs := slices.Clone(v.axes[axis])
	fs[0].size = n / inner
	r.offset += start / inner * fs[0].stride
	if fs[0].size == 1 {
		fs = fs[1:]
	}
	r.axes[axis] = fs
	return r, true
}

// aligned splits the axes of views over one shape until all have the same
// factors, then joins neighbours that go on evenly in all of them: a shape and
// the strides of each view. It fails where factors do not divide each other,
// or more than maxRank are left.
func aligned(shape []int, views []view) (sizes []int, steps [][]int, ok bool) {
	steps = make([][]int, len(views))
	left := make([][]factor, len(views))
	for axis := len(shape) - 1; axis >= 0; axis-- { // from the innermost on, reversed below
		for i, v := range views {
			left[i] = slices.Clone(v.axes[axis])
		}
		for rest := shape[axis]; rest != 1; {
			n := rest
			for _, fs := range left {
				if len(fs) == 0 {
					return nil, nil, false
				}
				n = min(n, fs[len(fs)-1].size)
			}
			if n == 0 {
				return nil, nil, false
			}
			for i, fs := range left {
				last := &fs[len(fs)-1]
				if last.size%n != 0 {
					return nil, nil, false
				}
				steps[i] = append(steps[i], last.stride)
				last.size, last.stride = last.size/n, last.stride*n
				if last.size == 1 {
					left[i] = fs[:len(fs)-1]
				}
			}
			sizes = append(sizes, n)
			rest /= n
			sizes, steps = joined(sizes, steps)
		}
	}
	slices.Reverse(sizes)
	for _, s := range steps {
		slices.Reverse(s)
	}
	return sizes, steps, len(sizes) <= maxRank
}

// joined joins the outermost two axes, the last of the lists, if all strides go on evenly.
func joined(sizes []int, steps [][]int) ([]int, [][]int) {
	outer := len(sizes) - 1
	if outer == 0 {
		return sizes, steps
	}
	for _, s := range steps {
		if s[outer] != s[outer-1]*sizes[outer-1] {
			return sizes, steps
		}
	}
	sizes[outer-1] *= sizes[outer]
	for i := range steps {
		steps[i] = steps[i][:outer]
	}
	return sizes[:outer], steps
}
