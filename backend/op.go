package backend

// Op is the operation of a node. Primitives are what every backend has;
// composites carry a lowering into primitives (see lower.go) and are kept only
// where a backend has a kernel for them; fused ops exist only after the fuse
// passes.
type Op uint8

const (
	// Leaves: they cost nothing at run time.
	OpInput  Op = iota // a buffer of the caller's
	OpWeight           // a tensor of the checkpoint
	OpConst            // data recorded with the graph
	OpIota             // 0, 1, 2... along an axis

	// Primitives.
	OpNeg
	OpExp
	OpLog
	OpTanh
	OpErf
	OpSqrt
	OpRsqrt
	OpSin
	OpCos
	OpAdd
	OpSub
	OpMul
	OpDiv
	OpMax
	OpMin
	OpLess
	OpEqual
	OpSelect
	OpReduceSum
	OpReduceMax
	OpArgMax
	OpMatMul
	OpGather
	OpSlice
	OpConcat
	OpReshape
	OpTranspose
	OpBroadcast
	OpCast
	OpConv
	OpStateRead
	OpStateWrite

	// Composites.
	OpLinear
	OpLayerNorm
	OpRMSNorm
	OpGELU
	OpGELUTanh
	OpSiLU
	OpReLU
	OpSwiGLU
	OpSoftmax
	OpPositions
	OpRotaryTable
	OpRoPE
	OpAttention
	OpCacheUpdate
	OpTopK

	// Fused ops.
	OpLinearGroup // several Linear of one input, one product
	OpPart        // one output of a LinearGroup or TopK
	OpGatedLinear // SwiGLU of two Linear of one input
	OpLinearTopK  // TopK of a Linear
	OpMapSum      // sum along the last axis of an elementwise op or softmax

	numOps
)

type class uint8

const (
	leaf class = iota
	primitive
	composite
	fused
)

var ops = [numOps]struct {
	name  string
	class class
}{
	OpInput: {"input", leaf}, OpWeight: {"weight", leaf}, OpConst: {"const", leaf}, OpIota: {"iota", primitive},
	OpNeg: {"neg", primitive}, OpExp: {"exp", primitive}, OpLog: {"log", primitive}, OpTanh: {"tanh", primitive},
	OpErf: {"erf", primitive}, OpSqrt: {"sqrt", primitive}, OpRsqrt: {"rsqrt", primitive},
	OpSin: {"sin", primitive}, OpCos: {"cos", primitive},
	OpAdd: {"add", primitive}, OpSub: {"sub", primitive}, OpMul: {"mul", primitive}, OpDiv: {"div", primitive},
	OpMax: {"max", primitive}, OpMin: {"min", primitive}, OpLess: {"less", primitive}, OpEqual: {"equal", primitive},
	OpSelect: {"select", primitive}, OpReduceSum: {"sum", primitive}, OpReduceMax: {"reduce_max", primitive},
	OpArgMax: {"argmax", primitive}, OpMatMul: {"matmul", primitive}, OpGather: {"gather", primitive},
	OpSlice: {"slice", primitive}, OpConcat: {"concat", primitive}, OpReshape: {"reshape", primitive},
	OpTranspose: {"transpose", primitive}, OpBroadcast: {"broadcast", primitive}, OpCast: {"cast", primitive},
	OpConv: {"conv", primitive}, OpStateRead: {"state_read", primitive}, OpStateWrite: {"state_write", primitive},
	OpLinear: {"linear", composite}, OpLayerNorm: {"layer_norm", composite}, OpRMSNorm: {"rms_norm", composite},
	OpGELU: {"gelu", composite}, OpGELUTanh: {"gelu_tanh", composite}, OpSiLU: {"silu", composite},
	OpReLU: {"relu", composite}, OpSwiGLU: {"swiglu", composite}, OpSoftmax: {"softmax", composite},
	OpPositions: {"positions", composite}, OpRotaryTable: {"rotary_table", composite}, OpRoPE: {"rope", composite},
	OpAttention: {"attention", composite}, OpCacheUpdate: {"cache_update", composite}, OpTopK: {"top_k", composite},
	OpLinearGroup: {"linear_group", fused}, OpPart: {"part", leaf}, OpGatedLinear: {"gated_linear", fused},
	OpLinearTopK: {"linear_top_k", fused}, OpMapSum: {"map_sum", fused},
}

// String returns the op's name as Graph.String and errors print it.
func (o Op) String() string {
	if o < numOps {
		return ops[o].name
	}
	return "op(?)"
}

// Primitive reports whether every backend must have the op.
func (o Op) Primitive() bool { return ops[o].class == primitive }

// Composite reports whether the op has a lowering into primitives.
func (o Op) Composite() bool { return ops[o].class == composite || ops[o].class == fused }
