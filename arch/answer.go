package arch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"emily/tokenizer"
)

// Answerer answers questions by a part of a given text (extractive question
// answering; Rajpurkar et al. 2016). It is safe for concurrent use.
type Answerer struct {
	model     SpanScorer
	tokenizer *tokenizer.Tokenizer
}

// NewAnswerer reads the tokenizer that lies beside a model's weights.
func NewAnswerer(l *Loaded) (*Answerer, error) {
	m, ok := l.Model.(SpanScorer)
	if !ok {
		return nil, fmt.Errorf("%s is a %s, which answers no questions: use emily %s", l.Folder.Name(), l.Class.Name, l.Class.Task)
	}
	t, err := ReadTokenizer(l.Folder)
	if err != nil {
		return nil, err
	}
	return &Answerer{m, t}, nil
}

// AnswerOptions say which answers are looked for. A zero field stands for its default.
type AnswerOptions struct {
	// TopK is the number of answers; default 1.
	TopK int
	// MaxTokens is the length of the longest answer; default 15.
	MaxTokens int
	// Window is the number of tokens that the model sees at once, question
	// included; default and limit is the model's.
	Window int
	// Stride is the number of tokens that a window of a long text shares with the one before; default 128.
	Stride int
	// NoAnswer allows that the text holds no answer, for models that were trained
	// for it (SQuAD 2; Rajpurkar et al. 2018).
	NoAnswer bool
}

// AnswerSpan is a part of a text that answers a question.
type AnswerSpan struct {
	// Text is the part; "" if the text holds no answer.
	Text string `json:"answer"`
	// Start and End are where it stands, in code points: [Start, End).
	Start int `json:"start"`
	End   int `json:"end"`
	// Score is the probability that the answer starts and ends there: the product
	// of two softmax values over the tokens of all windows.
	Score float64 `json:"score"`

	sum float64 // of the two logits
}

// Answer returns the best answers to a question, the best first. A text that
// is longer than the model's window is read in windows that overlap.
func (a *Answerer) Answer(ctx context.Context, question, text string, opt AnswerOptions) ([]AnswerSpan, error) {
	opt.TopK, opt.MaxTokens, opt.Stride = cmp.Or(opt.TopK, 1), cmp.Or(opt.MaxTokens, 15), cmp.Or(opt.Stride, 128)
	limit := a.model.MaxTokens()
	opt.Window = min(cmp.Or(opt.Window, limit), limit)
	if min(opt.TopK, opt.MaxTokens, opt.Stride, opt.Window) < 1 {
		return nil, errors.New("answers, their length, window and stride must be 1 or more")
	}
	e := a.tokenizer.EncodePair(question, text, true)
	windows, err := cutWindows(e, opt.Window, opt.Stride)
	if err != nil || len(windows) == 0 {
		return nil, err
	}
	batch := make([]Tokens, len(windows))
	for i, w := range windows {
		batch[i] = w.tokens
	}
	logits, err := a.model.Spans(ctx, batch)
	if err != nil {
		return nil, err
	}
	return bestAnswers(e, windows, logits, []rune(text), opt), nil
}

// window is a part of an encoded pair: all of the question and some of the text.
type window struct {
	tokens   Tokens
	first, n int // tokens of the text: their place in the window and their number
	offset   int // of the first in the encoding
}

// cutWindows divides an encoded pair into windows of at most size tokens. It
// keeps what stands around the text, such as [CLS] question [SEP] and [SEP].
func cutWindows(e tokenizer.Encoding, size, stride int) ([]window, error) {
	from := slices.Index(e.Sequence, 1)
	if from < 0 {
		return nil, nil // no text, no answer
	}
	to := len(e.Sequence)
	for e.Sequence[to-1] != 1 {
		to--
	}
	room := size - from - (len(e.IDs) - to)
	if room < 1 {
		return nil, fmt.Errorf("the question has %d tokens, which leaves no room for the text in a window of %d", from, size)
	}
	step := max(1, room-min(stride, room/2))
	var windows []window
	for at := from; ; at += step {
		end := min(at+room, to)
		windows = append(windows, window{
			tokens: Tokens{
				IDs:     slices.Concat(e.IDs[:from], e.IDs[at:end], e.IDs[to:]),
				TypeIDs: slices.Concat(e.TypeIDs[:from], e.TypeIDs[at:end], e.TypeIDs[to:]),
			},
			first: from, n: end - at, offset: at,
		})
		if end == to {
			return windows, nil
		}
	}
}

// bestAnswers ranks the spans of all windows by the sum of their logits.
func bestAnswers(e tokenizer.Encoding, windows []window, logits []SpanLogits, text []rune, opt AnswerOptions) []AnswerSpan {
	var best []AnswerSpan
	for i, w := range windows {
		start, end := logits[i].Start[w.first:w.first+w.n], logits[i].End[w.first:w.first+w.n]
		for s := range start {
			for t := s; t < min(s+opt.MaxTokens, len(end)); t++ {
				sum := float64(start[s] + end[t])
				if len(best) == opt.TopK && sum <= best[len(best)-1].sum {
					continue
				}
				best = insert(best, AnswerSpan{Start: e.Offsets[w.offset+s].Start, End: e.Offsets[w.offset+t].End, sum: sum}, opt.TopK)
			}
		}
	}
	if opt.NoAnswer {
		none := math.Inf(1) // every window must say that it has none
		for _, l := range logits {
			none = min(none, float64(l.Start[0]+l.End[0]))
		}
		best = insert(best, AnswerSpan{sum: none}, opt.TopK)
	}
	total := logTotal(logits, func(l SpanLogits) []float32 { return l.Start }) + logTotal(logits, func(l SpanLogits) []float32 { return l.End })
	for i := range best {
		b := &best[i]
		b.Score = math.Exp(b.sum - total)
		b.Start, b.End = min(b.Start, len(text)), min(b.End, len(text))
		b.Text = string(text[b.Start:max(b.Start, b.End)])
	}
	return best
}

// insert puts an answer at its place among the k best. Of two for the same
// part of the text, seen in two windows, the better stays.
func insert(best []AnswerSpan, a AnswerSpan, k int) []AnswerSpan {
	same := slices.IndexFunc(best, func(b AnswerSpan) bool { return b.Start == a.Start && b.End == a.End })
	if same >= 0 {
		if best[same].sum >= a.sum {
			return best
		}
		best = slices.Delete(best, same, same+1)
	}
	at := slices.IndexFunc(best, func(b AnswerSpan) bool { return b.sum < a.sum })
	if at < 0 {
		at = len(best)
	}
	best = slices.Insert(best, at, a)
	return best[:min(k, len(best))]
}

// logTotal returns log Σ exp over the logits of all windows.
func logTotal(logits []SpanLogits, of func(SpanLogits) []float32) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, l := range logits {
		for _, x := range of(l) {
			top = max(top, float64(x))
		}
	}
	for _, l := range logits {
		for _, x := range of(l) {
			sum += math.Exp(float64(x) - top)
		}
	}
	return top + math.Log(sum)
}
