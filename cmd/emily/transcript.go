package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"emily/arch"
)

// transcript writes segments in one format as they come.
type transcript struct {
	head   string
	format func(n int, s arch.Segment) string // nil writes the whole at the end as JSON
	n      int
}

func transcriptWriter(c *cli.Context) (*transcript, error) {
	name := c.String("format")
	if c.Bool("json") {
		if c.IsSet("format") && name != "json" {
			return nil, usagef("--json and --format %s: choose one", name)
		}
		name = "json"
	}
	switch name {
	case "text":
		return &transcript{format: func(_ int, s arch.Segment) string { return strings.TrimSpace(s.Text) + "\n" }}, nil
	case "srt":
		return &transcript{format: func(n int, s arch.Segment) string {
			return fmt.Sprintf("%d\n%s --> %s\n%s\n\n", n, clock(s.Start, ","), clock(s.End, ","), strings.TrimSpace(s.Text))
		}}, nil
	case "vtt":
		return &transcript{head: "WEBVTT\n\n", format: func(_ int, s arch.Segment) string {
			text := strings.ReplaceAll(strings.TrimSpace(s.Text), "-->", "->") // would end the cue's header
			return fmt.Sprintf("%s --> %s\n%s\n\n", clock(s.Start, "."), clock(s.End, "."), text)
		}}, nil
	case "tsv":
		return &transcript{head: "start\tend\ttext\n", format: func(_ int, s arch.Segment) string {
			text := strings.ReplaceAll(strings.TrimSpace(s.Text), "\t", " ")
			return fmt.Sprintf("%.0f\t%.0f\t%s\n", 1000*s.Start, 1000*s.End, text)
		}}, nil
	case "json":
		return &transcript{}, nil
	}
	return nil, usagef("--format: %q is not text, srt, vtt, tsv or json", name)
}

// segment writes the next segment.
func (t *transcript) segment(w io.Writer, s arch.Segment) error {
	t.n++
	if t.format == nil {
		return nil
	}
	text := t.format(t.n, s)
	if t.n == 1 {
		text = t.head + text
	}
	_, err := io.WriteString(w, text)
	return err
}

// end writes what is left.
func (t *transcript) end(w io.Writer, got arch.Transcript) error {
	if t.format == nil {
		if got.Segments == nil {
			got.Segments = []arch.Segment{}
		}
		return printJSON(w, got)
	}
	if t.n == 0 {
		_, err := io.WriteString(w, t.head)
		return err
	}
	return nil
}

// clock prints seconds as hours:minutes:seconds and milliseconds.
func clock(seconds float64, point string) string {
	ms := int64(math.Round(1000 * seconds))
	return fmt.Sprintf("%02d:%02d:%02d%s%03d", ms/3600000, ms/60000%60, ms/1000%60, point, ms%1000)
}
