package gpu

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"emily/backend"
)

// memoryAlignment is the least distance of buffers in one piece of memory.
const memoryAlignment = 256

// program is a plan whose steps are bound to launches.
type program struct {
	backend      *Backend
	plan         *backend.Plan
	placed       *backend.Plan // of the tasks: the plan itself in the eager lane
	exact        map[int]bool  // storages of f32 numbers that are all bf16
	launches     []launch
	steps        []int // the first launch of each step, and the number of launches at the end
	constants    []operand
	data         []byte // of the constants
	scratchBytes int
	// exchangeBytes is the memory in which the blocks of a decoder's kernel meet.
	exchangeBytes int
	countBytes    int           // of the counters by which the blocks of a launch find the last of them
	profiled      *decodeKernel // or nil
	err           error         // while binding
	holding
	dropped runtime.Cleanup // in place of Close
}

// holding is what a program keeps on the device.
type holding struct {
	memory     Memory // of the constants
	weights    []*copies
	recordings *recordings
}

// Compile binds each step of the plan to launches and uploads the weights. They
// stay with the program until it is closed, or unreachable.
func (b *Backend) Compile(plan *backend.Plan) (backend.Program, error) {
	held := b.hold(weights(plan))
	p, err := b.compile(plan)
	if err != nil {
		return nil, errors.Join(err, b.release(held, true))
	}
	p.weights, p.recordings = held, &recordings{}
	p.dropped = runtime.AddCleanup(p, func(h holding) { b.end(h) }, p.holding)
	return p, nil
}

// weights are those that the plan's graph reads.
func weights(plan *backend.Plan) (list []*backend.Weight) {
	for _, n := range plan.Graph.Nodes() {
		if n.Op() == backend.OpWeight {
			list = append(list, n.Attrs().Weight)
		}
	}
	return list
}

func (b *Backend) compile(plan *backend.Plan) (*program, error) {
	decode := b.decoder(plan)
	steps := decode.replace(plan)
	p := &program{backend: b, plan: plan, placed: steps}
	var tasks []task
	if plan.Options.Lane == backend.Eager {
		for _, st := range plan.Steps {
			tasks = append(tasks, task{Step: st})
		}
	} else {
		var m *merger
		tasks, m = merge(steps)
		p.placed, p.exact = m.plan, m.exact
	}
	bind := &binder{program: p}
	for i := range tasks {
		p.steps = append(p.steps, len(p.launches))
		bindTask := bind.bind
		if decode.runs(tasks[i].Node) {
			bindTask = func(t *task) error { return bind.decode(decode, t) }
		}
		if err := errors.Join(bindTask(&tasks[i]), p.err); err != nil {
			return nil, err
		}
	}
	p.steps = append(p.steps, len(p.launches))
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if p.memory, err = b.copied(p.data); err != nil {
		return nil, fmt.Errorf("constants: %w", err)
	}
	p.data = nil
	return p, nil
}

func (p *program) Plan() *backend.Plan { return p.plan }

// Close gives back the constants and the program's hold on its weights.
func (p *program) Close() error {
	p.dropped.Stop()
	h := p.holding
	p.memory, p.weights = Memory{}, nil // sessions may still give recordings back
	return p.backend.end(h)
}

// end gives back what a program held.
func (b *Backend) end(h holding) error {
	b.mu.Lock()
	var err error
	if !b.closed {
		err = h.recordings.close()
		if h.memory != (Memory{}) {
			b.driver.Free(h.memory)
		}
	}
	b.mu.Unlock()
	return errors.Join(err, b.release(h.weights, false))
}

// Bind finds the program's states by their specs and allocates its memory.
func (p *program) Bind(states ...backend.State) (backend.Session, error) {
	s := &session{program: p, driver: p.backend.driver}
	for _, spec := range p.plan.States {
		i := slices.IndexFunc(states, func(st backend.State) bool { return st != nil && st.Spec() == spec })
		if i < 0 {
			return nil, fmt.Errorf("the program needs the state %s", spec)
		}
		st, ok := states[i].(*state)
		if !ok || st.driver != s.driver {
			return nil, fmt.Errorf("state %s belongs to another backend", spec)
		}
		if !st.open {
			return nil, fmt.Errorf("state %s is closed", spec)
		}
		s.states = append(s.states, st)
	}
	if err := s.allocate(); err != nil {
		s.Close()
		return nil, err
	}
	if p.plan.Options.Lane == backend.Eager {
		return s, nil
	}
	if s.recording = p.recordings.take(s.memories()); s.recording != nil {
		return s, nil
	}
	var err error
	if s.recording, err = s.driver.Record(s.resolve(p.launches)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}
