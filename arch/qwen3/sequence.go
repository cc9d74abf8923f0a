package qwen3

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"emily/arch"
	"emily/backend"
)

// prefillRows is the largest number of rows of one program, where the backend
// asks for no more to be busy: longer prompts run in pieces, so that activations
// stay small and Ctrl-C is prompt.
const prefillRows = 512

// sequence is one text's cache and the sessions that read and write it.
type sequence struct {
	model    *Model
	cache    arch.KVCache
	capacity int
	length   int
	sessions map[shape]backend.Session // of the current capacity
	states   []backend.State           // of the closed loop, once it has run

	segments [3]int32
	top      []int32
	values   []float32
}

func (s *sequence) Length() int { return s.length }

func (s *sequence) Truncate(n int) { s.length = max(0, min(n, s.length)) }

func (s *sequence) Bytes() int { return s.cache.Bytes() }

func (s *sequence) Close() error {
	s.release()
	s.cache.Close()
	s.cache = arch.KVCache{}
	for _, st := range s.states {
		st.Close()
	}
	s.states = nil
	return nil
}

func (s *sequence) release() {
	for _, session := range s.sessions {
		session.Close()
	}
	clear(s.sessions)
}

// reserve makes room for n more tokens: a cache of the next power of two, into
// which the old one is copied.
func (s *sequence) reserve(n int) error {
	need, limit := s.length+n, s.model.Context()
	if need > limit {
		return fmt.Errorf("the text has %d tokens, more than the model's context of %d", need, limit)
	}
	if need <= s.capacity {
		return nil
	}
	capacity := arch.Capacity(need, limit)
	keys, values := s.model.cacheSpecs(capacity)
	grown, err := arch.NewKVCache(s.model.options.Backend, keys, values)
	if err != nil {
		return err
	}
	if s.capacity > 0 {
		if err := s.cache.CopyTo(grown, s.length); err != nil {
			grown.Close()
			return err
		}
	}
	s.release()
	s.cache.Close()
	s.cache, s.capacity = grown, capacity
	return nil
}

// Extend runs ids and returns the k best tokens after the last.
func (s *sequence) Extend(ctx context.Context, ids []int32, k int) ([]int32, []float32, error) {
	k = min(k, s.model.Vocab())
	if len(s.top) != k {
		s.top, s.values = make([]int32, k), make([]float32, k)
	}
	out := []backend.Buffer{backend.BufferOf(s.top), backend.BufferOf(s.values)}
	err := s.pieces(ctx, ids, func(piece []int32, sh shape, last bool) error {
		sh.want, sh.topK = 1, k
		return s.run(ctx, sh, piece, []int32{int32(len(piece) - 1)}, out)
	})
	return s.top, s.values, err
}

// Logits runs ids and returns all logits of the last or of every token.
func (s *sequence) Logits(ctx context.Context, ids []int32, all bool) ([]float32, error) {
	vocab := s.model.Vocab()
	var logits []float32
	err := s.pieces(ctx, ids, func(piece []int32, sh shape, last bool) error {
		want := []int32{int32(len(piece) - 1)}
		if all {
			want = make([]int32, len(piece))
			for i := range want {
				want[i] = int32(i)
			}
		} else {
			logits = logits[:0]
		}
		sh.want = len(want)
		at := len(logits)
		logits = append(logits, make([]float32, len(want)*vocab)...)
		return s.run(ctx, sh, piece, want, []backend.Buffer{backend.BufferOf(logits[at:])})
	})
	return logits, err
}

// pieces cuts ids into the row counts that programs are compiled for. On an
// error the sequence is as long as it was before.
func (s *sequence) pieces(ctx context.Context, ids []int32, run func(piece []int32, sh shape, last bool) error) error {
	if len(ids) == 0 {
		return fmt.Errorf("there is no token to run")
	}
	if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 || int(id) >= s.model.Vocab() }); i >= 0 {
		return fmt.Errorf("token id %d is outside the model's vocabulary of %d", ids[i], s.model.Vocab())
	}
	if err := s.reserve(len(ids)); err != nil {
		return err
	}
	start, most := s.length, max(prefillRows, s.model.options.Backend.Info().Rows)
	for len(ids) > 0 {
		n := min(len(ids), most)
		if err := run(ids[:n], shape{rows: n, capacity: s.capacity}, n == len(ids)); err != nil {
			s.length = start
			return err
		}
		s.length += n
		ids = ids[n:]
	}
	return nil
}

// run executes one program on rows at the end of the sequence. The last output is of F32.
func (s *sequence) run(ctx context.Context, sh shape, ids, want []int32, out []backend.Buffer) error {
	s.segments = [3]int32{0, int32(s.length), int32(len(ids))}
	in := []backend.Buffer{backend.BufferOf(ids), backend.BufferOf(s.segments[:])}
	if want != nil {
		in = append(in, backend.BufferOf(want))
	}
	return s.model.gate.Do(func() error {
		for {
			sh.apart = sh.rows == 1 && s.model.apart.Load()
			session, err := s.session(sh)
			if err != nil {
				return err
			}
			if err := session.Run(ctx, in, out); err != nil {
				return err
			}
			first := math.Float32frombits(binary.NativeEndian.Uint32(out[len(out)-1]))
			if !math.IsNaN(float64(first)) || !s.model.runApart(sh) {
				return nil
			}
		}
	})
}

// session returns the session of a shape. Those of many rows hold large
// arenas, so that only one of them is kept.
func (s *sequence) session(sh shape) (backend.Session, error) {
	if session := s.sessions[sh]; session != nil {
		return session, nil
	}
	for other, session := range s.sessions {
		if other.rows > 1 {
			session.Close()
			delete(s.sessions, other)
		}
	}
	p, err := s.model.program(sh)
	if err != nil {
		return nil, err
	}
	session, err := p.Bind(append(s.states, s.cache.Keys, s.cache.Values)...)
	if err != nil {
		return nil, err
	}
	s.sessions[sh] = session
	return session, nil
}
