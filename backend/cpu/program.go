package cpu

import (
	"fmt"
	"runtime/debug"
	"slices"

	"emily/backend"
)

// program is a plan whose steps are bound to kernels.
type program struct {
	backend *Backend
	plan    *backend.Plan
	phases  []phase
	steps   []int // the first phase of each step, and the number of phases at the end
	places  []place
	shared  int // elements of scratch that a step's phases share
	// parallel is false when no phase has work for a second worker.
	parallel bool
	demands  []demand // of compact weights
	decodes  bool     // some products wait for weights rather than compute
}

// Compile binds each step of the plan to kernels. It reads small weights.
func (b *Backend) Compile(p *backend.Plan) (_ backend.Program, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	return b.compile(p)
}

func (b *Backend) compile(p *backend.Plan) (backend.Program, error) {
	pr := &program{backend: b, plan: p, demands: b.forms.prepare(p)}
	bind := &binder{program: pr, set: b.set, threads: len(b.pool.workers)}
	for _, st := range p.Steps {
		pr.steps = append(pr.steps, len(pr.phases))
		bind.step = st
		if !bind.bind(st.Node) {
			return nil, fmt.Errorf("the cpu backend has no kernel for %s", st.Node)
		}
	}
	pr.steps = append(pr.steps, len(pr.phases))
	pr.parallel = slices.ContainsFunc(pr.phases, func(p phase) bool { return p.chunks > 1 })
	return pr, nil
}

func (p *program) Plan() *backend.Plan { return p.plan }

func (p *program) Close() error { return nil }
