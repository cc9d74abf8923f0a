package arch

import (
	"context"
	"errors"
	"slices"
	"sync"

	"emily/backend"
)

// maxIdle bounds the sessions that wait for work, each of which holds an arena.
const maxIdle = 8

// Pool runs programs without states, such as encoders, for any number of
// goroutines: each call takes an idle session or makes one. The zero value is ready.
type Pool[K comparable] struct {
	programs Programs[K]
	gate     Gate

	mu   sync.Mutex
	idle []idleSession[K] // the most recently used last
}

type idleSession[K comparable] struct {
	key     K
	session backend.Session
}

// Run runs the program of a key on the caller's buffers, compiling it the first time.
func (p *Pool[K]) Run(ctx context.Context, key K, compile func() (backend.Program, error), in, out []backend.Buffer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.gate.Do(func() error { return p.run(ctx, key, compile, in, out) })
}

func (p *Pool[K]) run(ctx context.Context, key K, compile func() (backend.Program, error), in, out []backend.Buffer) error {
	session, err := p.take(key, compile)
	if err != nil {
		return err
	}
	if err := session.Run(ctx, in, out); err != nil {
		return errors.Join(err, session.Close())
	}
	return p.give(key, session)
}

func (p *Pool[K]) take(key K, compile func() (backend.Program, error)) (backend.Session, error) {
	p.mu.Lock()
	i := slices.IndexFunc(p.idle, func(s idleSession[K]) bool { return s.key == key })
	if i >= 0 {
		session := p.idle[i].session
		p.idle = slices.Delete(p.idle, i, i+1)
		p.mu.Unlock()
		return session, nil
	}
	p.mu.Unlock()
	program, err := p.programs.Get(key, compile)
	if err != nil {
		return nil, err
	}
	return program.Bind()
}

func (p *Pool[K]) give(key K, session backend.Session) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, idleSession[K]{key, session})
	if len(p.idle) <= maxIdle {
		return nil
	}
	oldest := p.idle[0].session
	p.idle = slices.Delete(p.idle, 0, 1)
	return oldest.Close()
}

// Close waits for running calls and closes sessions and programs.
func (p *Pool[K]) Close() error {
	if !p.gate.Close() {
		return nil
	}
	var errs []error
	for _, s := range p.idle {
		errs = append(errs, s.session.Close())
	}
	p.idle = nil
	return errors.Join(append(errs, p.programs.Close())...)
}

// Buckets cuts a batch of n items into pieces whose sizes are powers of two,
// at most limit, so that few programs serve all batches.
func Buckets(n, limit int) []int {
	var sizes []int
	for size := 1 << 20; size > 0; size /= 2 {
		for ; size <= max(limit, 1) && n >= size; n -= size {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// PadLength rounds a number of rows up so that few programs serve all lengths
// and at most an eighth of a long one is added: multiples of 8 up to 128, of 16
// up to 256, and so on.
func PadLength(n int) int {
	step := 8
	for n > 16*step {
		step *= 2
	}
	return (n + step - 1) / step * step
}
