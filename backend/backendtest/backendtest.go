// Package backendtest is the compliance suite of backends: one table of small
// graphs that covers every primitive, composite and fused op, run in every
// lane and compared with a naive interpreter of the lowered graph. Tests run
// it, and `emily doctor --backend` on a user's device.
package backendtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"emily/backend"
)

// testCase records one graph with its data.
type testCase struct {
	name   string
	record func(r *recorder)
	// tolerance bounds the error of an f32 result relative to the largest number
	// of the output; 0 means 1e-5: sums of a few hundred terms in f32.
	tolerance float64
	// fused, if not nil, describes a node that the fuse passes must make where
	// the backend supports it.
	fused func(n *backend.Tensor) bool
	// unbounded results move by more than a rounding to bf16 of what they come from.
	unbounded bool
	// unaligned weights start at odd addresses.
	unaligned bool
}

// Group is the cases of one family of ops.
type Group struct {
	Name  string
	cases []*prepared
	bf16  bool // is run in bf16 as well
}

// Groups returns the whole suite. It is built once, in some seconds: backends
// and kernel variants share the cases and the reference's results.
func Groups() []Group { return suite() }

// Check runs the group's cases on a backend, in every lane, and those of
// products in the fuse lane with activations in bf16 as well. It returns what
// is wrong. A composite that the backend has no kernel for is wrong too.
func (g Group) Check(be backend.Backend) []error {
	var errs []error
	for _, c := range g.cases {
		if err := c.check(be); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
		if !g.bf16 || !c.bounded() {
			continue
		}
		if err := c.run(be, backend.Options{DType: backend.BF16, Strict: true}); err != nil {
			errs = append(errs, fmt.Errorf("%s in bf16: %w", c.name, err))
		}
	}
	return errs
}

// Cases is the number of graphs in the group.
func (g Group) Cases() int { return len(g.cases) }

// bf16Tolerance allows for a few roundings to 8 bits: of operands, of what is
// between two products, and of the result.
const bf16Tolerance = 2e-2

var suite = sync.OnceValue(func() []Group {
	var groups []Group
	for _, g := range []struct {
		name  string
		cases []testCase
		bf16  bool
	}{
		{"elementwise", elementwiseCases(), false},
		{"reduce", reduceCases(), false},
		{"shape", shapeCases(), false},
		{"matmul", matmulCases(), true},
		{"conv", convCases(), true},
		{"linear", linearCases(), true},
		{"fused", fusedCases(), true},
		{"mapsum", mapSumCases(), false},
		{"norm", normCases(), false},
		{"rope", ropeCases(), false},
		{"attention", attentionCases(), true},
		{"states", stateCases(), false},
		{"topk", topKCases(), false},
	} {
		prepared := make([]*prepared, len(g.cases))
		for i, c := range g.cases {
			prepared[i] = prepare(c)
		}
		groups = append(groups, Group{g.name, prepared, g.bf16})
	}
	return groups
})

// prepared is a case with its data and the reference's results.
type prepared struct {
	testCase
	*recorder
	err    error
	want   []*value
	states []*value // after a run, in the order of recorder.specs
}

func prepare(c testCase) *prepared {
	p := &prepared{testCase: c, recorder: newRecorder(c.name, c.unaligned)}
	c.record(p.recorder)
	low := backend.Lower(p.Graph, nil)
	if p.err = low.Err(); p.err != nil {
		return p
	}
	var in []*value
	for i, t := range p.Inputs() {
		in = append(in, &value{t.DType(), t.Shape(), decode(t.DType(), p.in[i])})
	}
	states := map[*backend.StateSpec]*value{}
	for i, spec := range p.specs {
		s := &value{spec.DType, spec.Shape, decode(spec.DType, p.initial[i])}
		states[spec] = s
		p.states = append(p.states, s)
	}
	p.want = interpret(low, in, states)
	return p
}

// bounded reports whether rounding changes all results a little only, which
// those that are an index do not.
func (p *prepared) bounded() bool {
	if p.err != nil || p.unbounded {
		return false
	}
	for _, w := range p.want {
		if !w.dtype.IsFloat() {
			return false
		}
	}
	return true
}

// check runs the case in every lane.
func (p *prepared) check(be backend.Backend) error {
	if p.err != nil {
		return p.err
	}
	for _, lane := range []backend.Lane{backend.Fuse, backend.Native, backend.Eager} {
		if err := p.run(be, backend.Options{Lane: lane, Strict: true}); err != nil {
			return fmt.Errorf("%s: %w", lane, err)
		}
	}
	return nil
}

// run executes the case twice on one session, so that what the first run
// leaves behind cannot help or harm the second.
func (p *prepared) run(be backend.Backend, opt backend.Options) error {
	plan, err := backend.NewPlan(be, p.Graph, opt)
	if err != nil {
		return err
	}
	if err := p.hasFused(be, plan); err != nil {
		return err
	}
	prog, err := be.Compile(plan)
	if err != nil {
		return err
	}
	defer prog.Close()
	var states []backend.State
	for _, spec := range p.specs {
		s, err := be.NewState(spec)
		if err != nil {
			return err
		}
		defer s.Close()
		states = append(states, s)
	}
	sess, err := prog.Bind(states...)
	if err != nil {
		return err
	}
	defer sess.Close()
	out := make([]backend.Buffer, len(p.want))
	for round := range 2 {
		for i, o := range p.Outputs() {
			out[i] = alignedBuffer(o.Tensor.Bytes())
			for j := range out[i] {
				out[i][j] = 0xa5
			}
		}
		for i, s := range states {
			if err := s.Write(p.initial[i], 0); err != nil {
				return err
			}
		}
		if err := sess.Run(context.Background(), p.in, out); err != nil {
			return err
		}
		tolerance := cmp.Or(p.tolerance, 1e-5)
		if opt.DType == backend.BF16 {
			tolerance = max(tolerance, bf16Tolerance)
		}
		if err := p.compare(out, states, tolerance); err != nil {
			return fmt.Errorf("run %d: %w", round+1, err)
		}
	}
	return nil
}

// hasFused checks that the fuse passes made the node that the case is about.
func (p *prepared) hasFused(be backend.Backend, plan *backend.Plan) error {
	if p.fused == nil || plan.Options.Lane != backend.Fuse {
		return nil
	}
	ideal, err := backend.NewPlan(willing{be}, p.Graph, plan.Options)
	if err != nil {
		return err
	}
	node := p.find(ideal)
	if node == nil {
		return fmt.Errorf("the fuse passes do not make the node that they should:\n%s", ideal.Graph)
	}
	if be.Supports(node) && p.find(plan) == nil {
		return fmt.Errorf("%s is supported but not in the plan:\n%s", node, plan.Graph)
	}
	return nil
}

func (p *prepared) find(plan *backend.Plan) *backend.Tensor {
	for _, n := range plan.Graph.Nodes() {
		if p.fused(n) {
			return n
		}
	}
	return nil
}

// willing is a backend that claims a kernel for everything.
type willing struct{ backend.Backend }

func (willing) Supports(*backend.Tensor) bool { return true }

func (p *prepared) compare(out []backend.Buffer, states []backend.State, tolerance float64) error {
	for i, o := range p.Outputs() {
		got := &value{o.Tensor.DType(), o.Tensor.Shape(), decode(o.Tensor.DType(), out[i])}
		if err := p.equal(o.Name, got, p.want[i], p.rows, tolerance); err != nil {
			return err
		}
	}
	for i, s := range states {
		b := make([]byte, s.Spec().Bytes())
		if err := s.Read(b, 0); err != nil {
			return err
		}
		if p.constant(i) && !bytes.Equal(b, p.initial[i]) {
			return fmt.Errorf("state %s was only read but changed", s.Spec())
		}
		got := &value{s.Spec().DType, s.Spec().Shape, decode(s.Spec().DType, b)}
		if err := p.equal(s.Spec().Name, got, p.states[i], nil, tolerance); err != nil {
			return err
		}
	}
	return nil
}

// constant reports whether no node writes state i.
func (p *prepared) constant(i int) bool {
	for _, n := range p.Nodes() {
		if n.Attrs().State == p.specs[i] && (n.Op() == backend.OpStateWrite || n.Op() == backend.OpCacheUpdate) {
			return false
		}
	}
	return true
}

// equal compares got with want. Floats may differ by the tolerance times the
// largest finite number of want; rows, if it has an entry for each row of the
// tensor, tells which count.
func (p *prepared) equal(name string, got, want *value, rows []bool, tolerance float64) error {
	if len(want.shape) == 0 || len(rows) != want.shape[0] {
		rows = nil
	}
	scale := 0.0
	for _, v := range want.data {
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			scale = max(scale, math.Abs(v))
		}
	}
	if !want.dtype.IsFloat() {
		tolerance = 0
	}
	worst, at := 0.0, -1
	for i, w := range want.data {
		if rows != nil && !rows[i/(len(want.data)/len(rows))] {
			continue
		}
		g := got.data[i]
		if g == w || (g != g && w != w) {
			continue
		}
		d := math.Abs(g - w)
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		if d > tolerance*scale && d > worst {
			worst, at = d, i
		}
	}
	if at < 0 {
		return nil
	}
	return fmt.Errorf("%s %s%v: element %d is %v, want %v (off by %.2g of the largest, allowed %.2g)",
		name, want.dtype, want.shape, at, got.data[at], want.data[at], worst/scale, tolerance)
}

// title joins the parts of a case's name.
func title(parts ...any) string {
	return strings.ReplaceAll(strings.TrimSuffix(fmt.Sprintln(parts...), "\n"), " ", "/")
}
