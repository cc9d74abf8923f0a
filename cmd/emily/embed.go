package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"emily/arch"
)

func newEmbed(std stdio) *cli.Command {
	flags := []cli.Flag{
		modelFlag(),
		&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "embed each line of a file, - for standard input"},
		&cli.StringFlag{Name: "format", Usage: "text, json (an object a line) or npy", Value: "text"},
		&cli.BoolFlag{Name: "json", Usage: "short for --format json"},
		&cli.BoolFlag{Name: "similarity", Usage: "print the cosines of all pairs instead"},
	}
	return &cli.Command{
		Name:      "embed",
		Usage:     "turn sentences into vectors",
		ArgsUsage: "TEXT ...  (- reads a text a line from standard input)",
		Description: "Pooling and normalisation are those of the model's sentence-transformers files; without them\n" +
			"the vector is the mean of the tokens, of length 1.\n\n" +
			"Example: emily embed --model sentence-transformers/all-MiniLM-L6-v2 \"a sentence\" --format json",
		Flags:  append(flags, computeFlags()...),
		Action: func(c *cli.Context) error { return runEmbed(c.Context, c, std) },
	}
}

func runEmbed(ctx context.Context, c *cli.Context, std stdio) error {
	format := c.String("format")
	if c.Bool("json") {
		format = "json"
	}
	if format != "text" && format != "json" && format != "npy" {
		return usagef("--format: %q is not text, json or npy", format)
	}
	texts, err := embedTexts(c, std)
	if err != nil {
		return err
	}
	s, err := openModel(ctx, c, std, arch.Embed)
	if err != nil {
		return err
	}
	defer s.close()
	e, err := arch.NewEmbedder(s.Loaded)
	if err != nil {
		return err
	}
	rows, err := e.Embed(ctx, texts)
	if err != nil {
		return err
	}
	if c.Bool("similarity") {
		rows = arch.Cosines(rows)
	}
	out := bufio.NewWriter(std.out)
	if format == "npy" {
		err = writeNPY(out, rows)
	}
	for i, row := range rows {
		switch {
		case err != nil || format == "npy":
		case format == "json" && c.Bool("similarity"):
			err = printJSON(out, row)
		case format == "json":
			err = printJSON(out, struct {
				Text      string    `json:"text"`
				Embedding []float32 `json:"embedding"`
			}{texts[i], row})
		default:
			_, err = fmt.Fprintln(out, strings.Trim(fmt.Sprintf("%.6f", row), "[]"))
		}
	}
	return errors.Join(err, out.Flush())
}

// embedTexts takes the texts from the arguments or, one a line, from a file.
func embedTexts(c *cli.Context, std stdio) ([]string, error) {
	texts := c.Args().Slice()
	path := c.String("file")
	if len(texts) == 1 && texts[0] == "-" && path == "" {
		texts, path = nil, "-"
	}
	if (len(texts) > 0) == (path != "") {
		return nil, usagef("give texts as arguments, or a file with a text a line with --file")
	}
	if path != "" {
		text, err := readInput(std, path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
				texts = append(texts, line)
			}
		}
	}
	if len(texts) == 0 {
		return nil, errors.New("there is no text to embed")
	}
	for i, t := range texts {
		if !utf8.ValidString(t) {
			return nil, fmt.Errorf("text %d is not valid UTF-8", i+1)
		}
	}
	return texts, nil
}

// writeNPY writes a matrix in NumPy's format, version 1.0.
func writeNPY(w io.Writer, rows [][]float32) error {
	head := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", len(rows), len(rows[0]))
	const before = 10 // magic, version and the length of the header, which ends at a multiple of 64
	head += strings.Repeat(" ", 63-(before+len(head))%64) + "\n"
	if _, err := fmt.Fprintf(w, "\x93NUMPY\x01\x00%c%c%s", len(head)&255, len(head)>>8, head); err != nil {
		return err
	}
	for _, row := range rows {
		if err := binary.Write(w, binary.LittleEndian, row); err != nil {
			return err
		}
	}
	return nil
}
