package gpu

import (
	"slices"

	"emily/backend"
)

// expression computes each element of a shape from elements of buffers,
// without memory for what lies between. Its last value is the result.
type expression struct {
	shape  []int
	leaves []leaf
	values []value // of the leaves, then of the instructions
	result int     // the value that is the result
}

// leaf is a buffer that an expression reads, or a number.
type leaf struct {
	slot backend.Slot
	view view
	kind leafKind
	bits int32 // of a literal
}

// leafKind says how a leaf's elements are read; dtypes keep their numbers.
type leafKind int32

const (
	index   leafKind = 0  // the place itself is the value
	literal leafKind = 15 // one number for all
)

// value is an instruction on earlier values, or a leaf.
type value struct {
	op   int32 // as kernels/src/chain.cu numbers them
	leaf int   // -1 for instructions
	args [3]int
}

// The instructions: binary ops of f32 and I32 and comparisons follow the
// numbers of unaryOps and binaryOps.
const (
	firstBinary  = 16
	firstInteger = 32
)

const (
	opSelect = 48 + iota
	opFloatOf
	opIntegerOf
	opRoundBF16
	opRoundF16
)

const (
	mostLeaves       = 8  // of an expression, that are read or counted
	mostInstructions = 16 // of an expression
)

// leafOf is the expression that reads a slot as it is.
func leafOf(s backend.Slot) *expression {
	t := s.Tensor
	l := leaf{slot: s, view: contiguous(t.Shape()), kind: leafKind(t.DType())}
	if s.Place == backend.InConst && t.Elements() == 1 && t.DType().Size() == 4 {
		l = leaf{kind: literal, bits: int32(s.Data[0]) | int32(s.Data[1])<<8 | int32(s.Data[2])<<16 | int32(s.Data[3])<<24, view: l.view}
	}
	return &expression{shape: t.Shape(), leaves: []leaf{l}, values: []value{{leaf: 0}}}
}

// iotaOf counts along an axis.
func iotaOf(n *backend.Tensor) *expression {
	v := view{axes: make([][]factor, n.Rank())}
	for i, d := range n.Shape() {
		if d != 1 {
			v.axes[i] = []factor{{d, 0}}
		}
	}
	if axis := n.Attrs().Axis; n.Dim(axis) != 1 {
		v.axes[axis][0].stride = 1
	}
	return &expression{shape: n.Shape(), leaves: []leaf{{kind: index, view: v}}, values: []value{{leaf: 0}}}
}

// viewed is the expression with every leaf viewed otherwise, over another shape.
func (e *expression) viewed(shape []int, change func(view) (view, bool)) (*expression, bool) {
	r := &expression{shape: shape, leaves: slices.Clone(e.leaves), values: e.values, result: e.result}
	for i := range r.leaves {
		var ok bool
		if r.leaves[i].view, ok = change(r.leaves[i].view); !ok {
			return nil, false
		}
	}
	return r, true
}

func (e *expression) reshaped(shape []int) (*expression, bool) {
	if slices.Equal(shape, e.shape) {
		return e, true
	}
	return e.viewed(shape, func(v view) (view, bool) { return v.reshaped(shape) })
}

func (e *expression) broadcast(shape []int) *expression {
	if slices.Equal(shape, e.shape) {
		return e
	}
	r, _ := e.viewed(shape, func(v view) (view, bool) { return v.broadcast(e.shape, shape), true })
	return r
}

// instructions is the number of values that are computed.
func (e *expression) instructions() int { return len(e.values) - len(e.leaves) }

// add adds the values of another expression over the same shape, those that
// are not there yet, and returns its result's value.
func (e *expression) add(o *expression) int {
	at := make([]int, len(o.values))
	for i, v := range o.values {
		if v.leaf >= 0 {
			at[i] = e.read(o.leaves[v.leaf])
			continue
		}
		for j := range v.args {
			v.args[j] = at[v.args[j]]
		}
		at[i] = e.compute(v)
	}
	return at[o.result]
}

func (e *expression) read(l leaf) int {
	same := func(k leaf) bool {
		return k.kind == l.kind && k.bits == l.bits && k.slot.Place == l.slot.Place && k.slot.Index == l.slot.Index && k.slot.Offset == l.slot.Offset &&
			k.slot.Weight == l.slot.Weight && (k.slot.Place != backend.InConst || string(k.slot.Data) == string(l.slot.Data)) && k.view.offset == l.view.offset && slices.EqualFunc(k.view.axes, l.view.axes, slices.Equal)
	}
	i := slices.IndexFunc(e.leaves, same)
	if i < 0 {
		e.leaves, i = append(e.leaves, l), len(e.leaves)
	}
	return e.value(value{leaf: i})
}

func (e *expression) compute(v value) int {
	v.leaf = -1
	return e.value(v)
}

func (e *expression) value(v value) int {
	if i := slices.Index(e.values, v); i >= 0 {
		return i
	}
	e.values = append(e.values, v)
	return len(e.values) - 1
}

// apply is an op on expressions over the shape of its node; false for ops that
// are not computed element by element.
func apply(n *backend.Tensor, args []*expression) (*expression, bool) {
	switch n.Op() {
	case backend.OpIota:
		return iotaOf(n), true
	case backend.OpTranspose:
		perm := n.Attrs().Perm
		return args[0].viewed(n.Shape(), func(v view) (view, bool) { return v.transposed(perm), true })
	case backend.OpSlice:
		a := n.Attrs()
		return args[0].viewed(n.Shape(), func(v view) (view, bool) { return v.sliced(a.Axis, a.Start, a.End-a.Start) })
	case backend.OpBroadcast:
		return args[0].broadcast(n.Shape()), true
	case backend.OpReshape:
		return args[0].reshaped(n.Shape())
	}
	e := &expression{shape: n.Shape()}
	var v value
	for i, a := range args {
		v.args[i] = e.add(a.broadcast(n.Shape()))
	}
	ok := true
	if e.result, ok = e.instruction(n, v); !ok {
		return nil, false
	}
	return e, true
}

// instruction adds what n computes of the values that v names.
func (e *expression) instruction(n *backend.Tensor, v value) (int, bool) {
	operand := n.Args()[0].DType()
	switch n.Op() {
	case backend.OpCast:
		return e.cast(v, operand, n.DType()), true
	case backend.OpSelect:
		v.op = opSelect
		return e.compute(v), true
	}
	if i := slices.Index(unaryOps, n.Op()); i >= 0 {
		v.op = int32(i)
		return e.compute(v), true
	}
	i := slices.Index(binaryOps, n.Op())
	v.op = firstBinary + int32(i)
	if operand == backend.I32 {
		v.op = firstInteger + int32(i)
	}
	return e.compute(v), i >= 0
}

// cast converts a value. Numbers in a stored dtype are floats that it holds.
func (e *expression) cast(v value, from, to backend.DType) int {
	switch {
	case to == backend.I32 && from.IsFloat():
		v.op = opIntegerOf
	case to.IsFloat() && !from.IsFloat():
		v.args[0] = e.compute(value{op: opFloatOf, args: v.args})
		return e.cast(v, backend.F32, to)
	case to == backend.BF16 && from != backend.BF16:
		v.op = opRoundBF16
	case to == backend.F16 && from != backend.F16:
		v.op = opRoundF16
	default:
		return v.args[0]
	}
	return e.compute(v)
}

// fits reports whether one launch can compute the expression, and how: the
// shape and strides of its leaves and of the result, which are the last.
func (e *expression) fits(out view) (sizes []int, steps [][]int, ok bool) {
	views := make([]view, 0, len(e.leaves)+1)
	for _, l := range e.leaves {
		views = append(views, l.view)
	}
	if len(e.leaves) > mostLeaves || e.instructions() > mostInstructions {
		return nil, nil, false
	}
	return aligned(e.shape, append(views, out))
}
