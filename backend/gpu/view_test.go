package gpu

import (
	"slices"
	"testing"
)

// places lists where the elements of a shape lie, in order.
func (v view) places() []int {
	at := []int{v.offset}
	for _, axis := range v.axes {
		for _, f := range axis {
			var next []int
			for _, a := range at {
				for i := range f.size {
					next = append(next, a+i*f.stride)
				}
			}
			at = next
		}
	}
	return at
}

func count(from, n, step int) []int {
	var list []int
	for i := range n {
		list = append(list, from+i*step)
	}
	return list
}

func TestViews(t *testing.T) {
	v := contiguous([]int{2, 3, 4})
	if got := v.places(); !slices.Equal(got, count(0, 24, 1)) {
		t.Errorf("contiguous: %v", got)
	}
	turned := v.transposed([]int{2, 0, 1}) // [4, 2, 3]
	if got := turned.places()[:6]; !slices.Equal(got, count(0, 6, 4)) {
		t.Errorf("transposed: %v", got)
	}
	for _, c := range []struct {
		shape []int
		ok    bool
	}{
		{[]int{4, 6}, true}, {[]int{2, 2, 6}, true}, {[]int{8, 3}, true}, {[]int{24}, true}, {[]int{2, 12}, true},
		{[]int{3, 8}, false}, {[]int{6, 4}, false}, {[]int{1, 4, 1, 2, 3, 1}, true},
	} {
		got, ok := turned.reshaped(c.shape)
		if ok != c.ok {
			t.Errorf("reshaped to %v: %t", c.shape, ok)
		}
		if ok && !slices.Equal(got.places(), turned.places()) {
			t.Errorf("reshaped to %v: %v", c.shape, got.places())
		}
	}
	part, ok := turned.sliced(2, 1, 2)
	if got := part.places()[:4]; !ok || !slices.Equal(got, []int{4, 8, 16, 20}) {
		t.Errorf("sliced: %v", got)
	}
	flat, _ := turned.reshaped([]int{4, 6})
	if _, ok := flat.sliced(1, 1, 3); ok {
		t.Error("a part of an inner factor was sliced")
	}
	if part, ok := flat.sliced(1, 3, 3); !ok || !slices.Equal(part.places()[:3], []int{12, 16, 20}) {
		t.Errorf("an outer factor sliced: %v %t", part.places(), ok)
	}
	rows := contiguous([]int{2, 1}).broadcast([]int{2, 1}, []int{3, 2, 2})
	if got := rows.places(); !slices.Equal(got, []int{0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1}) {
		t.Errorf("broadcast: %v", got)
	}
}

// TestAligned compares the elements that aligned strides reach with the views'.
func TestAligned(t *testing.T) {
	shape := []int{4, 6}
	turned, _ := contiguous([]int{2, 3, 4}).transposed([]int{2, 0, 1}).reshaped(shape)
	column := contiguous([]int{4, 1}).broadcast([]int{4, 1}, shape)
	views := []view{turned, column, contiguous(shape)}
	sizes, steps, ok := aligned(shape, views)
	if !ok || !slices.Equal(sizes, []int{4, 6}) {
		t.Fatalf("%v %v", sizes, ok)
	}
	for i, v := range views {
		s := view{axes: make([][]factor, len(sizes)), offset: v.offset}
		for a, n := range sizes {
			s.axes[a] = []factor{{n, steps[i][a]}}
		}
		if got, want := s.places(), v.places(); !slices.Equal(got, want) {
			t.Errorf("view %d: %v, want %v", i, got, want)
		}
	}
	if sizes, _, ok := aligned(shape, views[2:]); !ok || !slices.Equal(sizes, []int{24}) {
		t.Errorf("one view of elements in order: %v", sizes)
	}
	split, _ := contiguous([]int{2, 3}).transposed([]int{1, 0}).reshaped([]int{6})
	if _, _, ok := aligned([]int{6}, []view{split, {axes: [][]factor{{{2, 3}, {3, 1}}}}}); ok {
		t.Error("factors of 3·2 and 2·3 cannot be aligned")
	}
}
