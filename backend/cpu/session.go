package cpu

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"emily/backend"
)

// session owns the arena of a program.
type session struct {
	program *program
	frame   frame
	job     *job
	refs    [][]ref // of each storage, for the eager lane
	inputs  []ref
	outputs []ref
	token   [1]int32
	packer  *packer // once it was started
}

// Bind finds the program's states by their specs and allocates its arena.
func (p *program) Bind(states ...backend.State) (backend.Session, error) {
	s := &session{program: p}
	for _, spec := range p.plan.States {
		i := slices.IndexFunc(states, func(st backend.State) bool { return st != nil && st.Spec() == spec })
		if i < 0 {
			return nil, fmt.Errorf("the program needs the state %s", spec)
		}
		st, ok := states[i].(*state)
		if !ok {
			return nil, fmt.Errorf("state %s belongs to another backend", spec)
		}
		if err := st.open(); err != nil {
			return nil, err
		}
		s.frame.caches = append(s.frame.caches, st)
	}
	s.frame.mem = make([][]byte, len(p.places))
	s.frame.shared = floats(aligned(4 * p.shared))
	var arena []byte
	if p.plan.Options.Lane == backend.Eager {
		s.refs = make([][]ref, len(p.plan.Storages))
	} else {
		arena = aligned(p.plan.Arena)
	}
	for r, pl := range p.places {
		switch pl.slot.Place {
		case backend.InArena:
			if s.refs != nil {
				s.refs[pl.slot.Index] = append(s.refs[pl.slot.Index], ref(r))
				break
			}
			at := p.plan.Storages[pl.slot.Index].Offset + pl.slot.Offset
			s.frame.mem[r] = arena[at : at+pl.bytes : at+pl.bytes]
		case backend.InInput:
			s.inputs = append(s.inputs, ref(r))
		case backend.InOutput:
			s.outputs = append(s.outputs, ref(r))
		default:
			s.frame.mem[r] = pl.data
		}
	}
	s.job = p.backend.pool.newJob(p.phases, &s.frame)
	return s, nil
}

// Run computes the graph once on the caller's buffers.
func (s *session) Run(ctx context.Context, in, out []backend.Buffer) error {
	if s.frame.mem == nil {
		return errors.New("the session is closed")
	}
	for _, st := range s.frame.caches {
		if err := st.open(); err != nil {
			return err
		}
	}
	g := s.program.plan.Graph
	if len(in) != len(g.Inputs()) || len(out) != len(g.Outputs()) {
		return fmt.Errorf("the program has %d inputs and %d outputs, got %d and %d", len(g.Inputs()), len(g.Outputs()), len(in), len(out))
	}
	for i, t := range g.Inputs() {
		if len(in[i]) != t.Bytes() {
			return fmt.Errorf("input %s: %d bytes, want %s%v", t.Attrs().Name, len(in[i]), t.DType(), t.Shape())
		}
	}
	for i, o := range g.Outputs() {
		if len(out[i]) != o.Tensor.Bytes() {
			return fmt.Errorf("output %s: %d bytes, want %s%v", o.Name, len(out[i]), o.Tensor.DType(), o.Tensor.Shape())
		}
	}
	for _, r := range s.inputs {
		s.patch(r, in)
	}
	for _, r := range s.outputs {
		s.patch(r, out)
	}
	if s.refs != nil {
		return s.eager(ctx)
	}
	err := s.execute(ctx, s.job, s.program.parallel)
	if err == nil {
		s.program.backend.forms.ran(s)
	}
	return err
}

// patch points a ref at the caller's buffer.
func (s *session) patch(r ref, buffers []backend.Buffer) {
	pl := &s.program.places[r]
	s.frame.mem[r] = buffers[pl.slot.Index][pl.slot.Offset : pl.slot.Offset+pl.bytes]
}

func (s *session) execute(ctx context.Context, j *job, parallel bool) error {
	err := s.program.backend.pool.run(ctx, j, parallel)
	if err != nil && j == s.job {
		s.job = s.program.backend.pool.newJob(s.program.phases, &s.frame) // its counters are void
	}
	return err
}

// eager finishes one step after the other; each result gets a buffer of its
// own before its step and loses it after its last reader.
func (s *session) eager(ctx context.Context) error {
	p := s.program
	born, dead := make([][]int, len(p.plan.Steps)), make([][]int, len(p.plan.Steps))
	for i, st := range p.plan.Storages {
		if st.First >= 0 {
			born[st.First], dead[st.Last] = append(born[st.First], i), append(dead[st.Last], i)
		}
	}
	for i := range p.plan.Steps {
		for _, storage := range born[i] {
			data := aligned(p.plan.Storages[storage].Bytes)
			for _, r := range s.refs[storage] {
				pl := &p.places[r]
				s.frame.mem[r] = data[pl.slot.Offset : pl.slot.Offset+pl.bytes]
			}
		}
		phases := p.phases[p.steps[i]:p.steps[i+1]]
		parallel := slices.ContainsFunc(phases, func(p phase) bool { return p.chunks > 1 })
		if err := s.execute(ctx, p.backend.pool.newJob(phases, &s.frame), parallel); err != nil {
			return err
		}
		for _, storage := range dead[i] {
			for _, r := range s.refs[storage] {
				s.frame.mem[r] = nil
			}
		}
	}
	return nil
}

// Steps runs the closed loop: the program itself carries token and position in states.
func (s *session) Steps(ctx context.Context, n int, yield func(int32) bool) (int, error) {
	out := []backend.Buffer{backend.BufferOf(s.token[:])}
	for i := range n {
		if err := s.Run(ctx, nil, out); err != nil {
			return i, err
		}
		if !yield(s.token[0]) {
			return i + 1, nil
		}
	}
	return n, nil
}

// Close frees the arena and stops reading weights.
func (s *session) Close() error {
	s.packer.stop()
	s.frame.mem, s.frame.shared = nil, nil
	return nil
}
