package backend

import (
	"fmt"
	"slices"
)

// MaxRank is the largest number of axes of a tensor.
const MaxRank = 6

// maxElements bounds a tensor, so that no product of sizes overflows.
const maxElements = 1 << 40

// Tensor is a handle on one node of a graph: an operation, its operands, and
// the dtype and static shape of its result. Recording never computes. A Tensor
// belongs to its graph and is not safe for concurrent use.
type Tensor struct {
	graph  *Graph
	id     int
	op     Op
	dtype  DType
	shape  []int
	args   []*Tensor
	attrs  Attrs
	scope  string
	caller *callers
}

// Attrs are the static parameters of a node. Each op reads only the fields
// that its method's comment speaks of.
type Attrs struct {
	Axis       int        // axis of a reduction, slice, concat, gather, iota
	Start, End int        // slice
	Perm       []int      // transpose
	Transposed bool       // matmul: the right operand is [n,k]
	Stride     int        // conv
	Pad        int        // conv
	Eps        float32    // norms
	Scale      float32    // attention: factor of the scores; rotary table: factor of cos and sin
	Heads      int        // attention, rope: heads of the first operand
	KVHeads    int        // attention, cache update: heads of keys and values
	Causal     bool       // attention: a row sees no later position
	Window     int        // attention: positions seen, 0 for all
	Keys       int        // attention over a state without causality: keys seen
	Layer      int        // states: index of the first axis
	Segments   []int      // lengths of the row segments
	K          int        // top-k
	Part       int        // index of one output
	Map        Op         // map sum: the op whose result is summed
	Weights    int        // linear group: number of weights
	Bias       bool       // linear: an operand holds the bias
	Activation Activation // linear: applied to product and bias
	Residual   bool       // linear: an operand is added at the end
	Norm       Norm       // linear, rope, cache update: the first operand is normalised before
	Rotary     bool       // cache update: the first operand is rotated before it is written
	State      *StateSpec // state ops, attention over a state, cache update
	Values     *StateSpec // attention over a state: the state of the values
	Name       string     // input
	Weight     *Weight    // weight
	Data       []byte     // const: the elements, little endian
}

// Activation is the function that a linear layer's epilogue applies.
type Activation uint8

// The activations that the fuse passes merge into a product.
const (
	NoActivation Activation = iota
	GELU
	GELUTanh
	SiLU
	ReLU
	Tanh
)

// Norm is a normalisation that the fuse passes merge into its consumer.
type Norm uint8

// The norms that come before a product or a rotation.
const (
	NoNorm Norm = iota
	RMSNorm
	LayerNorm
)

var activationOps = map[Op]Activation{OpGELU: GELU, OpGELUTanh: GELUTanh, OpSiLU: SiLU, OpReLU: ReLU, OpTanh: Tanh}

// String returns the activation's name.
func (a Activation) String() string {
	return [...]string{"none", "gelu", "gelu_tanh", "silu", "relu", "tanh"}[a]
}

// Op returns the operation that computes the tensor.
func (t *Tensor) Op() Op { return t.op }

// ID returns the node's number in its graph, in recording order.
func (t *Tensor) ID() int { return t.id }

// DType returns the element type.
func (t *Tensor) DType() DType { return t.dtype }

// Shape returns the dimensions. The caller must not change the slice.
func (t *Tensor) Shape() []int { return t.shape }

// Dim returns one dimension; a negative axis counts from the end. It is 0 for
// an axis that does not exist.
func (t *Tensor) Dim(axis int) int {
	if axis < 0 {
		axis += len(t.shape)
	}
	if axis < 0 || axis >= len(t.shape) {
		return 0
	}
	return t.shape[axis]
}

// Rank returns the number of axes.
func (t *Tensor) Rank() int { return len(t.shape) }

// Elements returns the number of elements.
func (t *Tensor) Elements() int { return elements(t.shape) }

// Bytes returns the size of the result in bytes.
func (t *Tensor) Bytes() int { return t.Elements() * t.dtype.Size() }

// Args returns the operands. The caller must not change the slice.
func (t *Tensor) Args() []*Tensor { return t.args }

// Attrs returns the static parameters.
func (t *Tensor) Attrs() Attrs { return t.attrs }

// Scope returns the scope the node was recorded in, such as "layers.3".
func (t *Tensor) Scope() string { return t.scope }

// String describes the node in one line: %7 = linear f32[1,64] (%5, %6).
func (t *Tensor) String() string {
	s := fmt.Sprintf("%%%d = %s %s%v", t.id, t.op, t.dtype, t.shape)
	switch t.op {
	case OpWeight:
		s += " " + t.attrs.Weight.Name
	case OpInput:
		s += " " + t.attrs.Name
	}
	for i, a := range t.args {
		if i == 0 {
			s += " ("
		} else {
			s += ", "
		}
		s += fmt.Sprintf("%%%d", a.id)
		if i == len(t.args)-1 {
			s += ")"
		}
	}
	if t.attrs.State != nil {
		s += " state " + t.attrs.State.Name
	}
	return s
}

func sameShape(a, b *Tensor) bool { return slices.Equal(a.shape, b.shape) }
