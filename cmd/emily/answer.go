package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"emily/arch"
)

func newAnswer(std stdio) *cli.Command {
	flags := []cli.Flag{
		modelFlag(),
		&cli.StringFlag{Name: "question", Aliases: []string{"q"}, Usage: "the question"},
		&cli.StringFlag{Name: "context", Aliases: []string{"c"}, Usage: "the text that holds the answer"},
		&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "read the text from a file, - for standard input"},
		&cli.IntFlag{Name: "top-k", Aliases: []string{"k"}, Usage: "answers to print", Value: 1},
		&cli.IntFlag{Name: "max-answer", Usage: "longest answer in tokens", Value: 15},
		&cli.IntFlag{Name: "stride", Usage: "tokens that the windows of a long text share", Value: 128},
		&cli.BoolFlag{Name: "no-answer", Usage: "allow that the text holds no answer (models of SQuAD 2)"},
		&cli.BoolFlag{Name: "json", Usage: "print one JSON object an answer: answer, score, start and end in code points"},
	}
	return &cli.Command{
		Name:  "answer",
		Usage: "find the answer to a question in a text",
		Description: "Texts longer than the model's window are read in overlapping windows.\n\n" +
			"Example: emily answer --model distilbert/distilbert-base-uncased-distilled-squad -q \"Who wrote it?\" -f book.txt",
		Flags:  append(flags, computeFlags()...),
		Action: func(c *cli.Context) error { return runAnswer(c.Context, c, std) },
	}
}

func runAnswer(ctx context.Context, c *cli.Context, std stdio) error {
	question, text, err := questionAndText(c, std)
	if err != nil {
		return err
	}
	s, err := openModel(ctx, c, std, arch.Answer)
	if err != nil {
		return err
	}
	defer s.close()
	a, err := arch.NewAnswerer(s.Loaded)
	if err != nil {
		return err
	}
	answers, err := a.Answer(ctx, question, text, arch.AnswerOptions{
		TopK: c.Int("top-k"), MaxTokens: c.Int("max-answer"), Stride: c.Int("stride"), NoAnswer: c.Bool("no-answer"),
	})
	if err != nil {
		return err
	}
	for _, x := range answers {
		if c.Bool("json") {
			err = printJSON(std.out, x)
		} else if x.Text == "" {
			_, err = fmt.Fprintf(std.out, "%.3f  (no answer)\n", x.Score)
		} else {
			_, err = fmt.Fprintf(std.out, "%.3f  %s  [%d:%d]\n", x.Score, oneLine(x.Text), x.Start, x.End)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// questionAndText reads and checks what is asked of what.
func questionAndText(c *cli.Context, std stdio) (question, text string, err error) {
	question, text = c.String("question"), c.String("context")
	switch {
	case c.Args().Len() > 0:
		return "", "", usagef("answer takes no arguments: give the question with -q and the text with -c or -f")
	case !c.IsSet("question"):
		return "", "", usagef("no question was given: add -q \"...\"")
	case c.IsSet("context") == c.IsSet("file"):
		return "", "", usagef("give the text either with -c or with -f")
	case c.Int("top-k") < 1 || c.Int("max-answer") < 1 || c.Int("stride") < 1:
		return "", "", usagef("--top-k, --max-answer and --stride must be 1 or more")
	}
	if path := c.String("file"); c.IsSet("file") {
		if text, err = readInput(std, path); err != nil {
			return "", "", err
		}
	}
	switch {
	case strings.TrimSpace(question) == "":
		return "", "", errors.New("the question is empty")
	case strings.TrimSpace(text) == "":
		return "", "", errors.New("the text is empty, so it holds no answer")
	case !utf8.ValidString(question) || !utf8.ValidString(text):
		return "", "", errors.New("question and text must be valid UTF-8")
	}
	return question, text, nil
}
