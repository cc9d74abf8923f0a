package bert

import (
	"context"
	"fmt"
	"slices"

	"emily/arch"
	"emily/backend"
	"emily/loader"
)

var (
	_ arch.SpanScorer      = (*QuestionAnswering)(nil)
	_ arch.TextClassifier  = (*SequenceClassification)(nil)
	_ arch.TokenClassifier = (*TokenClassification)(nil)
	_ arch.MaskedLM        = (*MaskedLM)(nil)
)

// QuestionAnswering is an encoder with a head for extractive question answering.
type QuestionAnswering struct {
	*Model
	head dense
}

func newQuestionAnswering(m *Model, c *loader.Checkpoint) (arch.Model, error) {
	w := &spanHead{}
	err := m.bind(c, "", w)
	return &QuestionAnswering{m, dense(*w)}, err
}

// Spans returns for each text the logits of each token to start and to end the answer.
func (m *QuestionAnswering) Spans(ctx context.Context, batch []arch.Tokens) ([]arch.SpanLogits, error) {
	logits, err := m.run(ctx, batch, spans, 2, head{on: m.head.forward})
	if err != nil {
		return nil, err
	}
	results := make([]arch.SpanLogits, len(batch))
	for i, l := range logits {
		r := arch.SpanLogits{Start: make([]float32, len(l)/2), End: make([]float32, len(l)/2)}
		for j := range r.Start {
			r.Start[j], r.End[j] = l[2*j], l[2*j+1]
		}
		results[i] = r
	}
	return results, nil
}

// SequenceClassification is an encoder with a head that classifies texts.
type SequenceClassification struct {
	*Model
	head       textHead
	activation backend.Activation
}

func newSequenceClassification(m *Model, c *loader.Checkpoint) (arch.Model, error) {
	switch m.config.family {
	case distilBERT:
		w := &distilTextHead{}
		err := m.bind(c, "", w)
		return &SequenceClassification{m, textHead(*w), backend.ReLU}, err
	case roBERTa:
		w := &robertaTextHead{}
		err := m.bind(c, "", w)
		return &SequenceClassification{m, textHead(*w), backend.Tanh}, err
	}
	w := &bertTextHead{}
	err := m.bind(c, "", w)
	return &SequenceClassification{m, textHead(*w), backend.Tanh}, err
}

// Labels names the logits.
func (m *SequenceClassification) Labels() arch.Labels { return m.config.labels }

// Classify returns the logits of each text.
func (m *SequenceClassification) Classify(ctx context.Context, batch []arch.Tokens) ([][]float32, error) {
	return m.run(ctx, batch, textLabels, len(m.config.labels.Names), head{firstTokens, func(x *backend.Tensor) *backend.Tensor {
		return m.head.forward(x, m.activation)
	}})
}

// TokenClassification is an encoder with a head that classifies tokens.
type TokenClassification struct {
	*Model
	head dense
}

func newTokenClassification(m *Model, c *loader.Checkpoint) (arch.Model, error) {
	w := &tokenHead{}
	err := m.bind(c, "", w)
	return &TokenClassification{m, dense(*w)}, err
}

// Labels names the logits.
func (m *TokenClassification) Labels() arch.Labels { return m.config.labels }

// ClassifyTokens returns the logits of each text, [tokens, labels].
func (m *TokenClassification) ClassifyTokens(ctx context.Context, batch []arch.Tokens) ([][]float32, error) {
	return m.run(ctx, batch, tokenLabels, len(m.config.labels.Names), head{on: m.head.forward})
}

// MaskedLM is an encoder with the head that it was trained with: it predicts
// the tokens that [MASK] hides.
type MaskedLM struct {
	*Model
	head maskHead
}

func newMaskedLM(m *Model, c *loader.Checkpoint) (_ arch.Model, err error) {
	l := &MaskedLM{Model: m}
	switch m.config.family {
	case distilBERT:
		w := &distilMaskHead{}
		err = m.bind(c, "", w)
		l.head = maskHead(*w)
	case roBERTa:
		w := &robertaMaskHead{}
		err = m.bind(c, "", w)
		l.head = maskHead(*w)
	default:
		w := &bertMaskHead{}
		err = m.bind(c, "", w)
		l.head = maskHead(*w)
	}
	if m.config.TieWordEmbeddings {
		l.head.Out = m.embeddings.Words
	}
	return l, err
}

// Logits returns the logits of some positions of a text, [len(positions), vocab].
func (m *MaskedLM) Logits(ctx context.Context, text arch.Tokens, positions []int) ([]float32, error) {
	if err := m.check(text); err != nil {
		return nil, err
	}
	rows := 1
	for rows < len(positions) {
		rows *= 2
	}
	want := make([]int32, rows)
	for i, p := range positions {
		if p < 0 || p >= len(text.IDs) {
			return nil, fmt.Errorf("position %d is outside a text of %d tokens", p, len(text.IDs))
		}
		want[i] = int32(p)
	}
	vocab := m.config.VocabSize
	s := shape{output: maskLogits, texts: 1, length: m.padded(len(text.IDs)), positions: rows}
	logits := make([]float32, rows*vocab)
	act := m.activation
	if m.config.family == roBERTa {
		act = backend.GELU // whatever the layers use
	}
	h := head{
		want: func(g *backend.Graph, s shape) *backend.Tensor { return g.Input("positions", backend.I32, s.positions) },
		on:   func(x *backend.Tensor) *backend.Tensor { return m.head.forward(x, act, m.config.LayerNormEps) },
	}
	err := m.exec(ctx, s, []arch.Tokens{text}, []int{0}, h, []backend.Buffer{backend.BufferOf(want)}, []backend.Buffer{backend.BufferOf(logits)})
	return slices.Clip(logits[:len(positions)*vocab]), err
}
