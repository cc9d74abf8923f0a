package backend

import (
	"context"
	"fmt"
	"slices"
)

// Lane is how a graph is executed.
type Lane uint8

// The lanes of the report. All give the same results up to the order of sums.
const (
	// Fuse keeps the composites that the backend has kernels for and runs the fuse passes.
	Fuse Lane = iota
	// Native lowers everything to primitives, plans buffers once and runs the whole plan in one call.
	Native
	// Eager lowers everything and finishes one primitive after the other, each with a buffer of its own.
	Eager
)

// String returns "fuse", "native" or "eager".
func (l Lane) String() string {
	names := [...]string{"fuse", "native", "eager"}
	if int(l) < len(names) {
		return names[l]
	}
	return fmt.Sprintf("lane(%d)", uint8(l))
}

// ParseLane returns the lane with the given name.
func ParseLane(name string) (Lane, error) {
	for l := Fuse; l <= Eager; l++ {
		if l.String() == name {
			return l, nil
		}
	}
	return 0, fmt.Errorf("unknown lane %q: choose eager, native or fuse", name)
}

// Options say how a graph is compiled.
type Options struct {
	Lane Lane
	// DType is the precision of activations: F32, or BF16, which rounds the
	// result of each composite as transformers does for a bf16 model. The zero value means F32.
	DType DType
	// Strict makes a composite without a kernel in the fuse lane an error.
	Strict bool
	// Event, if not nil, is told in one line about anything that runs otherwise than asked,
	// such as a composite that has no kernel here.
	Event func(string)
}

// Info describes a backend's device.
type Info struct {
	Backend string // "cpu", "cuda"...
	Device  string // the device in words
	Kernels string // the kernel variant in use
	Threads int
	// Rows is the number of rows that keep the device busy: programs of more are
	// not faster. 0 leaves it to the caller.
	Rows int
}

// Backend runs plans on one device. All methods are safe for concurrent use.
type Backend interface {
	Info() Info
	// Supports reports whether there is a kernel for a composite or fused op with
	// the node's dtypes, shapes and attributes. Primitives are always supported.
	Supports(n *Tensor) bool
	// Upload makes a weight ready for use. Compile does it for those that it meets.
	Upload(w *Weight) error
	// NewState returns a state filled with zeros.
	NewState(spec *StateSpec) (State, error)
	// Compile turns a plan into a program.
	Compile(p *Plan) (Program, error)
	// Close frees the device. Sessions, programs and states are closed before.
	Close() error
}

// Program is a compiled plan. It is immutable: any number of sessions share it.
type Program interface {
	// Bind gives the program states, one for each spec that it names, in any
	// order, and returns a session.
	Bind(states ...State) (Session, error)
	Plan() *Plan
	Close() error
}

// State is a buffer that outlives runs and is shared by programs.
type State interface {
	Spec() *StateSpec
	// Read and Write copy bytes at an offset, between runs.
	Read(dst []byte, offset int) error
	Write(src []byte, offset int) error
	Close() error
}

// Session is a program bound to states, with memory of its own for
// intermediate results. One goroutine uses it at a time.
type Session interface {
	// Run computes the graph once. in and out are the caller's buffers in the
	// order of the graph's inputs and outputs; nothing is allocated.
	Run(ctx context.Context, in, out []Buffer) error
	// Steps runs a program without inputs, whose first output is one I32, up to n
	// times and passes each value on; it stops early when yield returns false. It
	// returns the number of runs.
	Steps(ctx context.Context, n int, yield func(int32) bool) (int, error)
	Close() error
}

// Compile plans a graph for a backend and compiles it. The error of a graph
// that was recorded wrongly names the op, the shapes and the line.
func Compile(b Backend, g *Graph, opt Options) (Program, error) {
	p, err := NewPlan(b, g, opt)
	if err != nil {
		return nil, err
	}
	return b.Compile(p)
}

// NewPlan lowers, fuses and plans a graph for a backend without compiling it.
func NewPlan(b Backend, g *Graph, opt Options) (*Plan, error) {
	if g.err != nil {
		return nil, g.err
	}
	if opt.DType == Invalid {
		opt.DType = F32
	}
	if opt.DType != F32 && opt.DType != BF16 {
		return nil, fmt.Errorf("activations cannot be computed in %s: choose f32 or bf16", opt.DType)
	}
	if opt.Lane > Eager {
		return nil, fmt.Errorf("unknown lane %s: choose eager, native or fuse", opt.Lane)
	}
	recorded := g
	g = prune(g)
	var fallbacks []string
	if opt.Lane == Fuse {
		g = fuse(g, b.Supports)
		for _, n := range g.nodes {
			if n.op.Composite() && !b.Supports(n) && !slices.Contains(fallbacks, n.op.String()) {
				fallbacks = append(fallbacks, n.op.String())
			}
		}
		if err := report(b, opt, fallbacks); err != nil {
			return nil, err
		}
	}
	if opt.DType == BF16 {
		g = roundActivations(g)
	}
	keep := b.Supports
	if opt.Lane != Fuse {
		keep = nil
	}
	g = prune(Lower(g, keep))
	if g.err != nil {
		return nil, fmt.Errorf("lowering: %w", g.err)
	}
	p := newPlan(recorded, g, opt)
	p.Fallbacks = fallbacks
	return p, nil
}

func report(b Backend, opt Options, fallbacks []string) error {
	for _, op := range fallbacks {
		line := fmt.Sprintf("%s has no kernel for %s here: it runs as primitives", b.Info().Backend, op)
		if opt.Strict {
			return fmt.Errorf("%s", line)
		}
		if opt.Event != nil {
			opt.Event(line)
		}
	}
	return nil
}

// roundActivations rounds the f32 result of every composite, sum, product and
// gather to bf16.
func roundActivations(g *Graph) *Graph {
	out := map[*Tensor]bool{}
	for _, o := range g.outputs {
		out[o.Tensor] = true
	}
	return rewrite(g, func(n *Tensor, args []*Tensor) []*Tensor {
		if n.dtype != F32 || n.op == OpRotaryTable || n.op == OpTopK || out[n] {
			return nil
		}
		if n.op == OpPart && n.args[0].op != OpLinearGroup {
			return nil
		}
		gathered := n.op == OpGather && n.args[0].dtype != BF16
		if !n.op.Composite() && n.op != OpAdd && n.op != OpMul && n.op != OpPart && !gathered {
			return nil
		}
		return []*Tensor{args[0].graph.copy(n, args).Cast(BF16).Cast(F32)}
	})
}
