package main

import (
	"github.com/urfave/cli/v2"

	"emily/sample"
)

// samplingFlags choose the next token. What is not given comes from the
// model's generation_config.json.
func samplingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Float64Flag{Name: "temperature", Aliases: []string{"t"}, Usage: "randomness, 0 for the most likely token", DefaultText: "the model's own"},
		&cli.IntFlag{Name: "top-k", Usage: "keep the k most likely tokens, 0 for all", DefaultText: "the model's own"},
		&cli.Float64Flag{Name: "top-p", Usage: "keep the most likely tokens up to this probability", DefaultText: "the model's own"},
		&cli.Float64Flag{Name: "min-p", Usage: "keep tokens at least this likely, relative to the best", DefaultText: "the model's own"},
		&cli.Float64Flag{Name: "repetition-penalty", Usage: "above 1, make tokens that came before less likely", DefaultText: "the model's own"},
		&cli.Float64Flag{Name: "presence-penalty", Usage: "subtracted from the logits of tokens that were generated", DefaultText: "the model's own"},
		&cli.Float64Flag{Name: "frequency-penalty", Usage: "the same, for each time that they were", DefaultText: "the model's own"},
		&cli.Uint64Flag{Name: "seed", Usage: "start of the random numbers: same seed, same text", DefaultText: "0"},
		&cli.IntFlag{Name: "max-tokens", Aliases: []string{"n"}, Usage: "end after this many new tokens, 0 for as many as the context holds", Value: 1024},
		&cli.StringSliceFlag{Name: "stop", Usage: "end before this text (may be repeated)"},
	}
}

// checkSampling checks the flags by themselves, before a model is fetched.
func checkSampling(c *cli.Context) error {
	if _, err := samplingParams(c, sample.Params{}); err != nil {
		return usagef("%v", err)
	}
	return nil
}

// samplingParams applies the flags over the model's defaults.
func samplingParams(c *cli.Context, p sample.Params) (sample.Params, error) {
	for name, dst := range map[string]*float64{
		"temperature": &p.Temperature, "top-p": &p.TopP, "min-p": &p.MinP, "repetition-penalty": &p.RepetitionPenalty,
		"presence-penalty": &p.PresencePenalty, "frequency-penalty": &p.FrequencyPenalty,
	} {
		if c.IsSet(name) {
			*dst = c.Float64(name)
		}
	}
	if c.IsSet("top-k") {
		p.TopK = c.Int("top-k")
	}
	p.Seed = c.Uint64("seed")
	if c.Int("max-tokens") < 0 {
		return p, usagef("--max-tokens must be 0 or more, got %d", c.Int("max-tokens"))
	}
	return p, p.Check()
}
