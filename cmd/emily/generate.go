package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"emily/arch"
	"emily/bench/roofline"
)

func newGenerate(std stdio) *cli.Command {
	flags := []cli.Flag{
		modelFlag(),
		&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "read the prompt from a file"},
		&cli.StringFlag{Name: "system", Usage: "the system message of a chat model"},
		&cli.BoolFlag{Name: "raw", Usage: "continue the prompt as it is, without the model's chat template"},
		&cli.StringSliceFlag{Name: "template-arg", Usage: "a `NAME=VALUE` for the chat template, such as enable_thinking=false"},
		&cli.BoolFlag{Name: "json", Usage: "print one JSON object with text, tokens and timings"},
	}
	return &cli.Command{
		Name:      "generate",
		Usage:     "answer or continue a prompt",
		ArgsUsage: "PROMPT  (- reads standard input)",
		Description: "Models with a chat template answer the prompt; others, and all with --raw, continue it.\n" +
			"The text streams to standard output. Ctrl-C ends it and keeps what was produced.\n\n" +
			"Example: emily generate --model Qwen/Qwen3-0.6B \"Why is the sky blue?\"",
		Flags:  append(append(flags, samplingFlags()...), computeFlags()...),
		Action: func(c *cli.Context) error { return runGenerate(c.Context, c, std) },
	}
}

func runGenerate(ctx context.Context, c *cli.Context, std stdio) error {
	prompt, err := readPrompt(c, std)
	if err != nil {
		return err
	}
	if err := checkSampling(c); err != nil {
		return err
	}
	s, err := openModel(ctx, c, std, arch.Generate)
	if err != nil {
		return err
	}
	defer s.close()
	text, err := arch.NewText(s.Loaded)
	if err != nil {
		return err
	}
	ids, err := promptIDs(c, text, prompt)
	if err != nil {
		return err
	}
	opt := arch.GenerateOptions{MaxTokens: c.Int("max-tokens"), Stop: c.StringSlice("stop")}
	if opt.Sampling, err = samplingParams(c, text.Defaults); err != nil {
		return err
	}
	yield := func(piece string) bool {
		_, err := io.WriteString(std.out, piece)
		return err == nil
	}
	if c.Bool("json") {
		yield = nil
	}
	got, err := text.Generate(ctx, ids, opt, yield)
	if err != nil && got.FinishReason != arch.FinishCancel {
		return err
	}
	if c.Bool("json") {
		return errors.Join(json.NewEncoder(std.out).Encode(got), err)
	}
	if got.Text != "" || err == nil {
		fmt.Fprintln(std.out)
	}
	if got.FinishReason == arch.FinishLength && !c.IsSet("max-tokens") {
		fmt.Fprintf(std.err, "emily: the text was cut after %d tokens; --max-tokens allows more\n", len(got.Tokens))
	}
	if c.Bool("verbose") {
		tellSpeed(ctx, std, s, got)
	}
	return err
}

// readPrompt takes the prompt from the arguments, standard input or --file.
func readPrompt(c *cli.Context, std stdio) (string, error) {
	args := c.Args().Slice()
	switch {
	case c.IsSet("file") && len(args) > 0:
		return "", usagef("give the prompt as an argument or with --file, not both")
	case c.IsSet("file"):
		return readInput(std, c.String("file"))
	case len(args) == 1 && args[0] == "-":
		return readInput(std, "-")
	case len(args) == 0:
		return "", usagef("no text was given: add it in quotes, or - to read standard input")
	}
	return strings.Join(args, " "), nil
}

// promptIDs renders the chat template if the model has one and --raw is not set.
func promptIDs(c *cli.Context, text *arch.Text, prompt string) ([]int32, error) {
	if strings.TrimSpace(prompt) == "" && !c.Bool("raw") {
		return nil, errors.New("the prompt is empty")
	}
	for _, flag := range []string{"system", "template-arg"} {
		switch {
		case c.IsSet(flag) && c.Bool("raw"):
			return nil, usagef("--%s is for the chat template, which --raw leaves out", flag)
		case c.IsSet(flag) && text.Template == nil:
			return nil, usagef("--%s needs a chat model; %s has no chat template", flag, cmp.Or(c.String("model"), "the built-in one"))
		}
	}
	if text.Template == nil || c.Bool("raw") {
		return text.PromptIDs(prompt)
	}
	extra, err := templateArgs(c)
	if err != nil {
		return nil, err
	}
	var messages []arch.Message
	if c.IsSet("system") {
		messages = append(messages, arch.Message{Role: "system", Content: c.String("system")})
	}
	return text.ChatIDs(c.Context, append(messages, arch.Message{Role: "user", Content: prompt}), extra)
}

// templateArgs reads NAME=VALUE pairs; values that are JSON are taken as such.
func templateArgs(c *cli.Context) (map[string]any, error) {
	args := map[string]any{}
	for _, pair := range c.StringSlice("template-arg") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef("--template-arg: %q is not NAME=VALUE", pair)
		}
		var v any
		if json.Unmarshal([]byte(value), &v) != nil {
			v = value
		}
		args[name] = v
	}
	return args, nil
}

// tellSpeed prints what --verbose promises after a text.
func tellSpeed(ctx context.Context, std stdio, s *session, g arch.Generated) {
	speed := ""
	if g.Timings.PerSecond > 0 {
		speed = fmt.Sprintf(" at %.1f tok/s", g.Timings.PerSecond)
	}
	fmt.Fprintf(std.err, "%d prompt tokens, first token after %.0f ms; %d tokens%s; ended by %s\n",
		g.PromptTokens, 1000*g.Timings.FirstToken, len(g.Tokens), speed, g.FinishReason)
	info := s.backend.Info()
	if info.Backend != "cpu" || len(g.Tokens) < 8 {
		return
	}
	limits, err := measureCPU(ctx, info, roofline.Options{Bytes: 128 << 20, Runs: 3})
	if most := limits.Seconds(roofline.Work{Bytes: s.Checkpoint.Bytes()}); err == nil && most > 0 {
		fmt.Fprintf(std.err, "reading every weight once a token allows %.1f tok/s at the %.1f GB/s measured now: %.0f %% of it were reached\n",
			1/most, limits.ReadAll.Value/1e9, 100*most*g.Timings.PerSecond)
	}
}
