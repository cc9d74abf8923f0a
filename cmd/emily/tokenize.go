package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"emily/arch"
	"emily/tokenizer"
)

func newTokenize(std stdio) *cli.Command {
	return &cli.Command{
		Name:      "tokenize",
		Usage:     "text to token ids and back, chat templates",
		ArgsUsage: "TEXT | IDS  (- reads standard input)",
		Description: "Needs only the tokenizer files of a model's folder.\n\n" +
			"Example: emily tokenize --model Qwen/Qwen3-0.6B \"Hello, world\"",
		Flags: []cli.Flag{
			modelFlag(),
			&cli.BoolFlag{Name: "no-special", Usage: "add no special tokens around the text; leave them out when decoding"},
			&cli.BoolFlag{Name: "decode", Usage: "turn ids into text"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object: ids, tokens, offsets in code points"},
			&cli.BoolFlag{Name: "jsonl", Usage: "read one JSON string a line, write one object a line"},
			&cli.StringFlag{Name: "messages", Usage: "render the chat template for the messages in a JSON `FILE`: text and ids"},
			&cli.StringFlag{Name: "tools", Usage: "tools for the template, from a JSON `FILE`"},
			&cli.StringSliceFlag{Name: "template-arg", Usage: "a `NAME=VALUE` for the chat template, such as enable_thinking=false"},
		},
		Action: func(c *cli.Context) error { return runTokenize(c.Context, c, std) },
	}
}

// tokens is the JSON of a tokenized text.
type tokens struct {
	IDs     []int32  `json:"ids"`
	Tokens  []string `json:"tokens"`
	Offsets [][2]int `json:"offsets"`
}

func runTokenize(ctx context.Context, c *cli.Context, std stdio) error {
	if err := checkTokenizeFlags(c); err != nil {
		return err
	}
	folder, err := findFolder(ctx, c, std)
	if err != nil {
		return err
	}
	tok, err := arch.ReadTokenizer(folder)
	if err != nil {
		return err
	}
	switch {
	case c.IsSet("messages"):
		template, err := arch.ReadTemplate(folder)
		if err != nil {
			return err
		}
		if template == nil {
			return fmt.Errorf("%s has no chat template", folder.Name())
		}
		return renderMessages(c, std, tok, template)
	case c.Bool("jsonl"):
		return tokenizeLines(std, tok, !c.Bool("no-special"))
	}
	text, err := readPrompt(c, std)
	if err != nil {
		return err
	}
	if c.Bool("decode") {
		ids, err := parseIDs(tok, text)
		if err != nil {
			return err
		}
		return printDecoded(c, std, tok.Decode(ids, c.Bool("no-special")))
	}
	if !utf8.ValidString(text) {
		return errors.New("the text is not valid UTF-8")
	}
	got := tokenizeText(tok, text, !c.Bool("no-special"))
	if c.Bool("json") {
		return printJSON(std.out, got)
	}
	for i, id := range got.IDs {
		fmt.Fprintf(std.out, "%d\t%s\n", id, got.Tokens[i])
	}
	return nil
}

func checkTokenizeFlags(c *cli.Context) error {
	modes := 0
	for _, name := range []string{"decode", "jsonl", "messages"} {
		if c.IsSet(name) {
			modes++
		}
	}
	switch {
	case modes > 1:
		return usagef("choose one of --decode, --jsonl and --messages")
	case (c.IsSet("tools") || c.IsSet("template-arg")) && !c.IsSet("messages"):
		return usagef("--tools and --template-arg need --messages")
	case (c.Bool("jsonl") || c.IsSet("messages")) && c.Args().Len() > 0:
		return usagef("with --jsonl and --messages there is no text argument")
	}
	return nil
}

func tokenizeText(tok *tokenizer.Tokenizer, text string, special bool) tokens {
	e := tok.Encode(text, special)
	got := tokens{IDs: e.IDs, Tokens: make([]string, len(e.IDs)), Offsets: make([][2]int, len(e.IDs))}
	if got.IDs == nil {
		got.IDs = []int32{}
	}
	for i, id := range e.IDs {
		got.Tokens[i], _ = tok.Token(id)
		got.Offsets[i] = [2]int{e.Offsets[i].Start, e.Offsets[i].End}
	}
	return got
}

func tokenizeLines(std stdio, tok *tokenizer.Tokenizer, special bool) error {
	in, out := bufio.NewScanner(std.in), bufio.NewWriter(std.out)
	in.Buffer(nil, maxInput)
	n := 0
	for in.Scan() {
		n++
		if line := in.Text(); strings.TrimSpace(line) != "" {
			var text *string
			bad := json.Unmarshal([]byte(line), &text)
			if bad == nil && text == nil {
				bad = errors.New("it is null")
			}
			if bad != nil {
				return errors.Join(out.Flush(), fmt.Errorf("line %d of standard input is not a JSON string: %w", n, bad))
			}
			if err := printJSON(out, tokenizeText(tok, *text, special)); err != nil {
				return err
			}
		}
	}
	if err := in.Err(); err != nil {
		return errors.Join(out.Flush(), fmt.Errorf("line %d of standard input: %w", n+1, err))
	}
	return out.Flush()
}

// renderMessages prints the prompt that the chat template makes of messages.
func renderMessages(c *cli.Context, std stdio, tok *tokenizer.Tokenizer, template *tokenizer.ChatTemplate) error {
	messages, err := readJSONFile(c.String("messages"), std)
	if err != nil {
		return err
	}
	var tools json.RawMessage
	if c.IsSet("tools") {
		if tools, err = readJSONFile(c.String("tools"), std); err != nil {
			return err
		}
	}
	args, err := templateArgs(c)
	if err != nil {
		return err
	}
	text, err := arch.RenderJSON(c.Context, template, messages, tools, args)
	if err != nil {
		return err
	}
	return printJSON(std.out, struct {
		Text string  `json:"text"`
		IDs  []int32 `json:"ids"`
	}{text, append([]int32{}, tok.AppendIDs(nil, text, false)...)})
}

// readJSONFile reads a JSON file, - for standard input, and checks its syntax.
func readJSONFile(path string, std stdio) (json.RawMessage, error) {
	text, err := readInput(std, path)
	if err != nil {
		return nil, err
	}
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("%s is not JSON", path)
	}
	return json.RawMessage(text), nil
}

// parseIDs reads ids of tokens that are separated by blanks or commas, also in brackets.
func parseIDs(tok *tokenizer.Tokenizer, text string) ([]int32, error) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,[]", r) })
	ids := make([]int32, len(fields))
	for i, f := range fields {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is not a token id", f)
		}
		if _, ok := tok.Token(int32(id)); !ok {
			return nil, fmt.Errorf("there is no token %d in the vocabulary", id)
		}
		ids[i] = int32(id)
	}
	return ids, nil
}

func printDecoded(c *cli.Context, std stdio, text string) error {
	if c.Bool("json") {
		return printJSON(std.out, struct {
			Text string `json:"text"`
		}{text})
	}
	_, err := fmt.Fprintln(std.out, text)
	return err
}

// printJSON writes one line of JSON without escaping HTML.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
