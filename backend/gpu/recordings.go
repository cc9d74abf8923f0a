package gpu

import (
	"errors"
	"slices"
	"sync"
)

// mostRecordings is the number of recordings that a program keeps.
const mostRecordings = 2

// recordings are those of a program's closed sessions. A device gives memory of
// the same sizes out again at the same places, so the next session, of the next
// text, often finds one that it need not record.
type recordings struct {
	mu     sync.Mutex
	idle   []recorded // the most recently used last
	closed bool
}

// recorded is a recording and the memory of the session, then of its states, that it works on.
type recorded struct {
	Recording
	at []Memory
}

// take returns a recording that works on some memory, or nil.
func (r *recordings) take(at []Memory) Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.idle, func(c recorded) bool { return slices.Equal(c.at, at) })
	if i < 0 {
		return nil
	}
	taken := r.idle[i].Recording
	r.idle = slices.Delete(r.idle, i, i+1)
	return taken
}

// give keeps a recording, or closes it and what there is no more room for.
func (r *recordings) give(c recorded) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return c.Close()
	}
	r.idle = append(r.idle, c)
	if len(r.idle) <= mostRecordings {
		return nil
	}
	oldest := r.idle[0]
	r.idle = slices.Delete(r.idle, 0, 1)
	return oldest.Close()
}

// close closes all, and those that are given back later.
func (r *recordings) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, c := range r.idle {
		errs = append(errs, c.Close())
	}
	r.idle, r.closed = nil, true
	return errors.Join(errs...)
}
