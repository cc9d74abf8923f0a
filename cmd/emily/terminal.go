package main

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	if c, ok := w.(*checkedWriter); ok {
		w = c.w
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour reports whether escape sequences may be written to w: on a terminal
// that has them, unless NO_COLOR (no-color.org) says no.
func colour(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

const (
	dimOn  = "\x1b[2m"
	dimOff = "\x1b[22m"
)

// thinking prints a stream of text, dimmed between <think> and </think>.
type thinking struct {
	w      io.Writer
	dim    bool
	inside bool
	held   string // may be the start of a tag
}

// write takes the next piece; false means that the reader went away.
func (t *thinking) write(piece string) bool {
	t.held += piece
	for {
		tag, code := "<think>", dimOn
		if t.inside {
			tag, code = "</think>", dimOff
		}
		before, after, found := strings.Cut(t.held, tag)
		if !found {
			break
		}
		if !t.dim {
			code = ""
		}
		text := before + code + tag
		if t.inside {
			text = before + tag + code
		}
		if _, err := io.WriteString(t.w, text); err != nil {
			return false
		}
		t.inside, t.held = !t.inside, after
	}
	keep := 0
	for n := min(len("</think>")-1, len(t.held)); n > 0 && keep == 0; n-- {
		if tail := t.held[len(t.held)-n:]; strings.HasPrefix("<think>", tail) || strings.HasPrefix("</think>", tail) {
			keep = n
		}
	}
	cut := len(t.held) - keep
	_, err := io.WriteString(t.w, t.held[:cut])
	t.held = t.held[cut:]
	return err == nil
}

// end prints what was held back and ends the dimming.
func (t *thinking) end() {
	io.WriteString(t.w, t.held)
	if t.inside && t.dim {
		io.WriteString(t.w, dimOff)
	}
	t.held, t.inside = "", false
}
