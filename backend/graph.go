package backend

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// Graph is a recorded computation: nodes in the order in which they were
// recorded, which is also an order in which they can run. The first mistake in
// a shape or dtype sticks to the graph and is returned by Err and Compile, so
// that a forward pass reads without error checks.
type Graph struct {
	nodes   []*Tensor
	inputs  []*Tensor
	outputs []Output
	weights map[*Weight]*Tensor
	scopes  []string
	caller  *callers // recording position to use instead of the stack's: set while rewriting
	err     error
}

// Output is a named result of a graph.
type Output struct {
	Name   string
	Tensor *Tensor
}

// NewGraph returns an empty graph.
func NewGraph() *Graph { return &Graph{weights: map[*Weight]*Tensor{}} }

// Err returns the first error made while recording, or nil.
func (g *Graph) Err() error { return g.err }

// Nodes returns the nodes in recording order. The caller must not change it.
func (g *Graph) Nodes() []*Tensor { return g.nodes }

// Inputs returns the inputs in the order in which a session's Run takes them.
func (g *Graph) Inputs() []*Tensor { return g.inputs }

// Outputs returns the outputs in the order in which a session's Run fills them.
func (g *Graph) Outputs() []Output { return g.outputs }

// Input records an input buffer that every run is given.
func (g *Graph) Input(name string, dtype DType, shape ...int) *Tensor {
	if dtype == Invalid || int(dtype) >= len(dtypes) {
		return g.fail(OpInput, "%s has the dtype %s", name, dtype)
	}
	t := g.add(OpInput, dtype, shape, Attrs{Name: name})
	g.inputs = append(g.inputs, t)
	return t
}

// Weight records a tensor of the checkpoint; the same weight is recorded once.
func (g *Graph) Weight(w *Weight) *Tensor {
	if w == nil {
		return g.fail(OpWeight, "the weight is nil")
	}
	if t := g.weights[w]; t != nil {
		return t
	}
	if !w.DType.IsFloat() || len(w.Data) != w.Elements()*w.DType.Size() {
		return g.fail(OpWeight, "%s: %d bytes do not hold %s%v", w.Name, len(w.Data), w.DType, w.Shape)
	}
	t := g.add(OpWeight, w.DType, w.Shape, Attrs{Weight: w})
	g.weights[w] = t
	return t
}

// Floats records constant data, row-major.
func (g *Graph) Floats(data []float32, shape ...int) *Tensor {
	return g.constant(F32, BufferOf(data), shape)
}

// Ints records constant integers, row-major.
func (g *Graph) Ints(data []int32, shape ...int) *Tensor {
	return g.constant(I32, BufferOf(data), shape)
}

// Scalar records one constant number, shape [].
func (g *Graph) Scalar(v float32) *Tensor { return g.Floats([]float32{v}) }

func (g *Graph) constant(dtype DType, data []byte, shape []int) *Tensor {
	if elements(shape)*dtype.Size() != len(data) {
		return g.fail(OpConst, "%d bytes do not hold %s%v", len(data), dtype, shape)
	}
	return g.add(OpConst, dtype, shape, Attrs{Data: append([]byte(nil), data...)})
}

// Iota records 0, 1, 2... (I32) along one axis of the shape.
func (g *Graph) Iota(axis int, shape ...int) *Tensor {
	if axis < 0 || axis >= len(shape) {
		return g.fail(OpIota, "axis %d of shape %v", axis, shape)
	}
	return g.add(OpIota, I32, shape, Attrs{Axis: axis})
}

// Output names a result. Every run fills the caller's buffer for it.
func (g *Graph) Output(name string, t *Tensor) {
	if t.graph != g {
		g.fail(t.op, "output %q belongs to another graph", name)
		return
	}
	g.outputs = append(g.outputs, Output{name, t})
}

// Scope opens a scope, such as "layers.3"; nodes recorded before the returned
// function is called belong to it. Scopes nest.
func (g *Graph) Scope(name string) (end func()) {
	if n := len(g.scopes); n > 0 {
		name = g.scopes[n-1] + "." + name
	}
	g.scopes = append(g.scopes, name)
	return func() { g.scopes = g.scopes[:len(g.scopes)-1] }
}

// String prints the graph, one node a line, with scopes as headings.
func (g *Graph) String() string {
	var b strings.Builder
	scope := ""
	for _, t := range g.nodes {
		if t.scope != scope {
			scope = t.scope
			fmt.Fprintf(&b, "%s:\n", scope)
		}
		fmt.Fprintf(&b, "  %s\n", t)
	}
	for _, o := range g.outputs {
		fmt.Fprintf(&b, "output %s = %%%d\n", o.Name, o.Tensor.id)
	}
	return b.String()
}

// add appends a node.
func (g *Graph) add(op Op, dtype DType, shape []int, attrs Attrs, args ...*Tensor) *Tensor {
	for _, a := range args {
		if a == nil {
			return g.fail(op, "an operand is nil")
		}
		if a.graph != g {
			return g.fail(op, "an operand belongs to another graph")
		}
	}
	if len(shape) > MaxRank {
		return g.fail(op, "shape %v has more than %d axes", shape, MaxRank)
	}
	for i, d := range shape {
		if d < 0 {
			return g.fail(op, "shape %v has a negative dimension", shape)
		}
		if d > 0 && elements(shape[:i]) > maxElements/d {
			return g.fail(op, "shape %v has more than 2^40 elements", shape)
		}
	}
	t := &Tensor{graph: g, id: len(g.nodes), op: op, dtype: dtype, shape: append([]int(nil), shape...), args: args, attrs: attrs}
	if n := len(g.scopes); n > 0 {
		t.scope = g.scopes[n-1]
	}
	t.caller = g.position()
	g.nodes = append(g.nodes, t)
	return t
}

// fail keeps the first error and returns a tensor that further recording may use.
func (g *Graph) fail(op Op, format string, args ...any) *Tensor {
	if g.err == nil {
		g.err = &GraphError{Op: op, Position: g.position().String(), Err: fmt.Errorf(format, args...)}
	}
	t := &Tensor{graph: g, id: len(g.nodes), op: OpConst, dtype: Invalid}
	g.nodes = append(g.nodes, t)
	return t
}

// GraphError is a mistake made while recording: the op, what is wrong with its
// shapes or dtypes, and the line that recorded it.
type GraphError struct {
	Op       Op
	Position string // file:line
	Err      error
}

func (e *GraphError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Position, e.Op, e.Err) }

// Unwrap returns the description without op and position.
func (e *GraphError) Unwrap() error { return e.Err }

// callers holds the innermost program counters at the time of recording. They
// are resolved only for an error, since a decoder records hundreds of nodes.
type callers [8]uintptr

func (g *Graph) position() *callers {
	if g.caller != nil {
		return g.caller
	}
	c := new(callers)
	runtime.Callers(3, c[:])
	return c
}

// String returns file:line of the innermost frame outside this package.
func (c *callers) String() string {
	frames := runtime.CallersFrames(c[:])
	for {
		f, more := frames.Next()
		name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]
		own := strings.HasPrefix(name, "backend.") && !strings.HasSuffix(f.File, "_test.go")
		if f.File != "" && !own {
			short := f.File[:max(strings.LastIndexByte(f.File, '/'), 0)]
			return fmt.Sprintf("%s:%d", f.File[strings.LastIndexByte(short, '/')+1:], f.Line)
		}
		if !more {
			return "unknown position"
		}
	}
}

// Buffer is the memory of one input or output: the elements of a slice as
// bytes in the machine's order.
type Buffer []byte

// BufferOf returns the memory of s, without a copy.
func BufferOf[T float32 | int32 | uint16 | uint8](s []T) Buffer {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}
