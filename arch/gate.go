package arch

import (
	"errors"
	"sync"
)

// ErrClosed is returned by calls on a model that was closed.
var ErrClosed = errors.New("the model is closed")

// Gate lets calls of a model through until it is closed. The zero value is open.
type Gate struct {
	mu     sync.RWMutex
	closed bool
}

// Do runs a call, or returns ErrClosed.
func (g *Gate) Do(call func() error) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return ErrClosed
	}
	return call()
}

// Close waits for the calls that run and refuses later ones. first reports
// whether this call closed the gate.
func (g *Gate) Close() (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	first = !g.closed
	g.closed = true
	return first
}
