package backendtest

import (
	"encoding/binary"
	"fmt"
	"math"

	"emily/backend"
)

// value is a tensor of the reference: numbers of any dtype, held in float64.
type value struct {
	dtype backend.DType
	shape []int
	data  []float64
}

func newValue(dtype backend.DType, shape []int) *value {
	return &value{dtype, shape, make([]float64, count(shape))}
}

func count(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// reference interprets a graph of primitives with plain loops. Sums are
// computed in float64 and every result is rounded once to its dtype, so that
// it is what an ideal backend would give.
type reference struct {
	values map[*backend.Tensor]*value
	states map[*backend.StateSpec]*value
}

// interpret runs a graph on inputs in order, updates the states and returns
// the outputs in order.
func interpret(g *backend.Graph, in []*value, states map[*backend.StateSpec]*value) []*value {
	r := &reference{map[*backend.Tensor]*value{}, states}
	for i, t := range g.Inputs() {
		r.values[t] = in[i]
	}
	for _, n := range g.Nodes() {
		if n.Op() == backend.OpInput {
			continue
		}
		v := newValue(n.DType(), n.Shape())
		r.compute(n, v)
		for i := range v.data {
			v.data[i] = round(v.dtype, v.data[i])
		}
		r.values[n] = v
	}
	var out []*value
	for _, o := range g.Outputs() {
		out = append(out, r.values[o.Tensor])
	}
	return out
}

func (r *reference) compute(n *backend.Tensor, y *value) {
	a := n.Attrs()
	args := make([]*value, len(n.Args()))
	for i, t := range n.Args() {
		args[i] = r.values[t]
	}
	switch op := n.Op(); op {
	case backend.OpWeight:
		y.data = decode(y.dtype, a.Weight.Data)
	case backend.OpConst:
		y.data = decode(y.dtype, a.Data)
	case backend.OpStateRead:
		r.read(a, args, y)
	case backend.OpStateWrite:
		r.write(a, args)
	case backend.OpMatMul:
		matmul(y, args[0], args[1], a.Transposed)
	case backend.OpConv:
		conv(y, args[0], args[1], a.Stride, a.Pad)
	case backend.OpConcat:
		at := 0
		for _, x := range args {
			walk(x.shape, func(i int, ix []int) {
				ix[a.Axis] += at
				y.data[offset(ix, y.shape)] = x.data[i]
				ix[a.Axis] -= at
			})
			at += x.shape[a.Axis]
		}
	case backend.OpReduceSum, backend.OpReduceMax, backend.OpArgMax:
		reduce(op, y, args[0], a.Axis)
	case backend.OpReshape:
		copy(y.data, args[0].data)
	case backend.OpGather:
		gather(y, args[0], args[1])
	default:
		walk(y.shape, func(i int, ix []int) { y.data[i] = element(op, a, args, ix) })
	}
}

// element computes one element of an op that is defined element by element.
func element(op backend.Op, a backend.Attrs, args []*value, ix []int) float64 {
	switch op {
	case backend.OpIota:
		return float64(ix[a.Axis])
	case backend.OpSlice:
		ix = append([]int(nil), ix...)
		ix[a.Axis] += a.Start
		return args[0].data[offset(ix, args[0].shape)]
	case backend.OpTranspose:
		from := make([]int, len(ix))
		for i, p := range a.Perm {
			from[p] = ix[i]
		}
		return args[0].data[offset(from, args[0].shape)]
	}
	x := args[0].data[offset(ix, args[0].shape)]
	if len(args) == 1 {
		return unary(op, x)
	}
	y := args[1].data[offset(ix, args[1].shape)]
	if op == backend.OpSelect {
		if x != 0 {
			return y
		}
		return args[2].data[offset(ix, args[2].shape)]
	}
	if args[0].dtype == backend.I32 {
		return integer(op, int32(x), int32(y))
	}
	return binaryOp(op, x, y)
}

func unary(op backend.Op, x float64) float64 {
	switch op {
	case backend.OpNeg:
		return -x
	case backend.OpExp:
		return math.Exp(x)
	case backend.OpLog:
		return math.Log(x)
	case backend.OpTanh:
		return math.Tanh(x)
	case backend.OpErf:
		return math.Erf(x)
	case backend.OpSqrt:
		return math.Sqrt(x)
	case backend.OpRsqrt:
		return 1 / math.Sqrt(x)
	case backend.OpSin:
		return math.Sin(x)
	case backend.OpCos:
		return math.Cos(x)
	case backend.OpCast, backend.OpBroadcast:
		return x
	}
	panic(fmt.Sprintf("the reference has no %s", op))
}

func binaryOp(op backend.Op, x, y float64) float64 {
	switch op {
	case backend.OpAdd:
		return x + y
	case backend.OpSub:
		return x - y
	case backend.OpMul:
		return x * y
	case backend.OpDiv:
		return x / y
	case backend.OpMax:
		return max(x, y)
	case backend.OpMin:
		return min(x, y)
	case backend.OpLess:
		return truth(x < y)
	case backend.OpEqual:
		return truth(x == y)
	}
	panic(fmt.Sprintf("the reference has no %s", op))
}

func integer(op backend.Op, x, y int32) float64 {
	switch op {
	case backend.OpAdd:
		return float64(x + y)
	case backend.OpSub:
		return float64(x - y)
	case backend.OpMul:
		return float64(x * y)
	case backend.OpDiv:
		if y == 0 {
			return 0
		}
		return float64(x / y)
	}
	return binaryOp(op, float64(x), float64(y))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func reduce(op backend.Op, y, x *value, axis int) {
	for i := range y.data {
		switch op {
		case backend.OpReduceMax:
			y.data[i] = math.Inf(-1)
		case backend.OpArgMax:
			y.data[i] = -1
		}
	}
	best := make([]float64, len(y.data)) // of arg-max
	walk(x.shape, func(i int, ix []int) {
		k := ix[axis]
		ix[axis] = 0
		o := offset(ix, y.shape)
		ix[axis] = k
		switch v := x.data[i]; {
		case op == backend.OpReduceSum:
			y.data[o] += v
		case op == backend.OpReduceMax:
			if v > y.data[o] || v != v {
				y.data[o] = v
			}
		case k == 0 || v > best[o] || (v != v && best[o] == best[o]):
			y.data[o], best[o] = float64(k), v
		}
	})
}

func matmul(y, x, w *value, transposed bool) {
	rank := len(y.shape)
	k := x.shape[len(x.shape)-1]
	walk(y.shape, func(i int, ix []int) {
		row, col := ix[rank-2], ix[rank-1]
		sum := 0.0
		if k > 0 {
			ix[rank-1] = 0
			xs := x.data[offset(ix, x.shape):]
			ix[rank-2], ix[rank-1] = 0, col
			step := w.shape[len(w.shape)-1]
			if transposed {
				ix[rank-2], ix[rank-1], step = col, 0, 1
			}
			ws := w.data[offset(ix, w.shape):]
			for p := range k {
				sum += xs[p] * ws[p*step]
			}
			ix[rank-2], ix[rank-1] = row, col
		}
		y.data[i] = sum
	})
}

// conv sums over every tap of a kernel [out, in, taps...] that falls inside x [..., in].
func conv(y, x, kernel *value, stride, pad int) {
	spatial := len(x.shape) - 1
	walk(y.shape, func(i int, ix []int) {
		walk(kernel.shape[1:], func(tap int, kx []int) {
			from := make([]int, spatial+1)
			from[spatial] = kx[0]
			for s := range spatial {
				from[s] = ix[s]*stride + kx[1+s] - pad
				if from[s] < 0 || from[s] >= x.shape[s] {
					return
				}
			}
			y.data[i] += x.data[offset(from, x.shape)] * kernel.data[ix[spatial]*count(kernel.shape[1:])+tap]
		})
	})
}

func gather(y, table, ids *value) {
	width := count(table.shape[1:])
	for i, id := range ids.data {
		for k := range width {
			switch {
			case id >= 0 && int(id) < table.shape[0]:
				y.data[i*width+k] = table.data[int(id)*width+k]
			case table.dtype == backend.I32:
				y.data[i*width+k] = -1
			default:
				y.data[i*width+k] = math.NaN()
			}
		}
	}
}

// read copies a state, or a layer and slot of a cache [layers, slots, heads, capacity, head_dim].
func (r *reference) read(a backend.Attrs, args []*value, y *value) {
	s := r.states[a.State]
	if a.Layer < 0 {
		copy(y.data, s.data)
		return
	}
	slot := int(args[0].data[0])
	if slot < 0 || slot >= s.shape[1] {
		slot = 0
	}
	copy(y.data, s.data[offset([]int{a.Layer, slot, 0, 0, 0}, s.shape):])
}

// write replaces a state, or writes rows at the place that a segment names.
func (r *reference) write(a backend.Attrs, args []*value) {
	s := r.states[a.State]
	if a.Layer < 0 {
		copy(s.data, args[0].data)
		return
	}
	slot, first, length := int(args[1].data[0]), int(args[1].data[1]), int(args[1].data[2])
	heads, capacity, d := s.shape[2], s.shape[3], s.shape[4]
	for row := range min(args[0].shape[0], length) {
		pos := first + row
		if slot < 0 || slot >= s.shape[1] || pos < 0 || pos >= capacity {
			continue
		}
		for h := range heads {
			for k := range d {
				s.data[offset([]int{a.Layer, slot, h, pos, k}, s.shape)] = round(s.dtype, args[0].data[(row*heads+h)*d+k])
			}
		}
	}
}

// walk visits every index of a shape in row-major order. f may change ix if it
// restores it.
func walk(shape []int, f func(i int, ix []int)) {
	ix := make([]int, len(shape))
	for i := range count(shape) {
		f(i, ix)
		for a := len(ix) - 1; a >= 0; a-- {
			if ix[a]++; ix[a] < shape[a] {
				break
			}
			ix[a] = 0
		}
	}
}

// offset is where index ix lies in a row-major shape that is broadcast to ix:
// axes are aligned at the end and a dimension of 1 repeats.
func offset(ix, shape []int) int {
	at := 0
	for a, d := range shape {
		at *= d
		if d != 1 {
			at += ix[len(ix)-len(shape)+a]
		}
	}
	return at
}

// round returns the number of a dtype that is nearest to x, ties to even.
func round(dtype backend.DType, x float64) float64 {
	switch dtype {
	case backend.F32:
		return float64(float32(x))
	case backend.BF16:
		return roundTo(x, 8, -133, 0x1.fep127)
	case backend.F16:
		return roundTo(x, 11, -24, 65504)
	case backend.I32:
		return float64(int32(x))
	}
	return x
}

// roundTo rounds to a number of significant bits, multiples of 2^least and at most largest.
func roundTo(x float64, bits, least int, largest float64) float64 {
	if x == 0 || math.IsInf(x, 0) || x != x {
		return x
	}
	_, e := math.Frexp(x)
	unit := math.Ldexp(1, max(e-bits, least))
	y := math.RoundToEven(x/unit) * unit
	if math.Abs(y) > largest {
		return math.Copysign(math.Inf(1), x)
	}
	return y
}

// decode reads stored elements.
func decode(dtype backend.DType, b []byte) []float64 {
	x := make([]float64, len(b)/dtype.Size())
	for i := range x {
		e := b[i*dtype.Size():]
		switch dtype {
		case backend.F32:
			x[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(e)))
		case backend.BF16:
			x[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(e)) << 16))
		case backend.F16:
			x[i] = halfToFloat(binary.LittleEndian.Uint16(e))
		case backend.I32:
			x[i] = float64(int32(binary.LittleEndian.Uint32(e)))
		case backend.U8:
			x[i] = float64(e[0])
		}
	}
	return x
}

// encode stores elements, rounded to the dtype.
func encode(dtype backend.DType, x []float64) []byte {
	b := make([]byte, 0, len(x)*dtype.Size())
	for _, v := range x {
		v = round(dtype, v)
		switch dtype {
		case backend.F32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
		case backend.BF16:
			b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(float32(v))>>16))
		case backend.F16:
			b = binary.LittleEndian.AppendUint16(b, floatToHalf(v))
		case backend.I32:
			b = binary.LittleEndian.AppendUint32(b, uint32(int32(v)))
		case backend.U8:
			b = append(b, byte(v))
		}
	}
	return b
}

// halfToFloat reads an IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction.
func halfToFloat(h uint16) float64 {
	exponent, fraction := int(h>>10&31), float64(h&1023)
	var x float64
	switch {
	case exponent == 31 && fraction != 0:
		return math.NaN()
	case exponent == 31:
		x = math.Inf(1)
	case exponent == 0:
		x = math.Ldexp(fraction, -24)
	default:
		x = math.Ldexp(1024+fraction, exponent-25)
	}
	if h>>15 == 1 {
		return -x
	}
	return x
}

// floatToHalf stores a number that is exact in binary16.
func floatToHalf(x float64) uint16 {
	var sign uint16
	if math.Signbit(x) {
		sign = 1 << 15
	}
	switch x = math.Abs(x); {
	case x != x:
		return 0x7e00
	case math.IsInf(x, 0):
		return sign | 0x7c00
	case x < 0x1p-14:
		return sign | uint16(math.Ldexp(x, 24))
	}
	f, e := math.Frexp(x) // x = f·2^e with f in [½, 1)
	return sign | uint16(e+14)<<10 | uint16(math.Ldexp(f, 11))&1023
}
