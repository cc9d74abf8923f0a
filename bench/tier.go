package bench

import "fmt"

// Lengths of generated texts: the report's, and that of a smoke run.
const (
	defaultTokens = 48
	smokeTokens   = 8
)

// Units of a result's value.
const (
	microseconds = "us/call"
	tokensRate   = "tok/s"
)

// tier is one part of the report.
type tier struct {
	name, title string
	unit        string
	cases       []benchCase
	model       *checkpoint // nil for ops
	warmup      int         // calls before the timed ones, where the caller does not say
	runs        int         // samples, likewise
	calls       int         // in a sample
	f32Only     bool
	sequential  bool // one lane after the other: too large to be loaded together
	includes    string
}

// benchCase is a row of tier 1, or a table of another tier.
type benchCase struct {
	name string
	job  job
	// title and includes are those of a case that is not its tier's first.
	title, includes string
}

// tokens is what a rate counts: those of the prompt, where nothing else is timed, else the new ones.
func (c benchCase) tokens() int {
	if c.job.PromptTokens > 0 {
		return c.job.PromptTokens
	}
	return c.job.NewTokens
}

// checkpoint is a tier's model: its name on the Hub and that of its
// configuration for random weights.
type checkpoint struct{ repo, random string }

// Names of the tiers, in the order of the report.
var tierNames = []string{"1", "2", "3", "4", "5", "addendum"}

var opSizes = []struct {
	op    string
	sizes []int
}{
	{"add", []int{256, 1024, 4096}}, {"mul", []int{256, 1024, 4096}}, {"exp", []int{256, 1024, 4096}},
	{"sum", []int{256, 1024, 4096}}, {"softmax", []int{256, 1024, 4096}}, {"matmul", []int{128, 512, 1024, 2048}},
}

// The inputs of the report. The ids stand for them where a checkpoint has no tokenizer.
const (
	question   = "What is Emily?"
	background = "Emily is an Elixir Nx backend that runs tensor computations on Apple Silicon through MLX, executing on the Metal GPU."
	prompt     = "The quick brown fox jumps over the lazy dog."
)

var promptIDs = []int32{785, 3974, 13876, 38835, 34208, 916, 279, 15678, 5562, 13}

// questionIDs are 40 tokens, as many as the question and its text have: [CLS],
// words, [SEP], words, [SEP].
func questionIDs() []int32 {
	const start, end = 101, 102
	ids := []int32{start}
	for id := int32(2000); len(ids) < 39; id++ {
		ids = append(ids, id)
	}
	ids[7] = end
	return append(ids, end)
}

// tiers returns the tiers by name. newTokens is the length of generated texts
// of tier 3 and the addendum; scale divides the sizes of tier 1 and of the long
// prompt, for tests.
func tiers(newTokens, scale int) map[string]tier {
	decode := job{Prompt: prompt, IDs: promptIDs, NewTokens: newTokens}
	whole := fmt.Sprintf("prompt of 10 tokens, %d new ones, greedy, no early stop; tok/s = %d / time of the whole call, prompt included", newTokens, newTokens)
	one := tier{
		title: "Tier 1 — op microbenchmarks (mean us/call)", unit: microseconds, warmup: 5, runs: 3, calls: 30, f32Only: true,
		includes: "the op on f32 [n, n], the sum of its result, and the number read back",
	}
	for _, o := range opSizes {
		for _, n := range o.sizes {
			one.cases = append(one.cases, benchCase{name: fmt.Sprintf("%s %d", o.op, n), job: job{Op: o.op, N: max(2, n/max(1, scale))}})
		}
	}
	prefill := benchCase{
		name: "prefill 512", job: job{Prompt: prompt, IDs: promptIDs, PromptTokens: 512 / max(1, scale), NewTokens: 1},
		title:    "Qwen3-0.6B prefill of 512 tokens (tokens/sec)",
		includes: "tier 3's prompt repeated up to 512 tokens, the logits of the last position, and the most likely token read back; tok/s = 512 / time of the call",
	}
	list := map[string]tier{
		"1": one,
		"2": {
			title: "Tier 2 — DistilBERT QA (mean us/call)", unit: microseconds,
			cases:    []benchCase{{name: "DistilBERT QA", job: job{Question: question, Context: background, IDs: questionIDs()}}},
			model:    &checkpoint{"distilbert/distilbert-base-uncased-distilled-squad", "distilbert-base-uncased-distilled-squad"},
			includes: "tokenizing question and context (where the checkpoint has a tokenizer; else 40 fixed ids), the model, and the best span of at most 15 tokens",
		},
		"3": {
			title: "Tier 3 — Qwen3-0.6B decode (tokens/sec)", unit: tokensRate,
			cases: []benchCase{{name: "Qwen3-0.6B decode", job: decode}, prefill}, model: &checkpoint{"Qwen/Qwen3-0.6B", "qwen3-0.6b"},
			includes: whole,
		},
		"4": {
			title: "Tier 4 — ViT-base image classification (mean us/call)", unit: microseconds,
			cases: []benchCase{{name: "ViT-base image classification"}}, model: &checkpoint{"google/vit-base-patch16-224", "vit-base-patch16-224"},
			includes: "one 224 x 224 x 3 image of bytes (iota mod 256), its preprocessing, the model, and the top label",
		},
		"5": {
			title: "Tier 5 — Whisper-tiny transcription (mean us/call)", unit: microseconds,
			cases: []benchCase{{name: "Whisper-tiny transcription", job: job{NewTokens: 25}}}, model: &checkpoint{"openai/whisper-tiny", "whisper-tiny"},
			includes: "1 s of a 440 Hz sine at 16 kHz: log-mel features, the encoder over 30 s, and 25 new tokens, greedy, no early stop",
		},
		"addendum": {
			title: "Addendum — Qwen3-4B decode", unit: tokensRate, sequential: true,
			cases: []benchCase{{name: "Qwen3-4B decode", job: decode}}, model: &checkpoint{"Qwen/Qwen3-4B", "qwen3-4b"},
			includes: whole + ". The lanes run one after the other, since they do not fit into memory together",
		},
	}
	for name, t := range list {
		t.name = name
		if t.calls == 0 {
			t.warmup, t.runs, t.calls = 1, 3, 1
		}
		list[name] = t
	}
	return list
}

// value turns the seconds of a call into the tier's unit.
func (t tier) value(seconds float64, c benchCase) float64 {
	if t.unit == tokensRate {
		return float64(c.tokens()) / seconds
	}
	return seconds * 1e6
}
