package qwen3

import (
	"cmp"
	"context"

	"emily/arch"
	"emily/backend"
)

// loopStates are what the closed loop carries from run to run: the next token,
// [1], and where it goes, the table of one segment.
type loopStates struct{ token, place *backend.StateSpec }

func newLoopStates() loopStates {
	return loopStates{
		token: &backend.StateSpec{Name: "token", DType: backend.I32, Shape: []int{1}},
		place: &backend.StateSpec{Name: "place", DType: backend.I32, Shape: []int{1, 3}},
	}
}

// record records one step of the loop: the token becomes the most likely next
// one, or -1 if the logits are not numbers.
func (l loopStates) record(m *Model, g *backend.Graph, keys, values *backend.StateSpec) {
	segments := backend.SegmentsOf(g.ReadState(l.place), 1)
	x := m.hidden(g, g.ReadState(l.token), segments, keys, values, func(*backend.Tensor) {})
	id, logit := m.score(x).TopK(1)
	zero := logit.Sub(logit) // or NaN
	next := zero.Equal(zero).Select(id, g.Ints([]int32{-1}, 1, 1)).Reshape(1)
	g.WriteState(l.token, next)
	g.WriteState(l.place, segments.Table.Add(g.Ints([]int32{0, 1, 0}, 1, 3)))
	g.Output("token", next)
}

// Greedy runs the closed loop.
func (s *sequence) Greedy(ctx context.Context, token int32, n int, yield func(int32) bool) error {
	for more := true; more && n > 0; {
		if err := s.reserve(1); err != nil {
			return err
		}
		err := s.model.gate.Do(func() error {
			var closed error
			err := s.loop(ctx, token, min(n, s.capacity-s.length), func(next int32) bool {
				token, n = next, n-1
				closed = s.model.gate.Outside(func() { more = yield(next) })
				return more && closed == nil
			})
			return cmp.Or(err, closed)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// loop runs up to n steps, for which the cache has room.
func (s *sequence) loop(ctx context.Context, token int32, n int, yield func(int32) bool) error {
	for i, spec := range []*backend.StateSpec{s.model.loop.token, s.model.loop.place} {
		if i < len(s.states) {
			continue
		}
		st, err := s.model.options.Backend.NewState(spec)
		if err != nil {
			return err
		}
		s.states = append(s.states, st)
	}
	sh := shape{rows: 1, capacity: s.capacity, loop: true, apart: s.model.apart.Load()}
	session, err := s.session(sh)
	if err != nil {
		return err
	}
	for i, v := range [][]int32{{token}, {0, int32(s.length), 1}} {
		if err := s.states[i].Write(backend.BufferOf(v), 0); err != nil {
			return err
		}
	}
	failed := false
	_, err = session.Steps(ctx, n, func(next int32) bool {
		s.length++
		if failed = next < 0; failed {
			return false
		}
		return yield(next)
	})
	if err != nil || !failed {
		return err
	}
	if s.model.runApart(sh) {
		s.length-- // its token is run again
		return nil
	}
	return arch.ErrNotNumbers
}
