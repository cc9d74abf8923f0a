package verify

import (
	"context"
	"errors"
	"fmt"

	"emily/arch"
)

// textCase is a case of an encoder's reference.
type textCase struct {
	InputIDs []int32 `json:"input_ids"`
	TypeIDs  []int32 `json:"token_type_ids"`
	Question string  `json:"question"`
	Context  string  `json:"context"`
	Span     []int   `json:"span"`
	Offsets  []int   `json:"answer_offsets"`
}

// textTapper and pooler are what some encoders have besides their last hidden states.
type (
	textTapper interface {
		Tap(ctx context.Context, text arch.Tokens) ([][]float32, error)
	}
	pooler interface {
		Pooled(ctx context.Context, batch []arch.Tokens) ([][]float32, error)
	}
)

// encoder runs all cases as one batch, as production does, and taps the first.
func (c *comparison) encoder(ctx context.Context, m arch.TextEncoder) error {
	var ref struct {
		Cases []textCase `json:"cases"`
	}
	if err := c.ref.decode(&ref); err != nil {
		return err
	}
	if len(ref.Cases) == 0 {
		return errors.New("the reference has no cases")
	}
	var batch []arch.Tokens
	for i, k := range ref.Cases {
		if len(k.InputIDs) == 0 {
			return fmt.Errorf("%s, case %d: it has no input_ids", c.ref.Name, i)
		}
		batch = append(batch, arch.Tokens{IDs: k.InputIDs, TypeIDs: k.TypeIDs})
	}
	if t, ok := m.(textTapper); ok && c.ref.has("0.hidden.0") {
		states, err := t.Tap(ctx, batch[0])
		if err != nil {
			return err
		}
		for i, h := range states {
			c.values(fmt.Sprintf("0.hidden.%d", i), h)
		}
	}
	for _, outputs := range []func(context.Context, arch.TextEncoder, []arch.Tokens) error{c.hidden, c.pooled, c.spans, c.labels} {
		if err := outputs(ctx, m, batch); err != nil {
			return err
		}
	}
	if scorer, ok := m.(arch.SpanScorer); ok {
		return c.answers(ctx, scorer, ref.Cases)
	}
	return nil
}

// each compares one tensor of each case.
func (c *comparison) each(output string, rows [][]float32) {
	for i, row := range rows {
		c.values(fmt.Sprintf("%d.%s", i, output), row)
	}
}

func (c *comparison) hidden(ctx context.Context, m arch.TextEncoder, batch []arch.Tokens) error {
	if !c.ref.has("0.last_hidden_state") {
		return nil
	}
	rows, err := m.Hidden(ctx, batch)
	c.each("last_hidden_state", rows)
	return err
}

func (c *comparison) pooled(ctx context.Context, m arch.TextEncoder, batch []arch.Tokens) error {
	p, ok := m.(pooler)
	if !ok || !c.ref.has("0.pooler_output") {
		return nil
	}
	rows, err := p.Pooled(ctx, batch)
	c.each("pooler_output", rows)
	return err
}

func (c *comparison) spans(ctx context.Context, m arch.TextEncoder, batch []arch.Tokens) error {
	s, ok := m.(arch.SpanScorer)
	if !ok {
		return nil
	}
	scores, err := s.Spans(ctx, batch)
	for i, x := range scores {
		c.values(fmt.Sprintf("%d.start_logits", i), x.Start)
		c.values(fmt.Sprintf("%d.end_logits", i), x.End)
	}
	return err
}

func (c *comparison) labels(ctx context.Context, m arch.TextEncoder, batch []arch.Tokens) error {
	if !c.ref.has("0.logits") {
		return nil
	}
	var rows [][]float32
	var err error
	switch m := m.(type) {
	case arch.TextClassifier:
		rows, err = m.Classify(ctx, batch)
	case arch.TokenClassifier:
		rows, err = m.ClassifyTokens(ctx, batch)
	}
	c.each("logits", rows)
	return err
}
