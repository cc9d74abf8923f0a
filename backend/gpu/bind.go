package gpu

import (
	"fmt"
	"math"
	"slices"

	"emily/backend"
)

// operand says where a session finds a buffer of a launch.
type operand struct {
	kind   kind
	index  int // storage, input, output or state
	offset int
	bytes  int
	width  int // of a row, where the kernel takes a matrix
	weight *backend.Weight
	memory Memory // of a weight, once a launch reads it
}

type kind uint8

const (
	unused kind = iota
	inWeight
	inConstants
	inStorage
	inScratch // of the step
	inInput
	inOutput
	inState
	inExchange // zeros when the session begins, and its own from then on
	inCounts   // of blocks; zeros before and after each launch
)

// launch is a launch whose buffers have no address yet.
type launch struct {
	kernel   kernel
	own      Kernel // of the program, instead of kernel
	grid     [3]int
	threads  int
	shared   int // bytes
	cluster  int
	operands []operand
	args     []byte
}

// binder turns the steps of a plan into launches.
type binder struct {
	*program
	step  backend.Step
	round bool        // the step's results are rounded to bf16
	used  int         // bytes of scratch by the current step
	heads *headLaunch // the last
	// The last product and its first launch.
	product   *product
	productAt int
}

// binders says how each op becomes launches. False means that the op is not
// taken with these attributes.
var binders map[backend.Op]func(*binder, *backend.Tensor) bool

func init() {
	binders = map[backend.Op]func(*binder, *backend.Tensor) bool{
		backend.OpNeg: bindUnary, backend.OpExp: bindUnary, backend.OpLog: bindUnary, backend.OpTanh: bindUnary,
		backend.OpErf: bindUnary, backend.OpSqrt: bindUnary, backend.OpRsqrt: bindUnary, backend.OpSin: bindUnary,
		backend.OpCos: bindUnary, backend.OpGELU: bindUnary, backend.OpGELUTanh: bindUnary, backend.OpSiLU: bindUnary,
		backend.OpReLU: bindUnary,
		backend.OpAdd:  bindBinary, backend.OpSub: bindBinary, backend.OpMul: bindBinary, backend.OpDiv: bindBinary,
		backend.OpMax: bindBinary, backend.OpMin: bindBinary, backend.OpLess: bindBinary, backend.OpEqual: bindBinary,
		backend.OpSwiGLU: bindBinary, backend.OpSelect: bindSelect, backend.OpIota: bindIota, backend.OpCast: bindCast,
		backend.OpReduceSum: bindReduce, backend.OpReduceMax: bindReduce, backend.OpArgMax: bindArgMax,
		backend.OpSoftmax: bindSoftmax, backend.OpRMSNorm: bindNorm, backend.OpLayerNorm: bindNorm,
		backend.OpReshape: bindReshape, backend.OpSlice: bindSlice, backend.OpTranspose: bindTranspose,
		backend.OpBroadcast: bindBroadcast, backend.OpConcat: bindConcat, backend.OpGather: bindGather,
		backend.OpMatMul: bindMatMul, backend.OpConv: bindConv,
		backend.OpLinear: bindLinear, backend.OpLinearGroup: bindLinear, backend.OpGatedLinear: bindGatedLinear,
		backend.OpTopK: bindTopK, backend.OpLinearTopK: bindLinearTopK,
		backend.OpPositions: bindPositions, backend.OpRotaryTable: bindRotaryTable, backend.OpRoPE: bindRoPE,
		backend.OpAttention: bindAttention, backend.OpCacheUpdate: bindCacheUpdate,
		backend.OpStateRead: bindStateRead, backend.OpStateWrite: bindStateWrite,
	}
}

// Supports reports whether there are kernels for a composite or fused op. A
// norm that is merged into another op must cover what that op reads at a time:
// a row of a product, a head of a rotation.
func (b *Backend) Supports(n *backend.Tensor) bool {
	if _, ok := binders[n.Op()]; !ok {
		return false
	}
	a, args := n.Attrs(), n.Args()
	if n.Op() == backend.OpAttention {
		return n.Dim(1)/a.Heads <= mostHeadDim
	}
	if a.Norm == backend.NoNorm {
		return true
	}
	switch n.Op() {
	case backend.OpRoPE:
		return args[2].Dim(0) == n.Dim(1)/a.Heads
	case backend.OpCacheUpdate:
		return args[3].Dim(0) == a.State.Shape[4]
	}
	return a.Linear(args).Norm[0].Dim(0) == args[0].Dim(1)
}

// mostElements leaves room for a block past the last element of a tensor.
const mostElements = math.MaxInt32 - blockThreads

// mostBlocks is the size of a grid in its second and third dimension.
const mostBlocks = 1<<16 - 1

func (b *binder) bind(t *task) error {
	st := t.Step
	b.step, b.round, b.used = st, t.round, 0
	for _, t := range append([]*backend.Tensor{st.Node}, st.Node.Args()...) {
		if t.Elements() > mostElements {
			return fmt.Errorf("%s: the %s backend takes tensors of fewer than 2^31 elements", t, b.backend.info.Backend)
		}
	}
	if t.parts != nil {
		b.express(t)
		return nil
	}
	f, ok := binders[st.Node.Op()]
	if !ok || !f(b, st.Node) {
		return fmt.Errorf("the %s backend has no kernel for %s", b.backend.info.Backend, st.Node)
	}
	return nil
}

// launch adds a kernel to the step; a grid without blocks is left out.
func (b *binder) launch(k kernel, grid [3]int, threads int, args []byte, operands ...operand) {
	if max(grid[1], grid[2]) > mostBlocks {
		b.err = fmt.Errorf("%s needs a grid of %v blocks, more than a GPU has", b.step.Node, grid)
	}
	if grid[0]*grid[1]*grid[2] > 0 {
		b.add(launch{kernel: k, grid: grid, threads: threads, operands: operands, args: args})
	}
}

// add adds a launch and uploads the weights that it reads.
func (b *binder) add(l launch) {
	for i, o := range l.operands {
		if o.kind == inWeight && o.memory == (Memory{}) {
			at, err := b.backend.uploaded(o.weight)
			b.fail(err)
			l.operands[i].memory, l.operands[i].offset = at.Memory, at.Offset+o.offset
		}
	}
	b.launches = append(b.launches, l)
}

// upload brings a form of a weight to the device.
func (b *binder) upload(w *backend.Weight, how func(*backend.Weight) (Memory, error)) Memory {
	m, err := how(w)
	b.fail(err)
	return m
}

// fail keeps the first error.
func (b *binder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// blockThreads is the size of a block of independent threads or warps.
const blockThreads = 256

// each launches a kernel with one thread for each of n elements.
func (b *binder) each(k kernel, n int, args []byte, operands ...operand) {
	threads := min((n+warpSize-1)/warpSize*warpSize, blockThreads)
	b.launch(k, [3]int{(n + blockThreads - 1) / blockThreads, 1, 1}, threads, args, operands...)
}

// warpSize is the threads of a warp on every target.
const warpSize = 32

// rowThreads is the size of a block that works on a row of n elements.
func rowThreads(n int) int {
	warps := (n + 4*warpSize - 1) / (4 * warpSize)
	return min(max(warps, 1), blockThreads/warpSize) * warpSize
}

// arg is operand i of the step.
func (b *binder) arg(i int) operand { return b.operand(b.step.Args[i]) }

// exactArg reports whether all elements of operand i are bf16.
func (b *binder) exactArg(i int) bool {
	s := b.step.Args[i]
	return s.Place == backend.InArena && b.exact[s.Index] || s.Tensor.DType() == backend.BF16
}

// args are the operands from i on.
func (b *binder) args(i int) []operand {
	var ops []operand
	for ; i < len(b.step.Args); i++ {
		ops = append(ops, b.arg(i))
	}
	return ops
}

// out is result i of the step.
func (b *binder) out(i int) operand { return b.operand(b.step.Outs[i]) }

func (b *binder) operand(s backend.Slot) operand {
	o := operand{index: s.Index, offset: s.Offset, bytes: s.Tensor.Bytes()}
	switch s.Place {
	case backend.InArena:
		o.kind = inStorage
	case backend.InInput:
		o.kind = inInput
	case backend.InOutput:
		o.kind = inOutput
	case inStateSlot:
		o.kind = inState
	case backend.InWeight:
		o.kind, o.weight = inWeight, s.Weight
	case backend.InConst:
		return b.constant(s.Data)
	}
	return o
}

// constant puts data on the device with the program.
func (b *binder) constant(data []byte) operand {
	o := operand{kind: inConstants, offset: len(b.data), bytes: len(data)}
	if i := slices.IndexFunc(b.constants, func(c operand) bool { return string(b.data[c.offset:c.offset+c.bytes]) == string(data) }); i >= 0 {
		return b.constants[i]
	}
	b.data = append(b.data, data...)
	b.data = append(b.data, make([]byte, -len(b.data)&(memoryAlignment-1))...)
	b.constants = append(b.constants, o)
	return o
}

// scratch reserves n bytes for the launches of the step.
func (b *binder) scratch(n int) operand {
	o := operand{kind: inScratch, offset: b.used, bytes: n}
	b.used += (n + memoryAlignment - 1) &^ (memoryAlignment - 1)
	b.scratchBytes = max(b.scratchBytes, b.used)
	return o
}

// state is the whole of a state.
func (b *binder) state(spec *backend.StateSpec) operand {
	return operand{kind: inState, index: slices.Index(b.plan.States, spec), bytes: spec.Bytes()}
}

// rows returns the length of the last axis and the number of rows before it.
func rows(t *backend.Tensor) (rows, width int) {
	width = t.Dim(-1)
	if width == 0 {
		return 0, 0
	}
	return t.Elements() / width, width
}
