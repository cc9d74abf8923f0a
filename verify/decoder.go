package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"emily/arch"
	"emily/tokenizer"
)

// decoderCase is a case of a decoder's reference.
type decoderCase struct {
	Text      *string        `json:"text"`   // of the prompt, in references without messages
	Prompt    *string        `json:"prompt"` // a bare prompt
	Messages  []arch.Message `json:"messages"`
	Rendered  string         `json:"rendered"`
	InputIDs  []int32        `json:"input_ids"`
	GreedyIDs []int32        `json:"greedy_ids"`
	TopIDs    []int32        `json:"top5_ids"`
	TopLogits []float32      `json:"top5_logits"`
}

// decoder runs the production programs, the prompt in one piece and then one
// row a step, and a second, tapped run for the hidden states.
func (c *comparison) decoder(ctx context.Context, d arch.Decoder) error {
	var ref struct {
		Cases []decoderCase `json:"cases"`
	}
	if err := c.ref.decode(&ref); err != nil {
		return err
	}
	tok, err := arch.ReadTokenizer(c.model.Folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for i := range ref.Cases {
		if err := c.decoderCase(ctx, d, tok, i, &ref.Cases[i]); err != nil {
			return fmt.Errorf("%s, case %d: %w", c.ref.Name, i, err)
		}
	}
	return nil
}

func (c *comparison) decoderCase(ctx context.Context, d arch.Decoder, tok *tokenizer.Tokenizer, i int, k *decoderCase) error {
	if len(k.InputIDs) == 0 {
		return errors.New("it has no input_ids")
	}
	name := func(s string) string { return fmt.Sprintf("%d.%s", i, s) }
	if err := c.prompt(ctx, tok, name("input_ids"), k); err != nil {
		return err
	}
	if c.ref.has(name("logits")) {
		seq, err := d.NewSequence()
		if err != nil {
			return err
		}
		defer seq.Close()
		logits, err := seq.Logits(ctx, k.InputIDs, true)
		if err != nil {
			return err
		}
		c.values(name("logits"), logits)
	}
	if c.ref.has(name("final")) || c.ref.has(name("hidden.0")) {
		hidden, err := d.Tap(ctx, k.InputIDs)
		if err != nil {
			return err
		}
		for j, h := range hidden[:len(hidden)-1] {
			c.values(name(fmt.Sprintf("hidden.%d", j)), h)
		}
		c.values(name("final"), hidden[len(hidden)-1])
	}
	return c.greedy(ctx, d, name, k)
}

// prompt compares the tokenizer's ids where the reference has the text.
func (c *comparison) prompt(ctx context.Context, tok *tokenizer.Tokenizer, name string, k *decoderCase) error {
	if tok == nil {
		return nil
	}
	switch {
	case k.Messages != nil:
		template, err := arch.ReadTemplate(c.model.Folder)
		if err != nil || template == nil {
			return err
		}
		ids, err := (&arch.Text{Tokenizer: tok, Template: template}).ChatIDs(ctx, k.Messages, nil)
		if err != nil {
			return err
		}
		c.ids(name, ids, k.InputIDs)
	case k.Prompt != nil:
		c.ids(name, tok.AppendIDs(nil, *k.Prompt, true), k.InputIDs)
	case k.Text != nil && k.GreedyIDs != nil && k.TopIDs == nil:
		c.ids(name, tok.AppendIDs(nil, *k.Text, true), k.InputIDs)
	}
	return nil
}

// greedy compares the arg-max tokens after the prompt, and the best logits of the first.
func (c *comparison) greedy(ctx context.Context, d arch.Decoder, name func(string) string, k *decoderCase) error {
	if len(k.GreedyIDs) == 0 && len(k.TopIDs) == 0 {
		return nil
	}
	seq, err := d.NewSequence()
	if err != nil {
		return err
	}
	defer seq.Close()
	width := max(2, len(k.TopIDs))
	top, logits, err := seq.Extend(ctx, k.InputIDs, width)
	if err != nil {
		return err
	}
	if len(k.TopIDs) > 0 {
		c.top(name("top5"), top, logits, k)
	}
	result := Result{Output: name("greedy_ids"), Total: len(k.GreedyIDs), Pass: true}
	for step, want := range k.GreedyIDs {
		if top[0] != want {
			gap := float64(logits[0] - logits[1])
			limit, err := c.tieGap(ctx, seq, k, step)
			if err != nil {
				return err
			}
			result.Pass = gap < limit
			result.Note = fmt.Sprintf("token %d differs, our two best logits are %.2g apart", step, gap)
			if result.Pass {
				result.Note = fmt.Sprintf("a tie at token %d: our two best logits are %.2g apart", step, gap)
			}
			break
		}
		result.Equal++
		if step == len(k.GreedyIDs)-1 {
			break
		}
		if top, logits, err = seq.Extend(ctx, []int32{want}, 2); err != nil {
			return err
		}
	}
	if len(k.GreedyIDs) > 0 {
		c.add(result)
	}
	return nil
}

// tieGap is the distance of the two best logits under which rounding decides.
func (c *comparison) tieGap(ctx context.Context, seq arch.Sequence, k *decoderCase, step int) (float64, error) {
	if !c.Rounded {
		return TieGap, nil
	}
	last := k.InputIDs[len(k.InputIDs)-1]
	if step > 0 {
		last = k.GreedyIDs[step-1]
	}
	seq.Truncate(seq.Length() - 1)
	logits, err := seq.Logits(ctx, []int32{last}, false)
	if err != nil {
		return 0, err
	}
	return max(TieGap, c.Tolerance*float64(slices.Max(logits)-slices.Min(logits))), nil
}

// top compares the largest logits after the prompt. Their range is not known
// from a few of them: the tolerance is a share of the largest, and the
// reference writes four decimals.
func (c *comparison) top(name string, ids []int32, logits []float32, k *decoderCase) {
	worst, largest, same := 0.0, 0.0, 0
	for i, want := range k.TopLogits {
		worst = max(worst, math.Abs(float64(logits[i]-want)))
		largest = max(largest, math.Abs(float64(want)))
		if i < len(k.TopIDs) && ids[i] == k.TopIDs[i] {
			same++
		}
	}
	share := worst / max(largest, 1e-9)
	c.add(Result{Output: name, MaxError: &worst, Share: &share, Equal: same, Total: len(k.TopIDs), Pass: share <= c.Tolerance+1e-4/max(largest, 1e-9)})
}
