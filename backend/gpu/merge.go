package gpu

import (
	"slices"

	"emily/backend"
)

// task is what a session runs at a place of its program: a step of the plan,
// or expressions that take in what steps before it compute.
type task struct {
	backend.Step
	parts []part // if not nil, the expressions instead of the step
	fold  bool   // the expression's rows are summed, or their largest elements found, as the step's op says
	round bool   // the step's results are rounded to bf16
}

// part is an expression and where its elements go in the task's result.
type part struct {
	*expression
	out view
}

// mostRepeated is the number of instructions that several readers may compute
// again each rather than read what they share.
const mostRepeated = 6

// merger turns the steps of a plan into fewer tasks.
type merger struct {
	plan    *backend.Plan // a copy, to be laid out anew
	tasks   []task
	readers map[int][]int        // of a storage: the steps
	exprs   map[int]*expression  // of a storage: how its elements are computed
	aliases map[int]backend.Slot // of a storage: what has the same elements in the same order
	widened map[int]backend.Slot // of a storage: what has them in another float type
	exact   map[int]bool         // storages of f32 numbers that are all bf16
}

// merge merges chains of element-wise steps into the steps that read them, and
// what only moves elements into the strides of their readers. The plan that it
// returns is a copy whose storages are placed for the tasks.
func merge(plan *backend.Plan) ([]task, *merger) {
	copied := *plan
	copied.Storages = slices.Clone(plan.Storages)
	m := &merger{plan: &copied, readers: map[int][]int{}, exprs: map[int]*expression{},
		aliases: map[int]backend.Slot{}, widened: map[int]backend.Slot{}, exact: map[int]bool{}}
	for i, st := range plan.Steps {
		for _, s := range st.Args {
			if s.Place == backend.InArena && !slices.Contains(m.readers[s.Index], i) {
				m.readers[s.Index] = append(m.readers[s.Index], i)
			}
		}
	}
	for i, st := range plan.Steps {
		m.readInPlace(i, st)
		st.Args, st.Outs = slices.Clone(st.Args), slices.Clone(st.Outs)
		m.add(i, task{Step: st})
	}
	m.prune()
	m.foldRounding()
	m.findExact()
	copied.Steps = nil
	for _, t := range m.tasks {
		copied.Steps = append(copied.Steps, t.reads())
	}
	copied.Layout()
	return m.tasks, m
}

// reads is the task as a step whose operands are all that it reads.
func (t *task) reads() backend.Step {
	st := t.Step
	if t.parts == nil {
		return st
	}
	st.Args = nil
	for _, p := range t.parts {
		for _, l := range p.leaves {
			if l.kind != index && l.kind != literal {
				st.Args = append(st.Args, l.slot)
			}
		}
	}
	return st
}

// add appends the task of step i, as expressions if it is computed element by element.
func (m *merger) add(i int, t task) {
	m.merge(&t)
	if t.parts == nil {
		m.redirect(&t)
	}
	m.tasks = append(m.tasks, t)
}

func (m *merger) merge(t *task) {
	n := t.Node
	empty := func(a *backend.Tensor) bool { return a.Elements() == 0 || a.Elements() > mostElements }
	if len(t.Outs) != 1 || empty(n) || slices.ContainsFunc(n.Args(), empty) {
		return
	}
	switch {
	case n.Op() == backend.OpConcat:
		m.concat(t)
	case foldsRows(n):
		e := m.operand(t.Args[0])
		if _, _, ok := e.fits(contiguous(e.shape)); ok && e.instructions() > 0 {
			t.parts, t.fold = []part{{e, contiguous(e.shape)}}, true
		}
	case pointwise(n):
		e := m.expression(n, t.Args)
		if e == nil {
			return
		}
		t.parts = []part{{e, contiguous(n.Shape())}}
		if o := t.Outs[0]; o.Place == backend.InArena {
			m.alias(o.Index, n, e)
			if !m.needed(o.Index, e) {
				m.exprs[o.Index] = e
			}
		}
	}
}

// concat makes each operand an expression that goes to its place in the result.
func (m *merger) concat(t *task) {
	axis, at := t.Node.Attrs().Axis, 0
	for _, s := range t.Args {
		out, ok := contiguous(t.Node.Shape()).sliced(axis, at, s.Tensor.Dim(axis))
		e := m.operand(s)
		if _, _, fits := e.fits(out); !fits {
			e = leafOf(s)
		}
		if !ok {
			t.parts = nil
			return
		}
		at += s.Tensor.Dim(axis)
		t.parts = append(t.parts, part{e, out})
	}
}

// inStateSlot is the place of a slot in a state, of which Index is the number in the plan.
const inStateSlot backend.Place = 100

// readInPlace lets readers of a cache read the state itself, if it has but one
// slot and is not written again.
func (m *merger) readInPlace(i int, st backend.Step) {
	n := st.Node
	spec, layer := n.Attrs().State, n.Attrs().Layer
	if n.Op() != backend.OpStateRead || layer < 0 || spec.Shape[1] != 1 || st.Outs[0].Place != backend.InArena || n.Elements() > mostElements {
		return
	}
	for _, later := range m.plan.Steps[i:] {
		a := later.Node.Attrs()
		writes := later.Node.Op() == backend.OpStateWrite || later.Node.Op() == backend.OpCacheUpdate
		if writes && a.State == spec && (a.Layer == layer || a.Layer < 0) {
			return
		}
	}
	slot := backend.Slot{Place: inStateSlot, Index: slices.Index(m.plan.States, spec), Offset: layer * n.Bytes(), Tensor: n}
	m.aliases[st.Outs[0].Index], m.exprs[st.Outs[0].Index] = slot, leafOf(slot)
}

// alias notes where else the elements of a storage are to be found.
func (m *merger) alias(storage int, n *backend.Tensor, e *expression) {
	if len(e.values) != 1 || e.leaves[0].kind == index || e.leaves[0].kind == literal || e.leaves[0].slot.Place == backend.InConst {
		return
	}
	l := e.leaves[0]
	if same, _, ok := aligned(e.shape, []view{l.view}); !ok || l.view.offset != 0 || l.slot.Tensor.Elements() != n.Elements() || len(same) > 1 {
		return
	}
	if l.slot.Tensor.DType() == n.DType() {
		m.aliases[storage] = l.slot
	} else if n.DType() == backend.F32 {
		m.widened[storage] = l.slot
	}
}

// redirect makes a step read what its operands are aliases of.
func (m *merger) redirect(t *task) {
	for i, s := range t.Args {
		if s.Place != backend.InArena {
			continue
		}
		to, ok := m.aliases[s.Index]
		if !ok && readsStored(t.Node, i) {
			to, ok = m.widened[s.Index]
		}
		if ok && s.Tensor.Elements() == to.Tensor.Elements() {
			t.Args[i] = to
		}
	}
}

// readsStored reports whether a node takes its operand i in any float type.
func readsStored(n *backend.Tensor, i int) bool { return n.Op() == backend.OpMatMul && i == 1 }

// foldsRows reports whether a node reduces runs of consecutive elements.
func foldsRows(n *backend.Tensor) bool {
	if n.Op() != backend.OpReduceSum && n.Op() != backend.OpReduceMax {
		return false
	}
	return elements(n.Args()[0].Shape()[n.Attrs().Axis+1:]) == 1
}

// pointwise reports whether each element of a node is computed from one of each operand.
func pointwise(n *backend.Tensor) bool {
	switch n.Op() {
	case backend.OpCast, backend.OpSelect, backend.OpTranspose, backend.OpSlice, backend.OpBroadcast, backend.OpReshape, backend.OpIota:
		return true
	}
	return slices.Contains(unaryOps, n.Op()) || slices.Contains(binaryOps, n.Op())
}

// expression is that of a node with as many of its operands taken in as fit.
func (m *merger) expression(n *backend.Tensor, args []backend.Slot) *expression {
	var taken []*expression
	for _, s := range args {
		taken = append(taken, m.operand(s))
	}
	for i := len(args); i >= 0; i-- {
		if i < len(args) {
			taken[i] = leafOf(args[i])
		}
		if e, ok := apply(n, taken); ok {
			if _, _, ok := e.fits(contiguous(n.Shape())); ok {
				return e
			}
		}
	}
	return nil
}

// operand is how the elements of a slot are computed, or the slot itself.
func (m *merger) operand(s backend.Slot) *expression {
	if s.Place == backend.InArena && s.Offset == 0 {
		if e := m.exprs[s.Index]; e != nil && elements(e.shape) == s.Tensor.Elements() {
			if e, ok := e.reshaped(s.Tensor.Shape()); ok {
				return e
			}
		}
	}
	return leafOf(s)
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// needed reports whether a storage is better kept than computed by its readers:
// one needs it in memory, or they would repeat too much.
func (m *merger) needed(storage int, e *expression) bool {
	readers := m.readers[storage]
	_, alias := m.aliases[storage]
	_, widened := m.widened[storage]
	for _, i := range readers {
		st := m.plan.Steps[i]
		if alias || pointwise(st.Node) || foldsRows(st.Node) || st.Node.Op() == backend.OpConcat {
			continue
		}
		for j, s := range st.Args {
			if s.Place == backend.InArena && s.Index == storage && !(widened && readsStored(st.Node, j)) {
				return true
			}
		}
	}
	return len(readers) > 1 && e.instructions() > mostRepeated
}

// prune drops the tasks whose results nothing reads any more.
func (m *merger) prune() {
	read := map[int]bool{}
	var kept []task
	for _, t := range slices.Backward(m.tasks) {
		useful := len(t.Outs) == 0 || t.parts == nil && t.Node.Op() != backend.OpStateRead
		for _, o := range t.Outs {
			useful = useful || o.Place != backend.InArena || read[o.Index]
		}
		if !useful {
			continue
		}
		for _, s := range t.reads().Args {
			if s.Place == backend.InArena {
				read[s.Index] = true
			}
		}
		kept = append(kept, t)
	}
	slices.Reverse(kept)
	m.tasks = kept
}

// foldRounding lets a step round its results to bf16 itself where that is all
// that is ever read of them.
func (m *merger) foldRounding() {
	producer, readers := map[int]int{}, map[int]int{}
	for i, t := range m.tasks {
		for _, o := range t.Outs {
			if o.Place == backend.InArena {
				producer[o.Index] = i
			}
		}
		for _, s := range t.reads().Args {
			if s.Place == backend.InArena {
				readers[s.Index]++
			}
		}
	}
	rounded := map[int]map[int]int{} // of a producer: for each storage, the task that rounds it
	for i, t := range m.tasks {
		if s, ok := t.rounds(); ok && readers[s] == 1 {
			p := producer[s]
			if rounded[p] == nil {
				rounded[p] = map[int]int{}
			}
			rounded[p][s] = i
		}
	}
	drop := map[int]bool{}
	for p, by := range rounded {
		t := &m.tasks[p]
		if t.parts != nil || !slices.Contains(rounding, t.Node.Op()) || len(by) != len(t.Outs) {
			continue
		}
		t.round = true
		for j, o := range t.Outs {
			i := by[o.Index]
			t.Outs[j], drop[i] = m.tasks[i].Outs[0], true
		}
	}
	var kept []task
	for i, t := range m.tasks {
		if !drop[i] {
			kept = append(kept, t)
		}
	}
	m.tasks = kept
}

// rounding are the ops whose kernels can round their results.
var rounding = []backend.Op{backend.OpLinear, backend.OpLinearGroup, backend.OpGatedLinear, backend.OpMatMul, backend.OpConv,
	backend.OpRMSNorm, backend.OpLayerNorm, backend.OpRoPE, backend.OpAttention}

// rounds reports whether a task does nothing but round a storage to bf16.
func (t *task) rounds() (storage int, ok bool) {
	if len(t.parts) != 1 || t.fold || len(t.parts[0].values) != 2 || t.Node.DType() != backend.F32 {
		return 0, false
	}
	e := t.parts[0]
	l := e.leaves[0]
	same, _, ok := aligned(e.shape, []view{l.view})
	ok = ok && len(same) <= 1 && l.view.offset == 0 && l.kind == leafKind(backend.F32) && l.slot.Place == backend.InArena && l.slot.Offset == 0
	return l.slot.Index, ok && e.values[e.result].op == opRoundBF16 && e.values[e.result].leaf < 0
}

// findExact finds the storages of f32 numbers that are all bf16.
func (m *merger) findExact() {
	for _, t := range m.tasks {
		exact := t.round || t.Node.Op() == backend.OpGather && t.Node.Args()[0].DType() == backend.BF16
		if t.parts != nil && !t.fold {
			exact = !slices.ContainsFunc(t.parts, func(p part) bool { return !m.isExact(p.expression) })
		}
		for _, o := range t.Outs {
			if o.Place == backend.InArena {
				m.exact[o.Index] = exact
			}
		}
	}
}

func (m *merger) isExact(e *expression) bool {
	v := e.values[e.result]
	if v.leaf < 0 {
		return v.op == opRoundBF16
	}
	l := e.leaves[v.leaf]
	return l.kind == leafKind(backend.BF16) || l.kind == leafKind(backend.F32) && l.slot.Place == backend.InArena && m.exact[l.slot.Index]
}
