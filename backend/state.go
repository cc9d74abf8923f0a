package backend

import (
	"fmt"
	"slices"
)

// StateSpec describes a named buffer that outlives runs, such as a cache of
// keys. Its layout belongs to the spec, so several programs share one state.
type StateSpec struct {
	Name  string
	DType DType
	// Shape is [layers, slots, heads, capacity, head_dim] for caches of keys and
	// values, so that a head's positions are contiguous; other states have any shape.
	Shape []int
}

// CacheSpec describes a cache of keys or values: one row of headDim numbers for
// each of capacity positions, in every head of every layer, for slots
// independent sequences. dtype is F32 or BF16.
func CacheSpec(name string, dtype DType, layers, slots, heads, capacity, headDim int) *StateSpec {
	return &StateSpec{Name: name, DType: dtype, Shape: []int{layers, slots, heads, capacity, headDim}}
}

// Bytes returns the size of the state.
func (s *StateSpec) Bytes() int { return elements(s.Shape) * s.DType.Size() }

// Capacity returns the positions of a cache.
func (s *StateSpec) Capacity() int { return s.Shape[3] }

// String returns name, dtype and shape.
func (s *StateSpec) String() string { return fmt.Sprintf("%s %s%v", s.Name, s.DType, s.Shape) }

// Segments says how the rows of a graph form runs of consecutive positions.
// The lengths are static; which cache slot a segment belongs to, its first
// position and the number of its rows that are real are run-time values.
//
// The rows of segment i start at the sum of the lengths before it. A row past
// the segment's real length is padding: nothing is written for it and its
// result is undefined. Slot -1 marks a whole segment as padding.
type Segments struct {
	// Lens are the static lengths; their sum is the number of rows.
	Lens []int
	// Table is I32 [len(Lens), 3]: slot, first position, real length.
	Table *Tensor
}

// SegmentsInput records the input "segments" for segments of these lengths.
func (g *Graph) SegmentsInput(lens ...int) *Segments {
	return SegmentsOf(g.Input("segments", I32, len(lens), 3), lens...)
}

// SegmentsOf takes a table from a tensor, I32 [len(lens), 3], such as a state.
func SegmentsOf(table *Tensor, lens ...int) *Segments {
	if table.dtype != I32 || table.Rank() != 2 || table.shape[0] != len(lens) || table.shape[1] != 3 {
		table.graph.fail(OpPositions, "a table of %d segments is %s%v, want i32[%d 3]", len(lens), table.dtype, table.shape, len(lens))
	}
	if len(lens) == 0 || slices.Min(lens) < 1 {
		table.graph.fail(OpPositions, "segments of %v rows: each needs at least one", lens)
	}
	return &Segments{Lens: slices.Clone(lens), Table: table}
}

// Rows returns the sum of the lengths.
func (s *Segments) Rows() int {
	n := 0
	for _, l := range s.Lens {
		n += l
	}
	return n
}

// Positions returns the position of each row, I32 [rows].
func (s *Segments) Positions() *Tensor {
	return s.Table.graph.add(OpPositions, I32, []int{s.Rows()}, Attrs{Segments: s.Lens}, s.Table)
}

// ReadState returns the state's contents, the whole for a state that is not a
// cache: [shape...].
func (g *Graph) ReadState(spec *StateSpec) *Tensor {
	if spec == nil {
		return g.fail(OpStateRead, "the state is nil")
	}
	return g.add(OpStateRead, spec.DType, spec.Shape, Attrs{State: spec, Layer: -1})
}

// ReadCache returns one layer and slot of a cache, [heads, capacity, head_dim]
// in the cache's dtype; slot is I32 [] or [1], and -1 reads slot 0.
func (g *Graph) ReadCache(spec *StateSpec, layer int, slot *Tensor) *Tensor {
	return g.add(OpStateRead, spec.DType, spec.Shape[2:], Attrs{State: spec, Layer: layer}, slot)
}

// WriteState replaces the state's contents. Later nodes read the new ones.
func (g *Graph) WriteState(spec *StateSpec, t *Tensor) {
	if spec == nil {
		g.fail(OpStateWrite, "the state is nil")
		return
	}
	if t.dtype != spec.DType || t.Elements() != elements(spec.Shape) {
		g.fail(OpStateWrite, "%s%v does not fit state %s", t.dtype, t.shape, spec)
		return
	}
	g.add(OpStateWrite, Invalid, nil, Attrs{State: spec, Layer: -1}, t)
}

// writeCache writes rows [rows, heads*head_dim] at a segment's place; segment
// is one row of the table, I32 [1, 3].
func (g *Graph) writeCache(spec *StateSpec, layer int, rows, segment *Tensor) {
	g.add(OpStateWrite, Invalid, nil, Attrs{State: spec, Layer: layer}, rows, segment)
}

// CacheUpdate writes a row of keys or values, [rows, heads*head_dim], into its
// place in one layer of a cache, rounded to the cache's dtype. Rows that are padding
// are not written; neither are positions past the capacity.
func (t *Tensor) CacheUpdate(spec *StateSpec, layer int, segments *Segments) {
	g := t.graph
	if spec == nil || segments == nil {
		g.fail(OpCacheUpdate, "the cache or the segments are nil")
		return
	}
	if len(spec.Shape) != 5 || layer < 0 || layer >= spec.Shape[0] {
		g.fail(OpCacheUpdate, "layer %d of state %s", layer, spec)
		return
	}
	heads, headDim := spec.Shape[2], spec.Shape[4]
	if t.dtype != F32 || t.Rank() != 2 || t.shape[0] != segments.Rows() || t.shape[1] != heads*headDim {
		g.fail(OpCacheUpdate, "%s%v into %s for segments %v", t.dtype, t.shape, spec, segments.Lens)
		return
	}
	g.add(OpCacheUpdate, Invalid, nil, Attrs{State: spec, Layer: layer, Segments: segments.Lens}, t, segments.Table)
}
