package bench

import (
	"context"
	"fmt"

	"emily/arch"
	"emily/loader"
	"emily/tokenizer"
)

// loadModel loads a job's checkpoint, which must be able to do T.
func loadModel[T any](ctx context.Context, j *job, opt arch.Options) (*arch.Loaded, T, error) {
	var model T
	folder, err := loader.Find(ctx, j.Model, loader.Options{})
	if err != nil {
		return nil, model, err
	}
	loaded, err := arch.Load(ctx, folder, opt)
	if err != nil {
		return nil, model, err
	}
	model, ok := loaded.Model.(T)
	if !ok {
		loaded.Close()
		return nil, model, fmt.Errorf("%s is a %s, which is not what tier %s runs", folder.Name(), loaded.Class.Name, j.Tier)
	}
	return loaded, model, nil
}

// readTokenizer returns nil for a checkpoint without a tokenizer.
func readTokenizer(f *loader.Folder) (*tokenizer.Tokenizer, error) {
	if !f.Has("tokenizer.json") {
		return nil, nil
	}
	return arch.ReadTokenizer(f)
}

// answerTask is a question's tokens, the model, and the best span of the text.
type answerTask struct {
	*arch.Loaded
	model     arch.SpanScorer
	tokenizer *tokenizer.Tokenizer // nil for fixed ids
	job       *job
}

func newAnswerTask(ctx context.Context, j *job, opt arch.Options) (task, error) {
	loaded, model, err := loadModel[arch.SpanScorer](ctx, j, opt)
	if err != nil {
		return nil, err
	}
	tok, err := readTokenizer(loaded.Folder)
	if err != nil {
		loaded.Close()
		return nil, err
	}
	return &answerTask{loaded, model, tok, j}, nil
}

func (t *answerTask) call(ctx context.Context) (*output, error) {
	e := tokenizer.Encoding{IDs: t.job.IDs}
	if t.tokenizer != nil {
		e = t.tokenizer.EncodePair(t.job.Question, t.job.Context, true)
	}
	scores, err := t.model.Spans(ctx, []arch.Tokens{{IDs: e.IDs, TypeIDs: e.TypeIDs}})
	if err != nil {
		return nil, err
	}
	from, to := bestSpan(scores[0], func(i int) bool { return e.Sequence == nil || e.Sequence[i] == 1 })
	out := &output{Span: []int{from, to}}
	if t.tokenizer != nil && to >= from {
		text := []rune(t.job.Context)
		out.Text = string(text[e.Offsets[from].Start:e.Offsets[to].End])
	}
	return out, nil
}

// bestSpan is the span of allowed tokens, at most 15 long as in transformers,
// with the largest sum of logits.
func bestSpan(s arch.SpanLogits, allowed func(int) bool) (from, to int) {
	const longest = 15
	from, to = 0, -1
	best := float32(0)
	for i := range s.Start {
		for j := i; allowed(i) && j < min(i+longest, len(s.End)) && allowed(j); j++ {
			if score := s.Start[i] + s.End[j]; to < 0 || score > best {
				from, to, best = i, j, score
			}
		}
	}
	return from, to
}

func (t *answerTask) close() error { return t.Close() }
