package cpu

import (
	"emily/backend"
	"emily/backend/cpu/kernel"
)

// binder turns the steps of a plan into phases.
type binder struct {
	*program
	set     *kernel.Set
	threads int
	step    backend.Step
}

// binders says how each op becomes phases. An op's binder reads the current
// step; false means that it does not take the node.
var binders map[backend.Op]func(*binder, *backend.Tensor) bool

func init() {
	binders = map[backend.Op]func(*binder, *backend.Tensor) bool{
		backend.OpNeg: bindUnary, backend.OpExp: bindUnary, backend.OpLog: bindUnary, backend.OpTanh: bindUnary,
		backend.OpErf: bindUnary, backend.OpSqrt: bindUnary, backend.OpRsqrt: bindUnary, backend.OpSin: bindUnary,
		backend.OpCos: bindUnary, backend.OpGELU: bindUnary, backend.OpGELUTanh: bindUnary, backend.OpSiLU: bindUnary,
		backend.OpReLU: bindUnary,
		backend.OpAdd:  bindBinary, backend.OpSub: bindBinary, backend.OpMul: bindBinary, backend.OpDiv: bindBinary,
		backend.OpMax: bindBinary, backend.OpMin: bindBinary, backend.OpLess: bindCompare, backend.OpEqual: bindCompare,
		backend.OpSelect: bindSelect, backend.OpSwiGLU: bindSwiGLU, backend.OpIota: bindIota, backend.OpCast: bindCast,
		backend.OpReduceSum: bindReduce, backend.OpReduceMax: bindReduce, backend.OpArgMax: bindArgMax,
		backend.OpSoftmax: bindSoftmax, backend.OpRMSNorm: bindNorm, backend.OpLayerNorm: bindNorm,
		backend.OpReshape: bindCopy, backend.OpSlice: bindStrided, backend.OpTranspose: bindStrided, backend.OpBroadcast: bindStrided,
		backend.OpConcat: bindConcat, backend.OpGather: bindGather,
		backend.OpMatMul: bindMatMul, backend.OpConv: bindConv,
		backend.OpLinear: bindLinear, backend.OpLinearGroup: bindLinear, backend.OpGatedLinear: bindGatedLinear,
		backend.OpTopK: bindTopK, backend.OpLinearTopK: bindLinearTopK, backend.OpMapSum: bindMapSum,
		backend.OpPositions: bindPositions, backend.OpRotaryTable: bindRotaryTable, backend.OpRoPE: bindRoPE,
		backend.OpAttention:  bindAttention,
		backend.OpStateRead:  bindStateRead,
		backend.OpStateWrite: bindStateWrite, backend.OpCacheUpdate: bindCacheUpdate,
	}
}

// Supports reports whether a composite or fused op has kernels here. A norm
// that is merged into another op must cover what that op reads at a time: a
// row of a product, a head of a rotation.
func (b *Backend) Supports(n *backend.Tensor) bool {
	if _, ok := binders[n.Op()]; !ok {
		return false
	}
	a, args := n.Attrs(), n.Args()
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

func (b *binder) bind(n *backend.Tensor) bool {
	f, ok := binders[n.Op()]
	return ok && f(b, n)
}

// ref gives a slot a place in the frames.
func (b *binder) ref(s backend.Slot) ref {
	b.places = append(b.places, place{slot: s, bytes: s.Tensor.Bytes(), data: s.Data})
	return ref(len(b.places) - 1)
}

// raw is operand i in its stored dtype, perhaps unaligned.
func (b *binder) raw(i int) ref { return b.ref(b.step.Args[i]) }

// arg is operand i, aligned to its elements: f32 or i32 loops may view it.
func (b *binder) arg(i int) ref {
	s := b.step.Args[i]
	if s.Data != nil && !isAligned(s.Data) {
		data := aligned(len(s.Data))
		copy(data, s.Data)
		s.Data = data
	}
	return b.ref(s)
}

// out is result i. A result that nothing reads gets scratch of its own in every run.
func (b *binder) out(i int) ref { return b.ref(b.step.Outs[i]) }

// vector is a norm's weight or a bias, in f32.
func (b *binder) vector(t *backend.Tensor) []float32 {
	if t == nil {
		return nil
	}
	return b.backend.widened(t.Attrs().Weight)
}

// phase adds a loop of independent chunks to the step.
func (b *binder) phase(chunks int, run func(f *frame, w *worker, chunk int)) {
	b.phases = append(b.phases, phase{chunks, run})
}

// minChunk is the work, in elements of a light loop, under which another
// worker costs more than it brings: about 5 us.
const minChunk = 1 << 14

// ranges divides n items, each of some elements' work, among the workers.
func (b *binder) ranges(n, work int, run func(f *frame, w *worker, from, to int)) {
	if n == 0 {
		return
	}
	chunks := min(n, max(1, n*max(work, 1)/minChunk), 4*b.threads)
	if b.threads == 1 {
		chunks = 1
	}
	b.phase(chunks, func(f *frame, w *worker, c int) {
		run(f, w, c*n/chunks, (c+1)*n/chunks)
	})
}

// share reserves scratch that all phases of the step see.
func (b *binder) share(n int) { b.shared = max(b.shared, n) }

// rows returns the length of the last axis and the number of rows before it.
func rows(t *backend.Tensor) (rows, width int) {
	width = t.Dim(-1)
	if width == 0 {
		return 0, 0
	}
	return t.Elements() / width, width
}
