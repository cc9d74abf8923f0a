package backend

import "slices"

func (t *Tensor) unary(op Op) *Tensor {
	if t.dtype != F32 {
		return t.graph.fail(op, "%s%v, want f32", t.dtype, t.shape)
	}
	return t.graph.add(op, F32, t.shape, Attrs{}, t)
}

// Neg, Exp, Log, Tanh, Erf, Sqrt, Rsqrt (1/√x), Sin and Cos act on each
// element of an f32 tensor.
func (t *Tensor) Neg() *Tensor { return t.unary(OpNeg) }

// Exp returns e to the power of each element.
func (t *Tensor) Exp() *Tensor { return t.unary(OpExp) }

// Log returns the natural logarithm of each element.
func (t *Tensor) Log() *Tensor { return t.unary(OpLog) }

// Tanh returns the hyperbolic tangent of each element.
func (t *Tensor) Tanh() *Tensor { return t.unary(OpTanh) }

// Erf returns the error function of each element.
func (t *Tensor) Erf() *Tensor { return t.unary(OpErf) }

// Sqrt returns the square root of each element.
func (t *Tensor) Sqrt() *Tensor { return t.unary(OpSqrt) }

// Rsqrt returns one over the square root of each element.
func (t *Tensor) Rsqrt() *Tensor { return t.unary(OpRsqrt) }

// Sin returns the sine of each element, in radians.
func (t *Tensor) Sin() *Tensor { return t.unary(OpSin) }

// Cos returns the cosine of each element, in radians.
func (t *Tensor) Cos() *Tensor { return t.unary(OpCos) }

// binary broadcasts the operands as NumPy does: axes are aligned at the end
// and a dimension of 1 repeats.
func (t *Tensor) binary(op Op, u *Tensor) *Tensor {
	shape, ok := broadcastShape(t.shape, u.shape)
	if !ok || t.dtype != u.dtype || (t.dtype != F32 && t.dtype != I32) {
		return t.graph.fail(op, "%s%v and %s%v do not go together", t.dtype, t.shape, u.dtype, u.shape)
	}
	dtype := t.dtype
	if op == OpLess || op == OpEqual {
		dtype = U8
	}
	return t.graph.add(op, dtype, shape, Attrs{}, t, u)
}

func broadcastShape(a, b []int) ([]int, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	shape := slices.Clone(a)
	off := len(a) - len(b)
	for i, d := range b {
		switch {
		case d == shape[off+i] || d == 1:
		case shape[off+i] == 1:
			shape[off+i] = d
		default:
			return nil, false
		}
	}
	return shape, true
}

// Add returns t + u. Operands of Add, Sub, Mul, Div, Max, Min, Less and Equal
// have one dtype, F32 or I32, and are broadcast as NumPy does.
func (t *Tensor) Add(u *Tensor) *Tensor { return t.binary(OpAdd, u) }

// Sub returns t - u.
func (t *Tensor) Sub(u *Tensor) *Tensor { return t.binary(OpSub, u) }

// Mul returns t · u, element by element.
func (t *Tensor) Mul(u *Tensor) *Tensor { return t.binary(OpMul, u) }

// Div returns t / u; integers are divided towards zero, and by zero give zero.
func (t *Tensor) Div(u *Tensor) *Tensor { return t.binary(OpDiv, u) }

// Max returns the larger of t and u; a NaN in either gives NaN.
func (t *Tensor) Max(u *Tensor) *Tensor { return t.binary(OpMax, u) }

// Min returns the smaller of t and u; a NaN in either gives NaN.
func (t *Tensor) Min(u *Tensor) *Tensor { return t.binary(OpMin, u) }

// Less returns 1 (U8) where t < u and 0 elsewhere.
func (t *Tensor) Less(u *Tensor) *Tensor { return t.binary(OpLess, u) }

// Equal returns 1 (U8) where t = u and 0 elsewhere.
func (t *Tensor) Equal(u *Tensor) *Tensor { return t.binary(OpEqual, u) }

// Select returns a where t (U8) is not 0 and b where it is; all three broadcast.
func (t *Tensor) Select(a, b *Tensor) *Tensor {
	shape, ok := broadcastShape(t.shape, a.shape)
	if ok {
		shape, ok = broadcastShape(shape, b.shape)
	}
	if !ok || t.dtype != U8 || a.dtype != b.dtype || (a.dtype != F32 && a.dtype != I32) {
		return t.graph.fail(OpSelect, "%s%v of %s%v and %s%v", t.dtype, t.shape, a.dtype, a.shape, b.dtype, b.shape)
	}
	return t.graph.add(OpSelect, a.dtype, shape, Attrs{}, t, a, b)
}

// axis makes a negative axis count from the end.
func (t *Tensor) axis(op Op, axis int) (int, bool) {
	if axis < 0 {
		axis += len(t.shape)
	}
	if axis < 0 || axis >= len(t.shape) {
		t.graph.fail(op, "axis %d of shape %v", axis, t.shape)
		return 0, false
	}
	return axis, true
}

func (t *Tensor) reduce(op Op, axis int, dtype DType) *Tensor {
	axis, ok := t.axis(op, axis)
	if !ok || t.dtype != F32 {
		return t.graph.fail(op, "%s%v, want f32", t.dtype, t.shape)
	}
	shape := slices.Clone(t.shape)
	shape[axis] = 1
	return t.graph.add(op, dtype, shape, Attrs{Axis: axis}, t)
}

// Sum adds along an axis, which stays as a dimension of 1. The sum of nothing is 0.
func (t *Tensor) Sum(axis int) *Tensor { return t.reduce(OpReduceSum, axis, F32) }

// Mean averages along an axis, which stays as a dimension of 1.
func (t *Tensor) Mean(axis int) *Tensor {
	return t.Sum(axis).Mul(t.graph.Scalar(1 / float32(t.Dim(axis))))
}

// ReduceMax takes the largest element along an axis, which stays as a
// dimension of 1: -Inf for an empty one, NaN if one element is NaN.
func (t *Tensor) ReduceMax(axis int) *Tensor { return t.reduce(OpReduceMax, axis, F32) }

// ArgMax returns the first index (I32) of the largest element along the last
// axis, which stays as a dimension of 1; a NaN counts as the largest.
func (t *Tensor) ArgMax() *Tensor { return t.reduce(OpArgMax, -1, I32) }

// MatMul returns the matrix product [..., m, k]·[..., k, n] -> [..., m, n] in
// f32; leading axes broadcast. u may be F32, BF16 or F16.
func (t *Tensor) MatMul(u *Tensor) *Tensor { return t.matmul(u, false) }

// MatMulT is MatMul with the right operand stored as [..., n, k].
func (t *Tensor) MatMulT(u *Tensor) *Tensor { return t.matmul(u, true) }

func (t *Tensor) matmul(u *Tensor, transposed bool) *Tensor {
	g := t.graph
	if t.dtype != F32 || !u.dtype.IsFloat() || t.Rank() < 2 || u.Rank() < 2 {
		return g.fail(OpMatMul, "%s%v by %s%v", t.dtype, t.shape, u.dtype, u.shape)
	}
	k, n := u.Dim(-2), u.Dim(-1)
	if transposed {
		k, n = n, k
	}
	batch, ok := broadcastShape(t.shape[:t.Rank()-2], u.shape[:u.Rank()-2])
	if !ok || t.Dim(-1) != k {
		return g.fail(OpMatMul, "%s%v by %s%v (transposed: %t)", t.dtype, t.shape, u.dtype, u.shape, transposed)
	}
	return g.add(OpMatMul, F32, append(batch, t.Dim(-2), n), Attrs{Transposed: transposed}, t, u)
}

// Gather picks rows of t, [n, ...], by ids (I32, any shape): [ids..., ...].
// Stored dtypes are widened to F32. An id outside 0..n-1 gives a row of NaN
// (F32) or -1 (I32).
func (t *Tensor) Gather(ids *Tensor) *Tensor {
	if t.Rank() < 1 || ids.dtype != I32 || t.dtype == U8 {
		return t.graph.fail(OpGather, "rows of %s%v by %s%v", t.dtype, t.shape, ids.dtype, ids.shape)
	}
	dtype := t.dtype
	if dtype.IsFloat() {
		dtype = F32
	}
	return t.graph.add(OpGather, dtype, slices.Concat(ids.shape, t.shape[1:]), Attrs{}, t, ids)
}

// Embedding returns the rows of a table, [vocab, hidden], for ids I32 [rows]:
// f32 [rows, hidden].
func (g *Graph) Embedding(table *Weight, ids *Tensor) *Tensor { return g.Weight(table).Gather(ids) }

// Rows returns the rows of t, [n, ...], that ids I32 [rows] name.
func (t *Tensor) Rows(ids *Tensor) *Tensor { return t.Gather(ids) }

// Slice keeps elements start to end (exclusive) of an axis.
func (t *Tensor) Slice(axis, start, end int) *Tensor {
	axis, ok := t.axis(OpSlice, axis)
	if !ok || start < 0 || end < start || end > t.Dim(axis) {
		return t.graph.fail(OpSlice, "%d:%d of axis %d of %v", start, end, axis, t.shape)
	}
	if start == 0 && end == t.shape[axis] {
		return t
	}
	shape := slices.Clone(t.shape)
	shape[axis] = end - start
	return t.graph.add(OpSlice, t.dtype, shape, Attrs{Axis: axis, Start: start, End: end}, t)
}

// Concat joins tensors of one dtype along an axis.
func Concat(axis int, parts ...*Tensor) *Tensor {
	t := parts[0]
	axis, ok := t.axis(OpConcat, axis)
	if !ok || len(parts) == 1 {
		return t
	}
	shape := slices.Clone(t.shape)
	for _, p := range parts[1:] {
		same := p.dtype == t.dtype && p.Rank() == t.Rank()
		for i := range p.shape {
			same = same && (i == axis || p.shape[i] == t.shape[i])
		}
		if !same {
			return t.graph.fail(OpConcat, "%s%v with %s%v along axis %d", t.dtype, t.shape, p.dtype, p.shape, axis)
		}
		shape[axis] += p.shape[axis]
	}
	return t.graph.add(OpConcat, t.dtype, shape, Attrs{Axis: axis}, slices.Clone(parts)...)
}

// Reshape gives the elements another shape; one dimension may be -1.
func (t *Tensor) Reshape(shape ...int) *Tensor {
	shape = slices.Clone(shape)
	if i := slices.Index(shape, -1); i >= 0 {
		shape[i] = 1
		if n := elements(shape); n > 0 {
			shape[i] = t.Elements() / n
		}
	}
	if elements(shape) != t.Elements() {
		return t.graph.fail(OpReshape, "%v to %v", t.shape, shape)
	}
	if slices.Equal(shape, t.shape) {
		return t
	}
	return t.graph.add(OpReshape, t.dtype, shape, Attrs{}, t)
}

// Transpose permutes the axes: axis i of the result is axis perm[i] of t.
func (t *Tensor) Transpose(perm ...int) *Tensor {
	shape := make([]int, len(perm))
	seen := make([]bool, len(t.shape))
	for i, p := range perm {
		if p < 0 || p >= len(t.shape) || seen[p] || len(perm) != len(t.shape) {
			return t.graph.fail(OpTranspose, "%v by %v", t.shape, perm)
		}
		seen[p], shape[i] = true, t.shape[p]
	}
	return t.graph.add(OpTranspose, t.dtype, shape, Attrs{Perm: slices.Clone(perm)}, t)
}

// Broadcast repeats t to a shape by NumPy's rules.
func (t *Tensor) Broadcast(shape ...int) *Tensor {
	got, ok := broadcastShape(t.shape, shape)
	if !ok || !slices.Equal(got, shape) {
		return t.graph.fail(OpBroadcast, "%v to %v", t.shape, shape)
	}
	if slices.Equal(shape, t.shape) {
		return t
	}
	return t.graph.add(OpBroadcast, t.dtype, shape, Attrs{}, t)
}

// Cast converts elements: between float dtypes (to nearest, ties to even),
// I32 to F32 and back (towards zero), U8 to F32 or I32.
func (t *Tensor) Cast(dtype DType) *Tensor {
	if dtype == t.dtype {
		return t
	}
	if dtype == Invalid || t.dtype == Invalid || dtype == U8 || (t.dtype == I32 && dtype != F32) || (dtype == I32 && t.dtype != F32 && t.dtype != U8) {
		return t.graph.fail(OpCast, "%s to %s", t.dtype, dtype)
	}
	return t.graph.add(OpCast, dtype, t.shape, Attrs{}, t)
}

// Conv returns the convolution of a channels-last signal or image with a
// checkpoint's kernel, without bias: [width, in] with [out, in, k], or
// [height, width, in] with [out, in, kh, kw]. Both axes have the same stride
// and are padded with pad zeros on each side.
func (t *Tensor) Conv(kernel *Tensor, stride, pad int) *Tensor {
	rank := t.Rank()
	if t.dtype != F32 || !kernel.dtype.IsFloat() || rank < 2 || rank > 3 || kernel.Rank() != rank+1 || kernel.shape[1] != t.shape[rank-1] || stride < 1 || pad < 0 {
		return t.graph.fail(OpConv, "%s%v with kernel %s%v, stride %d, pad %d", t.dtype, t.shape, kernel.dtype, kernel.shape, stride, pad)
	}
	shape := slices.Clone(t.shape)
	for i := range rank - 1 {
		n := t.shape[i] + 2*pad - kernel.shape[2+i]
		if n < 0 {
			return t.graph.fail(OpConv, "kernel %v is larger than the padded %v", kernel.shape, t.shape)
		}
		shape[i] = n/stride + 1
	}
	shape[rank-1] = kernel.shape[0]
	return t.graph.add(OpConv, F32, shape, Attrs{Stride: stride, Pad: pad}, t, kernel)
}
