// Package sample chooses the next token from the logits of a language model:
// greedy, or drawn at random after penalties, temperature, top-k, top-p and
// min-p, in this order, which is the order of Hugging Face's transformers.
package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Params are the settings of a Sampler. The zero value is greedy: the token of
// the largest logit.
type Params struct {
	// Temperature divides the logits; 0 is greedy.
	Temperature float64
	// TopK keeps the k most likely tokens; 0 keeps all. Of equal logits the
	// lower ids are kept, so that there are never more than k.
	TopK int
	// TopP keeps the most likely tokens until their probabilities add up to it
	// (Holtzman et al. 2020); 0 and 1 keep all.
	TopP float64
	// MinP keeps the tokens that are at least MinP times as likely as the most
	// likely one (Nguyen et al. 2024); 0 keeps all.
	MinP float64
	// RepetitionPenalty divides the positive logits of tokens of the prompt and
	// of the output by this factor and multiplies the negative ones with it
	// (Keskar et al. 2019); 0 and 1 change nothing.
	RepetitionPenalty float64
	// PresencePenalty is subtracted from the logits of the tokens of the output,
	// FrequencyPenalty times the number of occurrences too, as in OpenAI's API.
	PresencePenalty, FrequencyPenalty float64
	// Seed starts the random numbers: equal seeds and logits give equal tokens.
	Seed uint64
}

// Check returns an error that names the first setting out of its range.
func (p Params) Check() error {
	const inf = math.MaxFloat64
	const most = 1000.0 // of a penalty, so that logits stay numbers
	repetition := p.RepetitionPenalty
	if repetition == 0 {
		repetition = 1
	}
	for _, s := range []struct {
		name             string
		value, low, high float64
		want             string
	}{
		{"temperature", p.Temperature, 0, inf, "0 or more"},
		{"top-k", float64(p.TopK), 0, inf, "0 or more"},
		{"top-p", p.TopP, 0, 1, "between 0 and 1"},
		{"min-p", p.MinP, 0, 1, "between 0 and 1"},
		{"repetition penalty", repetition, 1 / most, most, "between 0.001 and 1000, or 0 for none"},
		{"presence penalty", p.PresencePenalty, -most, most, "between -1000 and 1000"},
		{"frequency penalty", p.FrequencyPenalty, -most, most, "between -1000 and 1000"},
	} {
		if !(s.value >= s.low && s.value <= s.high) { // NaN is in no range
			return fmt.Errorf("%s must be %s, got %v", s.name, s.want, s.value)
		}
	}
	return nil
}

// Greedy reports whether the most likely token is always chosen.
func (p Params) Greedy() bool { return p.Temperature == 0 || p.TopK == 1 }

// Candidates returns how many of the largest logits decide the next token: 1
// if greedy, k with top-k, and 0 if all logits are needed, as penalties do.
func (p Params) Candidates() int {
	switch {
	case p.penalised():
		return 0
	case p.Greedy():
		return 1
	}
	return p.TopK
}

func (p Params) penalised() bool {
	return p.repeats() || p.PresencePenalty != 0 || p.FrequencyPenalty != 0
}

func (p Params) repeats() bool { return p.RepetitionPenalty != 0 && p.RepetitionPenalty != 1 }

// FromConfig returns the settings that a model's generation_config.json
// recommends. Without "do_sample": true they are greedy; settings that the
// file leaves out or sets to null have transformers' defaults, temperature 1
// and top-k 50.
func FromConfig(text []byte) (Params, error) {
	var config struct {
		DoSample          bool     `json:"do_sample"`
		Temperature       *float64 `json:"temperature"`
		TopK              *int     `json:"top_k"`
		TopP              float64  `json:"top_p"`
		MinP              float64  `json:"min_p"`
		RepetitionPenalty float64  `json:"repetition_penalty"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) && kind.Field != "" {
			return Params{}, fmt.Errorf("generation_config.json: %s cannot be a JSON %s", kind.Field, kind.Value)
		}
		return Params{}, fmt.Errorf("generation_config.json: %w", err)
	}
	p := Params{RepetitionPenalty: config.RepetitionPenalty}
	if config.DoSample {
		p.Temperature, p.TopK, p.TopP, p.MinP = 1, 50, config.TopP, config.MinP
		if config.Temperature != nil {
			p.Temperature = *config.Temperature
		}
		if config.TopK != nil {
			p.TopK = *config.TopK
		}
	}
	if err := p.Check(); err != nil {
		return Params{}, fmt.Errorf("generation_config.json: %w", err)
	}
	return p, nil
}
