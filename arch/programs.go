package arch

import (
	"errors"
	"sync"

	"emily/backend"
)

// maxPrograms bounds a model's compiled programs; the oldest is dropped first.
const maxPrograms = 64

// Programs keeps compiled programs by what they depend on. The zero value is
// ready. It is safe for concurrent use.
type Programs[K comparable] struct {
	mu    sync.Mutex
	byKey map[K]backend.Program
	order []K
}

// Get returns the program of a key, compiling it the first time.
func (p *Programs[K]) Get(key K, compile func() (backend.Program, error)) (backend.Program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if prog := p.byKey[key]; prog != nil {
		return prog, nil
	}
	prog, err := compile()
	if err != nil {
		return nil, err
	}
	if p.byKey == nil {
		p.byKey = map[K]backend.Program{}
	}
	if len(p.order) == maxPrograms { // sessions keep what they use
		delete(p.byKey, p.order[0])
		p.order = p.order[1:]
	}
	p.byKey[key], p.order = prog, append(p.order, key)
	return prog, nil
}

// Close closes all programs.
func (p *Programs[K]) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, prog := range p.byKey {
		errs = append(errs, prog.Close())
	}
	p.byKey, p.order = nil, nil
	return errors.Join(errs...)
}
