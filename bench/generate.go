package bench

import (
	"context"
	"slices"

	"emily/arch"
)

// generateTask continues a prompt greedily by a fixed number of tokens.
type generateTask struct {
	*arch.Loaded
	model arch.Decoder
	text  *arch.Text // nil for fixed ids
	job   *job
}

func newGenerateTask(ctx context.Context, j *job, opt arch.Options) (task, error) {
	loaded, model, err := loadModel[arch.Decoder](ctx, j, opt)
	if err != nil {
		return nil, err
	}
	t := &generateTask{Loaded: loaded, model: model, job: j}
	if loaded.Folder.Has("tokenizer.json") {
		if t.text, err = arch.NewText(loaded); err != nil {
			loaded.Close()
			return nil, err
		}
	}
	return t, nil
}

func (t *generateTask) call(ctx context.Context) (*output, error) {
	if t.text == nil {
		return t.tokens(ctx)
	}
	ids, err := t.text.PromptIDs(t.job.Prompt)
	if err != nil {
		return nil, err
	}
	ids = t.job.repeated(ids)
	g, err := t.text.Generate(ctx, ids, arch.GenerateOptions{MaxTokens: t.job.NewTokens, IgnoreEOS: true}, nil)
	return &output{Tokens: g.Tokens, Text: g.Text}, err
}

// repeated is the prompt in the length that the job asks for.
func (j *job) repeated(ids []int32) []int32 {
	if j.PromptTokens == 0 || len(ids) == 0 {
		return ids
	}
	return slices.Repeat(ids, j.PromptTokens/len(ids)+1)[:j.PromptTokens]
}

// tokens is the call without a tokenizer.
func (t *generateTask) tokens(ctx context.Context) (*output, error) {
	seq, err := t.model.NewSequence()
	if err != nil {
		return nil, err
	}
	defer seq.Close()
	top, _, err := seq.Extend(ctx, t.job.repeated(t.job.IDs), 1)
	if err != nil {
		return nil, err
	}
	out := &output{Tokens: []int32{top[0]}}
	return out, seq.Greedy(ctx, top[0], t.job.NewTokens-1, func(id int32) bool {
		out.Tokens = append(out.Tokens, id)
		return true
	})
}

func (t *generateTask) close() error { return t.Close() }
