package backend

import (
	"math"
	"slices"
)

// AttentionSpec says what an attention attends to: keys and values of the same
// rows (K and V), or one layer of two caches (KeyState and ValueState).
type AttentionSpec struct {
	Heads, KVHeads int
	// Scale multiplies the scores; 0 means 1/√head_dim.
	Scale float32
	// Causal hides positions after the row's own; Window, if not 0, also those
	// at a distance of Window or more before it.
	Causal bool
	Window int
	// K and V are [rows, KVHeads·head_dim]; a row attends to the rows of its segment.
	K, V *Tensor
	// KeyState and ValueState are caches; a causal row attends to the positions
	// of its segment's slot up to its own, others to the first Keys positions.
	KeyState, ValueState *StateSpec
	Layer, Keys          int
	// Segments of the rows. Nil means one segment without padding, which only K and V allow.
	Segments *Segments
}

// Attention returns softmax(q·kᵀ·scale + mask)·v for each head (Vaswani et al.
// 2017), where KVHeads divides Heads and consecutive heads share keys (GQA,
// Ainslie et al. 2023): [rows, Heads·head_dim] -> the same shape.
func (t *Tensor) Attention(s AttentionSpec) *Tensor {
	g := t.graph
	if t.dtype != F32 || t.Rank() != 2 || s.Heads < 1 || s.KVHeads < 1 || s.Heads%s.KVHeads != 0 || t.shape[1]%s.Heads != 0 {
		return g.fail(OpAttention, "queries %s%v with %d heads, %d of keys", t.dtype, t.shape, s.Heads, s.KVHeads)
	}
	headDim := t.shape[1] / s.Heads
	a := Attrs{Heads: s.Heads, KVHeads: s.KVHeads, Scale: s.Scale, Causal: s.Causal, Window: s.Window, Layer: s.Layer, Keys: s.Keys}
	if a.Scale == 0 {
		a.Scale = float32(1 / math.Sqrt(float64(headDim)))
	}
	a.Segments = []int{t.shape[0]}
	args := []*Tensor{t}
	if s.KeyState == nil {
		want := []int{t.shape[0], s.KVHeads * headDim}
		for _, kv := range []*Tensor{s.K, s.V} {
			if kv == nil || kv.dtype != F32 || !slices.Equal(kv.shape, want) {
				return g.fail(OpAttention, "keys or values do not have the shape %v", want)
			}
			args = append(args, kv)
		}
	} else {
		for _, st := range []*StateSpec{s.KeyState, s.ValueState} {
			if st == nil || len(st.Shape) != 5 || st.Shape[2] != s.KVHeads || st.Shape[4] != headDim || s.Layer < 0 || s.Layer >= st.Shape[0] || st.Shape[3] != s.KeyState.Shape[3] {
				return g.fail(OpAttention, "layer %d of cache %v for %d heads of %d", s.Layer, st, s.KVHeads, headDim)
			}
		}
		if s.Segments == nil || (!s.Causal && (s.Keys < 1 || s.Keys > s.KeyState.Capacity())) {
			return g.fail(OpAttention, "over a cache it needs segments and, without causality, 1 to %d keys", s.KeyState.Capacity())
		}
		a.State, a.Values = s.KeyState, s.ValueState
	}
	if s.Segments != nil {
		if s.Segments.Rows() != t.shape[0] {
			return g.fail(OpAttention, "segments %v for %d rows", s.Segments.Lens, t.shape[0])
		}
		a.Segments = s.Segments.Lens
		args = append(args, s.Segments.Table)
	}
	return g.add(OpAttention, F32, t.shape, a, args...)
}

// AttentionArgs are the operands of an attention by their roles; K and V are
// nil over a cache, Table is nil without segments.
type AttentionArgs struct{ Q, K, V, Table *Tensor }

// Attention sorts the operands of OpAttention.
func (a Attrs) Attention(args []*Tensor) AttentionArgs {
	r := AttentionArgs{Q: args[0]}
	args = args[1:]
	if a.State == nil {
		r.K, r.V, args = args[0], args[1], args[2:]
	}
	if len(args) > 0 {
		r.Table = args[0]
	}
	return r
}

// lowerAttention loops over the segments, so that no row ever meets the keys of another.
func lowerAttention(n *Tensor, args []*Tensor) []*Tensor {
	a, r := n.attrs, n.attrs.Attention(args)
	outs := make([]*Tensor, len(a.Segments))
	row := 0
	for i, l := range a.Segments {
		q := r.Q.Slice(0, row, row+l)
		var segment, k, v *Tensor // segment is [1, 3]
		if r.Table != nil {
			segment = r.Table.Slice(0, i, i+1)
		}
		if a.State != nil {
			slot := segment.Slice(1, 0, 1).Reshape(1)
			k, v = r.Q.graph.ReadCache(a.State, a.Layer, slot), r.Q.graph.ReadCache(a.Values, a.Layer, slot)
		} else {
			k, v = splitHeads(r.K.Slice(0, row, row+l), a.KVHeads), splitHeads(r.V.Slice(0, row, row+l), a.KVHeads)
		}
		outs[i] = attend(a, q, k, v, segment)
		row += l
	}
	return []*Tensor{Concat(0, outs...)}
}

// splitHeads turns [rows, heads·d] into [heads, rows, d].
func splitHeads(t *Tensor, heads int) *Tensor {
	return t.Reshape(t.shape[0], heads, t.shape[1]/heads).Transpose(1, 0, 2)
}

// attend computes one segment: q [l, heads·d], k and v [kv_heads, keys, d].
func attend(a Attrs, q, k, v, segment *Tensor) *Tensor {
	g := q.graph
	l, d, keys := q.shape[0], k.shape[2], k.shape[1]
	group := a.Heads / a.KVHeads
	// [l, kv, group, d] -> [kv, group, l, d]
	h := q.Reshape(l, a.KVHeads, group, d).Transpose(1, 2, 0, 3).Reshape(a.KVHeads, group*l, d)
	scores := h.MatMulT(k).Mul(g.Scalar(a.Scale)).Reshape(a.KVHeads, group, l, keys)
	scores = mask(a, scores, segment)
	h = scores.Softmax().Reshape(a.KVHeads, group*l, keys).MatMul(v.Cast(F32))
	// [kv, group, l, d] -> [l, kv, group, d]
	return h.Reshape(a.KVHeads, group, l, d).Transpose(2, 0, 1, 3).Reshape(l, a.Heads*d)
}

// mask hides the keys that a row must not see: scores are [.., l, keys].
func mask(a Attrs, scores, segment *Tensor) *Tensor {
	g := scores.graph
	l, keys := scores.Dim(-2), scores.Dim(-1)
	hide := func(hidden *Tensor) { scores = hidden.Select(g.Scalar(float32(math.Inf(-1))), scores) }
	key := g.Iota(1, 1, keys)
	row := g.Iota(0, l, 1)
	if a.State != nil {
		row = row.Add(segment.Slice(1, 1, 2)) // first position
	}
	switch {
	case a.State != nil && !a.Causal:
		hide(g.Ints([]int32{int32(a.Keys - 1)}, 1, 1).Less(key))
	case a.State == nil && segment != nil:
		hide(segment.Slice(1, 2, 3).Sub(g.Ints([]int32{1}, 1, 1)).Less(key)) // real length
	}
	if a.Causal {
		hide(row.Less(key))
	}
	if a.Window > 0 {
		hide(key.Less(row.Sub(g.Ints([]int32{int32(a.Window - 1)}, 1, 1))))
	}
	return scores
}
