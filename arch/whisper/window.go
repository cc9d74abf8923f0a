package whisper

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"emily/arch"
	"emily/backend"
)

// Window is a window of sound and the text that was decoded from it so far. It
// is used by one goroutine at a time.
type Window struct {
	model    *Model
	states   []backend.State
	sessions map[shape]backend.Session
	length   int
	logits   []float32
}

// NewWindow allocates the states of a window.
func (m *Model) NewWindow() (*Window, error) {
	w := &Window{model: m, sessions: map[shape]backend.Session{}, logits: make([]float32, m.config.VocabSize)}
	for _, spec := range m.specs.all() {
		state, err := m.options.Backend.NewState(spec)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.states = append(w.states, state)
	}
	return w, nil
}

// Close frees the states.
func (w *Window) Close() error {
	var errs []error
	for _, s := range w.sessions {
		errs = append(errs, s.Close())
	}
	clear(w.sessions)
	for _, s := range w.states {
		errs = append(errs, s.Close())
	}
	w.states = nil
	return errors.Join(errs...)
}

// Bytes is the memory of the states.
func (w *Window) Bytes() int {
	n := 0
	for _, s := range w.states {
		n += s.Spec().Bytes()
	}
	return n
}

// Length is the number of tokens seen.
func (w *Window) Length() int { return w.length }

// Truncate forgets the tokens from n on.
func (w *Window) Truncate(n int) { w.length = max(0, min(n, w.length)) }

// Encode runs the encoder on features, [mels, frames], and forgets the text.
func (w *Window) Encode(ctx context.Context, features []float32) error {
	w.length = 0
	return w.encode(ctx, encodeSound, features, nil)
}

// Extend runs more tokens through the decoder and returns the logits after the
// last, [vocab], in a buffer that the next call reuses and that the caller may change.
func (w *Window) Extend(ctx context.Context, ids []int32) ([]float32, error) {
	if err := w.decode(ctx, decodeText, ids, []backend.Buffer{backend.BufferOf(w.logits)}); err != nil {
		return nil, err
	}
	w.length += len(ids)
	return w.logits, nil
}

// Tap runs ids as the whole text of the window and returns the decoder's hidden
// states, [len(ids), hidden] each: the embedding, then each layer's output, and
// the logits of all tokens, [len(ids), vocab].
func (w *Window) Tap(ctx context.Context, ids []int32) (states [][]float32, logits []float32, err error) {
	w.length = 0
	c, rows := w.model.config, decoderRows(len(ids))
	var out []backend.Buffer
	states, out = buffers(c.DecoderLayers+1, rows*c.DModel)
	logits = make([]float32, rows*c.VocabSize)
	err = w.decode(ctx, decoderTap, ids, append(out, backend.BufferOf(logits)))
	for i := range states {
		states[i] = states[i][:len(ids)*c.DModel]
	}
	return states, logits[:len(ids)*c.VocabSize], err
}

// TapEncoder returns the encoder's hidden states of features, [positions,
// hidden] each: the embedding, each layer's output, and last the final norm's.
func (w *Window) TapEncoder(ctx context.Context, features []float32) ([][]float32, error) {
	c := w.model.config
	states, out := buffers(c.EncoderLayers+2, c.MaxSourcePositions*c.DModel)
	return states, w.encode(ctx, encoderTap, features, out)
}

func buffers(n, size int) (data [][]float32, out []backend.Buffer) {
	for range n {
		x := make([]float32, size)
		data, out = append(data, x), append(out, backend.BufferOf(x))
	}
	return data, out
}

// decoderRows is the number of rows of the program that runs n tokens.
func decoderRows(n int) int {
	if n == 1 {
		return 1
	}
	return arch.PadLength(n)
}

// decode runs a program over tokens at the end of the text.
func (w *Window) decode(ctx context.Context, kind kind, ids []int32, out []backend.Buffer) error {
	c := w.model.config
	if len(ids) == 0 {
		return errors.New("there is no token to run")
	}
	if n := w.length + len(ids); n > c.MaxTargetPositions {
		return fmt.Errorf("the text has %d tokens, more than the model's %d", n, c.MaxTargetPositions)
	}
	if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 || int(id) >= c.VocabSize }); i >= 0 {
		return fmt.Errorf("token id %d is outside the model's vocabulary of %d", ids[i], c.VocabSize)
	}
	s := shape{kind, decoderRows(len(ids))}
	padded := make([]int32, s.rows)
	copy(padded, ids)
	segment, last := [3]int32{0, int32(w.length), int32(len(ids))}, [1]int32{int32(len(ids) - 1)}
	in := []backend.Buffer{backend.BufferOf(padded), backend.BufferOf(segment[:])}
	if kind == decodeText {
		in = append(in, backend.BufferOf(last[:]))
	}
	return w.run(ctx, s, in, out)
}

// encode runs a program over features.
func (w *Window) encode(ctx context.Context, kind kind, features []float32, out []backend.Buffer) error {
	if mels, frames := w.model.FeatureShape(); len(features) != mels*frames {
		return fmt.Errorf("%d feature values, want %d x %d", len(features), mels, frames)
	}
	return w.run(ctx, shape{kind: kind}, []backend.Buffer{backend.BufferOf(features)}, out)
}

// run executes the program of a shape.
func (w *Window) run(ctx context.Context, s shape, in, out []backend.Buffer) error {
	if w.states == nil {
		return errors.New("the window is closed")
	}
	return w.model.gate.Do(func() error {
		session, err := w.session(s)
		if err != nil {
			return err
		}
		return session.Run(ctx, in, out)
	})
}

// session returns the session of a shape. The encoder's is kept, and one of the decoder for many rows.
func (w *Window) session(s shape) (backend.Session, error) {
	if session := w.sessions[s]; session != nil {
		return session, nil
	}
	for other, session := range w.sessions {
		if other.rows > 1 {
			session.Close()
			delete(w.sessions, other)
		}
	}
	p, err := w.model.program(s)
	if err != nil {
		return nil, err
	}
	session, err := p.Bind(w.states...)
	if err != nil {
		return nil, err
	}
	w.sessions[s] = session
	return session, nil
}
