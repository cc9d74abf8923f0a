package gpu

import (
	"context"
	"errors"
	"fmt"

	"emily/backend"
)

// session owns the memory of a program's intermediate results, inputs and
// outputs on the device.
type session struct {
	program         *program
	driver          Driver
	states          []*state
	memory          Memory // arena, scratch, exchange, counts, inputs and outputs, in this order
	arena, scratch  int    // where they begin
	exchange, count int
	inputs, outputs []int
	// Few inputs or outputs are gathered here and go to or from the device as one.
	gatheredIn, gatheredOut []byte
	storages                []Memory // of the eager lane
	recording               Recording
	steps                   *stepper
	closed                  bool
}

// allocate lays out one piece of memory for all that lives as long as the session.
func (s *session) allocate() error {
	p, g := s.program.plan, s.program.plan.Graph
	end := 0
	take := func(n int) int {
		at := end
		end += (n + memoryAlignment - 1) &^ (memoryAlignment - 1)
		return at
	}
	if p.Options.Lane == backend.Eager {
		s.storages = make([]Memory, len(p.Storages))
	} else {
		s.arena = take(s.program.placed.Arena)
	}
	s.scratch = take(s.program.scratchBytes)
	s.exchange = take(s.program.exchangeBytes)
	s.count = take(s.program.countBytes)
	private := Span{Offset: s.exchange, Bytes: end - s.exchange}
	first := end
	for _, t := range g.Inputs() {
		s.inputs = append(s.inputs, take(t.Bytes()))
	}
	s.gatheredIn = gathered(end - first)
	first = end
	for _, o := range g.Outputs() {
		s.outputs = append(s.outputs, take(o.Tensor.Bytes()))
	}
	s.gatheredOut = gathered(end - first)
	var err error
	if s.memory, err = s.program.backend.memory(end); err != nil {
		return fmt.Errorf("memory for a session: %w", err)
	}
	if private.Memory = s.memory; private.Bytes == 0 {
		return nil
	}
	return s.driver.Zero(private)
}

// memories are the session's and its states', on which its recording works.
func (s *session) memories() []Memory {
	list := []Memory{s.memory}
	for _, st := range s.states {
		list = append(list, st.memory)
	}
	return list
}

// gathered returns memory for inputs or outputs of n bytes in all, or nil where
// copying them costs more than a transfer for each.
func gathered(n int) []byte {
	if n > 4<<10 {
		return nil
	}
	return make([]byte, n)
}

// write brings the inputs to the device.
func (s *session) write(in []backend.Buffer) error {
	for i, data := range in {
		if s.gatheredIn != nil {
			copy(s.gatheredIn[s.inputs[i]-s.inputs[0]:], data)
		} else if err := s.driver.Write(Span{s.memory, s.inputs[i], len(data)}, data); err != nil {
			return err
		}
	}
	if len(s.gatheredIn) == 0 {
		return nil
	}
	return s.driver.Write(Span{s.memory, s.inputs[0], len(s.gatheredIn)}, s.gatheredIn)
}

// read brings the outputs back.
func (s *session) read(out []backend.Buffer) error {
	if len(s.gatheredOut) > 0 {
		if err := s.driver.Read(s.gatheredOut, Span{s.memory, s.outputs[0], len(s.gatheredOut)}); err != nil {
			return err
		}
	}
	for i, data := range out {
		if s.gatheredOut != nil {
			copy(data, s.gatheredOut[s.outputs[i]-s.outputs[0]:])
		} else if err := s.driver.Read(data, Span{s.memory, s.outputs[i], len(data)}); err != nil {
			return err
		}
	}
	return nil
}

// span finds the memory of an operand.
func (s *session) span(o operand) Span {
	at := Span{s.memory, o.offset, o.bytes}
	switch o.kind {
	case unused:
		return Span{}
	case inWeight:
		at.Memory = o.memory
	case inConstants:
		at.Memory = s.program.memory
	case inState:
		at.Memory = s.states[o.index].memory
	case inScratch:
		at.Offset += s.scratch
	case inExchange:
		at.Offset += s.exchange
	case inCounts:
		at.Offset += s.count
	case inInput:
		at.Offset += s.inputs[o.index]
	case inOutput:
		at.Offset += s.outputs[o.index]
	case inStorage:
		if s.storages != nil {
			at.Memory = s.storages[o.index]
		} else {
			at.Offset += s.arena + s.program.placed.Storages[o.index].Offset
		}
	}
	return at
}

func (s *session) resolve(launches []launch) []Launch {
	list := make([]Launch, len(launches))
	for i, l := range launches {
		list[i] = Launch{Kernel: l.own, Grid: l.grid, Threads: l.threads, Shared: l.shared, Cluster: l.cluster, Resident: l.own != 0, Args: l.args, Spans: make([]Span, len(l.operands))}
		if l.own == 0 {
			list[i].Kernel = s.program.backend.kernels[l.kernel]
		}
		for j, o := range l.operands {
			list[i].Spans[j] = s.span(o)
			if o.width > 0 {
				if list[i].Widths == nil {
					list[i].Widths = make([]int, len(l.operands))
				}
				list[i].Widths[j] = o.width
			}
		}
	}
	return list
}

// check reports whether the session can run.
func (s *session) check() error {
	if s.closed {
		return errors.New("the session is closed")
	}
	for _, st := range s.states {
		if !st.open {
			return fmt.Errorf("state %s is closed", st.spec)
		}
	}
	return nil
}

// Run copies the inputs to the device, computes the graph once and copies the outputs back.
func (s *session) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := s.check(); err != nil {
		return err
	}
	g := s.program.plan.Graph
	if len(in) != len(s.inputs) || len(out) != len(s.outputs) {
		return fmt.Errorf("the program has %d inputs and %d outputs, got %d and %d", len(s.inputs), len(s.outputs), len(in), len(out))
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
	if err := s.write(in); err != nil {
		return err
	}
	if err := s.compute(ctx); err != nil {
		return err
	}
	if err := s.read(out); err != nil {
		return err
	}
	return s.driver.Synchronize()
}

// compute queues the whole plan, or in the eager lane runs it.
func (s *session) compute(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.storages == nil {
		return s.recording.Replay()
	}
	return s.eager(ctx)
}

// eager queues one step after the other; each result gets memory of its own
// before its step and loses it after its last reader. The device finishes each
// before it starts the next.
func (s *session) eager(ctx context.Context) (err error) {
	p := s.program
	born, dead := make([][]int, len(p.plan.Steps)), make([][]int, len(p.plan.Steps))
	for i, st := range p.plan.Storages {
		if st.First >= 0 {
			born[st.First], dead[st.Last] = append(born[st.First], i), append(dead[st.Last], i)
		}
	}
	defer s.release()
	for i := range p.plan.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, storage := range born[i] {
			if s.storages[storage], err = p.backend.memory(p.plan.Storages[storage].Bytes); err != nil {
				return err
			}
		}
		for _, l := range s.resolve(p.launches[p.steps[i]:p.steps[i+1]]) {
			if err := s.driver.Launch(&l); err != nil {
				return fmt.Errorf("%s: %w", p.plan.Steps[i].Node, err)
			}
		}
		for _, storage := range dead[i] {
			s.driver.Free(s.storages[storage])
			s.storages[storage] = Memory{}
		}
	}
	return nil
}

// release frees the results of an eager run that ended early.
func (s *session) release() {
	for i, m := range s.storages {
		if m != (Memory{}) {
			s.driver.Free(m)
			s.storages[i] = Memory{}
		}
	}
}

// Close frees the session's memory.
func (s *session) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.profile()
	if s.recording != nil {
		err = errors.Join(err, s.program.recordings.give(recorded{s.recording, s.memories()}))
	}
	if s.memory != (Memory{}) {
		s.driver.Free(s.memory)
	}
	return errors.Join(err, s.steps.close(s.driver))
}
