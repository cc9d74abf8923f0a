package bench

import (
	"fmt"
	"math"
	"slices"

	"emily/bench/roofline"
)

// A lane is a process that reads requests from standard input and writes one
// reply for each to standard output, one JSON object a line. Its first line,
// before any request, is a hello. emily's own lanes are processes of the same
// kind as the peers', so that all are timed by one clock through one pipe.

// hello is a lane's first line.
type hello struct {
	Version  string `json:"version"`            // of the library, such as "jax 0.10.2"
	Device   string `json:"device,omitempty"`   // of a peer: "CPU", "GPU"
	Settings string `json:"settings,omitempty"` // what it was told to do for speed
	Absent   string `json:"absent,omitempty"`   // why there is no such lane here
}

// request asks a lane to prepare a job, or to run the prepared one.
type request struct {
	Do string `json:"do"`
	// load: prepare the job, compile included if that needs no run.
	Job *job `json:"job,omitempty"`
	// call: run the job so many times.
	Times int `json:"times,omitempty"`
	// call: count the work too (emily's lanes alone know how).
	Count bool `json:"count,omitempty"`
}

const (
	doLoad = "load"
	doCall = "call"
)

// job is what a lane is to run: the same for every lane.
type job struct {
	Tier    string `json:"tier"`
	Op      string `json:"op,omitempty"`    // tier 1
	N       int    `json:"n,omitempty"`     // tier 1: the inputs are [n, n]
	Model   string `json:"model,omitempty"` // the checkpoint's folder
	Cache   string `json:"cache,omitempty"` // where a peer keeps a converted checkpoint
	Device  string `json:"device"`          // a peer's, where it has a choice: "cpu", "cuda"
	DType   string `json:"dtype"`
	Threads int    `json:"threads"`
	// IDs are used where the checkpoint has no tokenizer.
	IDs    []int32 `json:"ids,omitempty"`
	Prompt string  `json:"prompt,omitempty"`
	// PromptTokens is the length up to which the prompt's tokens are repeated; 0 leaves them as they are.
	PromptTokens int    `json:"prompt_tokens,omitempty"`
	Question     string `json:"question,omitempty"`
	Context      string `json:"context,omitempty"`
	NewTokens    int    `json:"new_tokens,omitempty"`
}

// reply answers a request.
type reply struct {
	Output *output `json:"output,omitempty"` // of the last call
	// DType tells of a lane that computes in another one than it was asked for.
	DType string `json:"dtype,omitempty"`
	// Work is what a call needs at least, one entry for each program it ran.
	Work []roofline.Work `json:"work,omitempty"`
	// Absent is why the lane does not do this job.
	Absent string `json:"absent,omitempty"`
	Error  string `json:"error,omitempty"`
}

// output is the result of a job, for comparing lanes.
type output struct {
	Number *float64 `json:"number,omitempty"` // tier 1
	Span   []int    `json:"span,omitempty"`   // tier 2: first and last token of the answer
	Tokens []int32  `json:"tokens,omitempty"` // tiers 3 and 5
	Label  *int     `json:"label,omitempty"`  // tier 4
	Text   string   `json:"text,omitempty"`   // in words, where there is a tokenizer
}

// tolerance is the relative difference that the order of f32 sums explains.
const tolerance = 1e-5

// differs says how an output is not that of the reference, "" if it is.
func (o *output) differs(reference *output) string {
	switch {
	case o == nil:
		return "there is no output"
	case reference.Number != nil:
		if o.Number == nil || !near(*o.Number, *reference.Number) {
			return fmt.Sprintf("%s instead of %.9g", show(o.Number), *reference.Number)
		}
	case reference.Label != nil:
		if o.Label == nil || *o.Label != *reference.Label {
			return fmt.Sprintf("label %s instead of %d", show(o.Label), *reference.Label)
		}
	case reference.Span != nil:
		if !slices.Equal(o.Span, reference.Span) {
			return fmt.Sprintf("answer at tokens %v instead of %v", o.Span, reference.Span)
		}
	case !slices.Equal(o.Tokens, reference.Tokens):
		same := 0
		for same < min(len(o.Tokens), len(reference.Tokens)) && o.Tokens[same] == reference.Tokens[same] {
			same++
		}
		return fmt.Sprintf("%d tokens, of which the first %d are those of the %d expected", len(o.Tokens), same, len(reference.Tokens))
	}
	return ""
}

// startsLike reports whether two texts begin with the same token. More cannot
// be asked of bf16: lanes sum in another order, so that a sum may round to the
// next number, and one token that differs changes all after it.
func (o *output) startsLike(reference *output) bool {
	return len(o.Tokens) > 0 && len(o.Tokens) == len(reference.Tokens) && o.Tokens[0] == reference.Tokens[0]
}

func near(x, y float64) bool { return math.Abs(x-y) <= tolerance*math.Abs(y) }

func show[T any](p *T) string {
	if p == nil {
		return "nothing"
	}
	return fmt.Sprint(*p)
}
