package gpu

import (
	"errors"
	"fmt"
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
	memory       Memory // the same on the device
	scratchBytes int
	// exchangeBytes is the memory in which the blocks of a decoder's kernel meet.
	exchangeBytes int
	profiled      *decodeKernel // or nil
	err           error         // while binding
}

// Compile binds each step of the plan to launches and uploads the weights.
func (b *Backend) Compile(plan *backend.Plan) (backend.Program, error) {
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
	var err error
	if p.memory, err = b.copied(p.data); err != nil {
		return nil, fmt.Errorf("constants: %w", err)
	}
	p.data = nil
	return p, nil
}

func (p *program) Plan() *backend.Plan { return p.plan }

func (p *program) Close() error {
	p.backend.driver.Free(p.memory)
	p.memory = Memory{}
	return nil
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
	var err error
	if s.recording, err = s.driver.Record(s.resolve(p.launches)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}
