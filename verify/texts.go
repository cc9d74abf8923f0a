package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"emily/arch"
)

// answers compares the best span of each case.
func (c *comparison) answers(ctx context.Context, m arch.SpanScorer, cases []textCase) error {
	a, err := arch.NewAnswerer(c.model)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no tokenizer: the logits are the proof
	}
	if err != nil {
		return err
	}
	for i, k := range cases {
		if len(k.Offsets) != 2 {
			continue
		}
		got, err := a.Answer(ctx, k.Question, k.Context, arch.AnswerOptions{})
		if err != nil {
			return err
		}
		r := Result{Output: fmt.Sprintf("%d.answer", i)}
		r.Pass = len(got) > 0 && got[0].Start == k.Offsets[0] && got[0].End == k.Offsets[1]
		if !r.Pass {
			r.Note = fmt.Sprintf("%+v, the reference has %v", got, k.Offsets)
		}
		c.add(r)
	}
	return nil
}

// embeddingError is the largest absolute error of an element of a vector of length 1.
const embeddingError = 1e-5

// embeddings compares sentence vectors: {"sentences", "input_ids"} and the tensor "embeddings".
func (c *comparison) embeddings(ctx context.Context) error {
	var ref struct {
		Sentences []string  `json:"sentences"`
		InputIDs  [][]int32 `json:"input_ids"`
	}
	if err := c.ref.decode(&ref); err != nil {
		return err
	}
	e, err := arch.NewEmbedder(c.model)
	if err != nil {
		return err
	}
	tok, err := arch.ReadTokenizer(c.model.Folder)
	if err != nil {
		return err
	}
	for i, want := range ref.InputIDs {
		ids := tok.Encode(ref.Sentences[i], true).IDs
		if len(ids) > len(want) { // the reference cuts long texts and keeps the last special token
			ids = append(ids[:len(want)-1:len(want)-1], want[len(want)-1])
		}
		c.ids(fmt.Sprintf("%d.input_ids", i), ids, want)
	}
	rows, err := e.Embed(ctx, ref.Sentences)
	if err != nil {
		return err
	}
	got := slices.Concat(rows...)
	want, _ := c.ref.tensor("embeddings")
	if len(got) != len(want) {
		return fmt.Errorf("%d vectors of %d, the reference has %d values", len(rows), e.Size(), len(want))
	}
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
	}
	c.add(Result{Output: "embeddings", MaxError: &worst, Pass: worst <= embeddingError || (c.Rounded && worst <= c.Tolerance)})
	return nil
}
