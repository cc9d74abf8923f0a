package backend

import (
	"slices"
	"sort"
)

// Plan is a graph made ready for a backend: steps in order over buffers whose
// places are decided.
type Plan struct {
	// Recorded is the graph as the model recorded it, with scopes; a backend may
	// look there for regions that it runs as a whole.
	Recorded *Graph
	// Graph holds the nodes that Steps execute: primitives and the composites and
	// fused ops that the backend supports.
	Graph   *Graph
	Options Options
	Steps   []Step
	// Storages are the buffers of intermediate results, Arena the bytes that hold them all.
	Storages []Storage
	Arena    int
	// States are the states that the steps read or write.
	States []*StateSpec
	// Fallbacks names the composites that the fuse lane had to lower, once each.
	Fallbacks []string
}

// Step computes one node. Args and Outs are the places of its operands and
// results; a node with parts has one Out for each.
type Step struct {
	Node *Tensor
	Args []Slot
	Outs []Slot
}

// Place says what kind of memory a slot is in.
type Place uint8

// The places of a slot.
const (
	InArena  Place = iota // Index of the storage, and Offset
	InInput               // Index of the graph's input
	InOutput              // Index of the graph's output
	InWeight              // Weight
	InConst               // Data
	Nowhere               // the node has no result
)

// Slot is where a tensor's elements are.
type Slot struct {
	Place  Place
	Index  int // input, output or storage
	Offset int // bytes from the start of the input, output or storage
	Tensor *Tensor
	Weight *Weight
	Data   []byte
}

// Storage is a buffer that lives from one step to another.
type Storage struct {
	Bytes       int
	Offset      int // in the arena
	First, Last int // steps
}

// alignment of storages: a cache line, and a full vector register.
const alignment = 64

// newPlan orders the graph's nodes into steps and places their results.
func newPlan(recorded, g *Graph, opt Options) *Plan {
	p := &planner{Plan: &Plan{Recorded: recorded, Graph: g, Options: opt}, slots: make([]Slot, len(g.nodes))}
	p.reserveOutputs()
	for _, n := range g.nodes {
		p.place(n)
	}
	p.copyOutputs()
	p.Layout()
	return p.Plan
}

type planner struct {
	*Plan
	slots    []Slot
	reserved map[*Tensor]int // nodes that compute straight into an output
}

// root follows views to the node that owns the memory.
func root(t *Tensor) *Tensor {
	for t.op == OpReshape || isRows(t) {
		t = t.args[0]
	}
	return t
}

// isRows reports whether t is a slice whose elements are contiguous in its operand.
func isRows(t *Tensor) bool {
	return t.op == OpSlice && elements(t.shape[:t.attrs.Axis]) == 1
}

// reserveOutputs finds the nodes that can write into the caller's buffer.
func (p *planner) reserveOutputs() {
	p.reserved = map[*Tensor]int{}
	for i, o := range p.Graph.outputs {
		r := root(o.Tensor)
		_, taken := p.reserved[r]
		if !taken && r.Bytes() == o.Tensor.Bytes() && r.op != OpInput && r.op != OpWeight && r.op != OpConst {
			p.reserved[r] = i
		}
	}
}

// place gives a node its slot and, if it computes something, a step.
func (p *planner) place(n *Tensor) {
	s := Slot{Tensor: n}
	switch {
	case n.op == OpInput:
		s.Place, s.Index = InInput, slices.Index(p.Graph.inputs, n)
	case n.op == OpWeight:
		s.Place, s.Weight, s.Data = InWeight, n.attrs.Weight, n.attrs.Weight.Data
	case n.op == OpConst:
		s.Place, s.Data = InConst, n.attrs.Data
	case n.op == OpReshape || isRows(n):
		s = p.view(n)
	case n.op == OpPart:
		s = p.own(n)
		step := &p.Steps[p.slots[n.args[0].id].Index]
		for len(step.Outs) <= n.attrs.Part {
			step.Outs = append(step.Outs, Slot{Place: Nowhere})
		}
		step.Outs[n.attrs.Part] = s
	case n.dtype == Invalid: // an effect, or a node with parts: Index finds its step
		s.Place, s.Index = Nowhere, len(p.Steps)
		p.step(n, nil)
	default:
		s = p.own(n)
		p.step(n, []Slot{s})
	}
	p.slots[n.id] = s
}

// own gives a node memory of its own.
func (p *planner) own(n *Tensor) Slot {
	if i, ok := p.reserved[n]; ok {
		return Slot{Place: InOutput, Index: i, Tensor: n}
	}
	p.Storages = append(p.Storages, Storage{Bytes: n.Bytes()})
	return Slot{Place: InArena, Index: len(p.Storages) - 1, Tensor: n}
}

// view is part of the operand's memory under another shape.
func (p *planner) view(n *Tensor) Slot {
	s := p.slots[n.args[0].id]
	s.Tensor = n
	if n.op == OpSlice {
		skip := n.attrs.Start * elements(n.shape[n.attrs.Axis+1:]) * n.dtype.Size()
		s.Offset += skip
		if s.Data != nil {
			s.Data = s.Data[skip:]
		}
	}
	if s.Data != nil {
		s.Data = s.Data[:n.Bytes()]
	}
	return s
}

func (p *planner) step(n *Tensor, outs []Slot) {
	st := Step{Node: n, Outs: outs, Args: make([]Slot, len(n.args))}
	for i, a := range n.args {
		st.Args[i] = p.slots[a.id]
	}
	for _, spec := range []*StateSpec{n.attrs.State, n.attrs.Values} {
		if spec != nil && !slices.Contains(p.States, spec) {
			p.States = append(p.States, spec)
		}
	}
	p.Steps = append(p.Steps, st)
}

// copyOutputs adds a copy for each output that is not computed in place: an
// OpReshape step copies its operand.
func (p *planner) copyOutputs() {
	for i, o := range p.Graph.outputs {
		s := p.slots[o.Tensor.id]
		if s.Place == InOutput && s.Index == i {
			continue
		}
		p.Steps = append(p.Steps, Step{
			Node: &Tensor{graph: p.Graph, id: o.Tensor.id, op: OpReshape, dtype: o.Tensor.dtype, shape: o.Tensor.shape, args: []*Tensor{o.Tensor}},
			Args: []Slot{s}, Outs: []Slot{{Place: InOutput, Index: i, Tensor: o.Tensor}},
		})
	}
}

// Layout places the storages in the arena. A backend that has merged steps of a
// copy of a plan calls it again; storages that no step touches take no room.
func (p *Plan) Layout() {
	p.liveness()
	p.layout()
}

// liveness finds the first and last step that touch each storage.
func (p *Plan) liveness() {
	for i := range p.Storages {
		p.Storages[i].First = -1
	}
	for i, st := range p.Steps {
		for _, s := range slices.Concat(st.Args, st.Outs) {
			if s.Place != InArena {
				continue
			}
			if o := &p.Storages[s.Index]; o.First < 0 {
				o.First, o.Last = i, i
			} else {
				o.Last = i
			}
		}
	}
}

// layout places the storages in the arena: each at the lowest offset that is
// free while it lives, in the order of their first step.
func (p *Plan) layout() {
	p.Arena = 0
	type span struct{ from, to, last int }
	var live []span // by offset
	order := make([]*Storage, len(p.Storages))
	for i := range order {
		order[i] = &p.Storages[i]
	}
	// A part gets its storage after the nodes that were recorded before it, but
	// lives from its product's step on.
	slices.SortStableFunc(order, func(a, b *Storage) int { return a.First - b.First })
	for _, s := range order {
		if s.First < 0 {
			continue
		}
		live = slices.DeleteFunc(live, func(o span) bool { return o.last < s.First })
		size := (s.Bytes + alignment - 1) / alignment * alignment
		at := 0
		for _, o := range live {
			if o.from-at >= size {
				break
			}
			at = max(at, o.to)
		}
		s.Offset = at
		j := sort.Search(len(live), func(j int) bool { return live[j].from >= at })
		live = slices.Insert(live, j, span{at, at + size, s.Last})
		p.Arena = max(p.Arena, at+size)
	}
}
