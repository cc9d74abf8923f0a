package arch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"emily/backend"
	"emily/loader"
	"emily/sample"
	"emily/tokenizer"
)

// Text is a decoder with its tokenizer: from a prompt to a text.
type Text struct {
	Decoder
	Tokenizer *tokenizer.Tokenizer
	// Template renders messages as a prompt; nil if the model has none.
	Template *tokenizer.ChatTemplate
	// Defaults are the sampling settings of generation_config.json.
	Defaults sample.Params
	// EOS are the ids that end a text.
	EOS []int32

	checkpoint *loader.Checkpoint
}

// NewText reads the tokenizer, the chat template and the generation settings
// that lie beside a decoder's weights.
func NewText(l *Loaded) (*Text, error) {
	d, ok := l.Model.(Decoder)
	if !ok {
		return nil, fmt.Errorf("%s is a %s, which generates no text: use emily %s", l.Folder.Name(), l.Class.Name, l.Class.Task)
	}
	t := &Text{Decoder: d, checkpoint: l.Checkpoint}
	var err error
	if t.Tokenizer, err = ReadTokenizer(l.Folder); err != nil {
		return nil, err
	}
	if t.Template, err = ReadTemplate(l.Folder); err != nil {
		return nil, err
	}
	generation, err := l.Folder.ReadFile("generation_config.json")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		generation = []byte("{}")
	case err != nil:
		return nil, err
	}
	if t.Defaults, err = sample.FromConfig(generation); err != nil {
		return nil, fmt.Errorf("%s: %w", l.Folder.Name(), err)
	}
	t.EOS = endTokens(generation)
	if len(t.EOS) == 0 {
		t.EOS = endTokens(l.Config.Raw)
	}
	return t, nil
}

// ReadTokenizer reads tokenizer.json.
func ReadTokenizer(f *loader.Folder) (*tokenizer.Tokenizer, error) {
	const name = "tokenizer.json"
	text, err := f.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: text needs the tokenizer that belongs to the model", err)
	}
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.Load(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return t, nil
}

// endTokens reads eos_token_id, a number or a list.
func endTokens(config []byte) []int32 {
	var one struct {
		EOS int32 `json:"eos_token_id"`
	}
	var many struct {
		EOS []int32 `json:"eos_token_id"`
	}
	if json.Unmarshal(config, &many) == nil {
		return many.EOS
	}
	if json.Unmarshal(config, &one) == nil {
		return []int32{one.EOS}
	}
	return nil
}

// GenerateOptions say how a text is continued.
type GenerateOptions struct {
	Sampling sample.Params
	// MaxTokens is the largest number of new tokens; 0 means up to the context.
	MaxTokens int
	// Stop ends the text before the first of these strings.
	Stop []string
	// IgnoreEOS goes on after an end token.
	IgnoreEOS bool
}

// Finish says why a text ended.
type Finish string

// The reasons.
const (
	FinishStop   Finish = "stop"   // an end token or a stop string
	FinishLength Finish = "length" // MaxTokens or the context
	FinishCancel Finish = "cancel" // the context was cancelled
)

// Generated is a text that was generated.
type Generated struct {
	Text         string        `json:"text"`
	Tokens       []int32       `json:"tokens"` // with the end token, if one came
	PromptTokens int           `json:"prompt_tokens"`
	FinishReason Finish        `json:"finish_reason"`
	Timings      GenerateTimes `json:"timings"`
}

// GenerateTimes are wall-clock times of a call, in seconds.
type GenerateTimes struct {
	FirstToken float64 `json:"first_token_s"` // from the call to the first token
	Total      float64 `json:"total_s"`
	PerSecond  float64 `json:"tokens_per_second,omitempty"` // after the first token; 0 where there is no other
}

// Generate continues a prompt's ids in a new sequence. yield is given each
// piece of text as it becomes certain; false ends the text. When ctx is
// cancelled what was produced is returned with ctx's error.
func (t *Text) Generate(ctx context.Context, prompt []int32, opt GenerateOptions, yield func(string) bool) (Generated, error) {
	seq, err := t.NewSequence()
	if err != nil {
		return Generated{}, err
	}
	defer seq.Close()
	return t.Continue(ctx, seq, prompt, opt, yield)
}

// Continue is Generate on a sequence that has seen other tokens before.
func (t *Text) Continue(ctx context.Context, seq Sequence, prompt []int32, opt GenerateOptions, yield func(string) bool) (Generated, error) {
	room := t.Context() - seq.Length() - len(prompt)
	switch {
	case len(prompt) == 0:
		return Generated{}, errors.New("the prompt is empty")
	case room < 0:
		return Generated{}, fmt.Errorf("the prompt has %d tokens, more than the model's context of %d", seq.Length()+len(prompt), t.Context())
	}
	if err := opt.Sampling.Check(); err != nil {
		return Generated{}, err
	}
	limit := room + 1 // the last token needs no place in the cache
	if opt.MaxTokens > 0 {
		limit = min(limit, opt.MaxTokens)
	}
	g := generation{Text: t, opt: opt, sampler: sample.New(opt.Sampling), stream: t.Tokenizer.Stream(true), stop: stopper{stops: opt.Stop}, yield: yield}
	g.sampler.Prompt(prompt...)
	g.out.Tokens = []int32{}
	g.out.PromptTokens, g.out.FinishReason, g.start = len(prompt), FinishLength, time.Now()
	err := g.run(ctx, seq, prompt, limit)
	g.finish()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		g.out.FinishReason = FinishCancel
	}
	return g.out, err
}

// generation is one call of Continue.
type generation struct {
	*Text
	opt     GenerateOptions
	sampler *sample.Sampler
	stream  *tokenizer.Stream
	stop    stopper
	yield   func(string) bool
	out     Generated
	start   time.Time
	first   time.Time
	text    strings.Builder
}

func (g *generation) run(ctx context.Context, seq Sequence, ids []int32, limit int) error {
	id, err := g.next(ctx, seq, ids)
	if err != nil {
		return err
	}
	switch greedy := g.opt.Sampling.Candidates() == 1; {
	case !g.accept(id):
		return nil
	case greedy && limit > 1:
		more := true
		err := seq.Greedy(ctx, id, limit-1, func(id int32) bool { more = g.accept(id); return more })
		if errors.Is(err, ErrNotNumbers) {
			err = g.explain(err)
		}
		if err != nil || !more {
			return err
		}
	default:
		for range limit - 1 {
			if id, err = g.next(ctx, seq, []int32{id}); err != nil {
				return err
			}
			if !g.accept(id) {
				return nil
			}
		}
	}
	g.say(g.stop.flush(g.stream.Flush()))
	return nil
}

// accept adds a token to the text. False means that the text ends with it.
func (g *generation) accept(id int32) (more bool) {
	if g.first.IsZero() {
		g.first = time.Now()
	}
	g.out.Tokens = append(g.out.Tokens, id)
	g.sampler.Accept(id)
	if slices.Contains(g.EOS, id) && !g.opt.IgnoreEOS {
		g.out.FinishReason = FinishStop
		g.say(g.stop.flush(g.stream.Flush()))
		return false
	}
	text, stopped := g.stop.next(g.stream.Next(id))
	if more = g.say(text); stopped || !more {
		g.out.FinishReason = FinishStop
		return false
	}
	return true
}

// next runs ids through the model and chooses the next token.
func (g *generation) next(ctx context.Context, seq Sequence, ids []int32) (int32, error) {
	k := g.opt.Sampling.Candidates()
	var id int32
	var err error
	if k >= 1 && k <= backend.MaxTopK {
		var top []int32
		var logits []float32
		if top, logits, err = seq.Extend(ctx, ids, k); err != nil {
			return 0, err
		}
		id, err = g.sampler.NextOf(top, logits)
	} else {
		var logits []float32
		if logits, err = seq.Logits(ctx, ids, false); err != nil {
			return 0, err
		}
		id, err = g.sampler.Next(logits)
	}
	if err != nil {
		return 0, g.explain(err)
	}
	return id, nil
}

// explain says which weights are to blame for logits that are not numbers.
func (g *generation) explain(err error) error {
	return loader.Guard(func() error { // the weights are read where they are mapped
		for _, t := range g.checkpoint.Tensors() {
			if w := g.checkpoint.Weight(t.Name); w != nil {
				if i, found := loader.FirstNonFinite(w); found {
					return fmt.Errorf("the model computes no numbers, since the weight %s is NaN or infinite at element %d: the checkpoint is damaged", w.Name, i)
				}
			}
		}
		return fmt.Errorf("the model computes no numbers: %w", err)
	})
}

func (g *generation) say(text string) bool {
	if text == "" {
		return true
	}
	g.text.WriteString(text)
	return g.yield == nil || g.yield(text)
}

func (g *generation) finish() {
	now := time.Now()
	g.out.Text = g.text.String()
	g.out.Timings.Total = now.Sub(g.start).Seconds()
	if g.first.IsZero() {
		return
	}
	g.out.Timings.FirstToken = g.first.Sub(g.start).Seconds()
	if n := len(g.out.Tokens) - 1; n > 0 {
		g.out.Timings.PerSecond = float64(n) / now.Sub(g.first).Seconds()
	}
}

// stopper holds text back while it may be the start of a stop string.
type stopper struct {
	stops []string
	held  string
}

// next takes more text and returns what is certain; stopped means that a stop
// string was found, and the text ends before it.
func (s *stopper) next(text string) (certain string, stopped bool) {
	if len(s.stops) == 0 {
		return text, false
	}
	s.held += text
	first := -1
	for _, stop := range s.stops {
		if i := strings.Index(s.held, stop); stop != "" && i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		certain, s.held = s.held[:first], ""
		return certain, true
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.held)); n > keep; n-- {
			if strings.HasSuffix(s.held, stop[:n]) {
				keep = n
			}
		}
	}
	cut := len(s.held) - keep
	certain, s.held = s.held[:cut], s.held[cut:]
	return certain, false
}

// flush returns what was held back, with the last text.
func (s *stopper) flush(text string) string {
	certain, stopped := s.next(text)
	if !stopped {
		certain += s.held
	}
	s.held = ""
	return certain
}

// PromptIDs tokenizes a prompt that is used as it is, or says why it cannot be.
func (t *Text) PromptIDs(prompt string) ([]int32, error) {
	if !utf8.ValidString(prompt) {
		return nil, errors.New("the prompt is not valid UTF-8 text")
	}
	ids := t.Tokenizer.AppendIDs(nil, prompt, true)
	if len(ids) == 0 {
		return nil, errors.New("the prompt is empty")
	}
	return ids, nil
}
