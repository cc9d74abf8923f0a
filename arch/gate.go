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

// Outside leaves the gate, within a call of Do, for a callback that may close
// the model. Then it returns ErrClosed, and nothing of the model may be used.
func (g *Gate) Outside(callback func()) error {
	func() {
		g.mu.RUnlock()
		defer g.mu.RLock() // for Do, also if the callback panics
		callback()
	}()
	if g.closed {
		return ErrClosed
	}
	return nil
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
