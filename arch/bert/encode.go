package bert

import (
	"context"
	"errors"

	"emily/arch"
	"emily/backend"
)

var _ arch.TextEncoder = (*Model)(nil)

// Hidden returns the last hidden state of each text, [tokens, hidden].
func (m *Model) Hidden(ctx context.Context, batch []arch.Tokens) ([][]float32, error) {
	return m.run(ctx, batch, hiddenStates, m.config.HiddenSize, head{on: func(x *backend.Tensor) *backend.Tensor { return x }})
}

// Pooled returns the pooler's output of each text, [hidden]: tanh of a linear
// layer of the first token. Checkpoints without a pooler give an error.
func (m *Model) Pooled(ctx context.Context, batch []arch.Tokens) ([][]float32, error) {
	if m.pooler.Weight == nil {
		return nil, errors.New("the checkpoint has no pooler")
	}
	return m.run(ctx, batch, pooled, m.config.HiddenSize, head{firstTokens, func(x *backend.Tensor) *backend.Tensor {
		return dense(m.pooler).forward(x).Tanh()
	}})
}

// Tap returns all hidden states of one text, [tokens, hidden] each: the
// embedding after its norm, then each layer's output.
func (m *Model) Tap(ctx context.Context, text arch.Tokens) ([][]float32, error) {
	if err := m.check(text); err != nil {
		return nil, err
	}
	s := shape{output: allStates, texts: 1, length: m.padded(len(text.IDs))}
	states := make([][]float32, m.config.NumHiddenLayers+1)
	out := make([]backend.Buffer, len(states))
	for i := range states {
		states[i] = make([]float32, s.rows()*m.config.HiddenSize)
		out[i] = backend.BufferOf(states[i])
	}
	if err := m.exec(ctx, s, []arch.Tokens{text}, []int{0}, head{}, nil, out); err != nil {
		return nil, err
	}
	for i := range states {
		states[i] = states[i][:len(text.IDs)*m.config.HiddenSize]
	}
	return states, nil
}
