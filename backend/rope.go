package backend

// RotaryTable returns cos and sin of position·inverse frequency, times scale,
// for positions I32 [rows]: [rows, 2·len(invFreq)], cosines first (Su et al.
// 2021). All layers of a model share one table.
func (t *Tensor) RotaryTable(invFreq []float32, scale float32) *Tensor {
	g := t.graph
	if t.dtype != I32 || t.Rank() != 1 {
		return g.fail(OpRotaryTable, "positions are %s%v, want i32[rows]", t.dtype, t.shape)
	}
	f := g.Floats(invFreq, 1, len(invFreq))
	return g.add(OpRotaryTable, F32, []int{t.shape[0], 2 * len(invFreq)}, Attrs{Scale: scale}, t, f)
}

// RoPE rotates each head of [rows, heads·head_dim] by its row of a table of
// RotaryTable, in the rotate-half form: element i is paired with element
// i + len(invFreq). Elements of a head past the table's width are kept.
func (t *Tensor) RoPE(table *Tensor, heads int) *Tensor {
	return t.rope(table, Attrs{Heads: heads})
}

func (t *Tensor) rope(table *Tensor, a Attrs, norm ...*Tensor) *Tensor {
	if t.dtype != F32 || t.Rank() != 2 || table.dtype != F32 || table.Rank() != 2 || table.shape[0] != t.shape[0] || table.shape[1]%2 != 0 ||
		a.Heads < 1 || t.shape[1]%a.Heads != 0 || table.shape[1] > t.shape[1]/a.Heads {
		return t.graph.fail(OpRoPE, "%s%v of %d heads with table %s%v", t.dtype, t.shape, a.Heads, table.dtype, table.shape)
	}
	return t.graph.add(OpRoPE, F32, t.shape, a, append([]*Tensor{t, table}, norm...)...)
}

func lowerPositions(n *Tensor, args []*Tensor) []*Tensor {
	table := args[0]
	parts := make([]*Tensor, len(n.attrs.Segments))
	for i, l := range n.attrs.Segments {
		first := table.Slice(0, i, i+1).Slice(1, 1, 2).Reshape(1)
		parts[i] = table.graph.Iota(0, l).Add(first)
	}
	return []*Tensor{Concat(0, parts...)}
}

func lowerRotaryTable(n *Tensor, args []*Tensor) []*Tensor {
	pos, freq := args[0], args[1]
	angle := pos.Cast(F32).Reshape(-1, 1).Mul(freq)
	t := Concat(1, angle.Cos(), angle.Sin())
	if n.attrs.Scale != 1 {
		t = t.Mul(t.graph.Scalar(n.attrs.Scale))
	}
	return []*Tensor{t}
}

func lowerRoPE(n *Tensor, args []*Tensor) []*Tensor {
	table := args[1]
	rows, heads, half := args[0].shape[0], n.attrs.Heads, table.shape[1]/2
	x := n.attrs.normalised(args[0], args[2:]).Reshape(rows, heads, args[0].shape[1]/heads)
	cos := table.Slice(1, 0, half).Reshape(rows, 1, half)
	sin := table.Slice(1, half, 2*half).Reshape(rows, 1, half)
	a, b := x.Slice(2, 0, half), x.Slice(2, half, 2*half)
	parts := []*Tensor{a.Mul(cos).Sub(b.Mul(sin)), b.Mul(cos).Add(a.Mul(sin))}
	if d := x.shape[2]; d > 2*half {
		parts = append(parts, x.Slice(2, 2*half, d))
	}
	return []*Tensor{Concat(2, parts...).Reshape(args[0].shape...)}
}

func lowerCacheUpdate(n *Tensor, args []*Tensor) []*Tensor {
	a, x, table := n.attrs, args[0], args[1]
	rest := args[2:]
	if a.Rotary {
		heads := a.State.Shape[2]
		x = x.rope(rest[0], Attrs{Heads: heads, Norm: a.Norm, Eps: a.Eps}, rest[1:]...)
	}
	row := 0
	for i, l := range a.Segments {
		x.graph.writeCache(a.State, a.Layer, x.Slice(0, row, row+l), table.Slice(0, i, i+1))
		row += l
	}
	return nil
}
