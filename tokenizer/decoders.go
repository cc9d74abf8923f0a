package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// each is a stage that maps every token by itself; i is its number.
type each struct {
	f func(i int, token string) string
	i int
}

func (e *each) push(s string, emit func(string)) {
	emit(e.f(e.i, s))
	e.i++
}

func (e *each) flush(func(string)) {}

// gather is a stage for a decoder that has to see a whole string, fed with fragments of it.
type gather struct {
	d    decoder
	text strings.Builder
}

func (g *gather) push(s string, _ func(string)) { g.text.WriteString(s) }

func (g *gather) flush(emit func(string)) {
	s := g.d.stage()
	s.push(g.text.String(), emit)
	s.flush(emit)
}

// fuse makes one string of all tokens.
type fuse struct{}

func (fuse) stage() stage { return &each{f: func(_ int, s string) string { return s }} }

// wordPieceDecoder joins tokens with spaces, but for those with a prefix.
type wordPieceDecoder struct {
	prefix  string
	cleanup bool
}

func (d wordPieceDecoder) stage() stage {
	return &each{f: func(i int, s string) string {
		if i > 0 {
			if rest, ok := strings.CutPrefix(s, d.prefix); ok {
				s = rest
			} else {
				s = " " + s
			}
		}
		if d.cleanup {
			s = cleanup(s)
		}
		return s
	}}
}

// cleanup takes out the spaces that English does not have; one replacement after the other.
func cleanup(s string) string {
	if !strings.Contains(s, " ") {
		return s
	}
	for _, r := range [...][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
		{" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}

// metaspaceDecoder turns the visible character back into spaces; the first token loses those that were prepended.
type metaspaceDecoder struct{ *metaspace }

func (d metaspaceDecoder) stage() stage {
	return &each{f: func(i int, s string) string {
		if i == 0 && d.prepend != "never" {
			return strings.ReplaceAll(s, d.replacement, "")
		}
		return strings.ReplaceAll(s, d.replacement, " ")
	}}
}

// replaceDecoder applies a Replace normaliser to each token.
type replaceDecoder struct{ *replace }

func (d replaceDecoder) stage() stage {
	return &each{f: func(_ int, s string) string {
		text := []byte(s)
		var out strings.Builder
		for _, m := range d.pattern.find(text, 0, len(text), nil) {
			if m.is {
				out.WriteString(d.content)
			} else {
				out.Write(text[m.start:m.end])
			}
		}
		return out.String()
	}}
}

// bpeDecoder turns the suffix of tokens into a space, except at the end of the text: so a token waits for the next.
type bpeDecoder string

func (d bpeDecoder) stage() stage { return &bpeStage{suffix: string(d)} }

type bpeStage struct {
	suffix, last string
	has          bool
}

func (b *bpeStage) push(s string, emit func(string)) {
	if b.has {
		emit(replaceAll(b.last, b.suffix, " "))
	}
	b.last, b.has = s, true
}

func (b *bpeStage) flush(emit func(string)) {
	if b.has {
		emit(replaceAll(b.last, b.suffix, ""))
	}
}

// replaceAll is strings.ReplaceAll; both put the new string between all code points if old is empty.
func replaceAll(s, old, new string) string { return strings.ReplaceAll(s, old, new) }

// ctcDecoder is for models that repeat tokens and pad: repetitions and padding go.
type ctcDecoder struct {
	pad, delimiter string
	cleanup        bool
}

func (d ctcDecoder) stage() stage { return &ctcStage{ctcDecoder: d} }

type ctcStage struct {
	ctcDecoder
	last string
	has  bool
}

func (c *ctcStage) push(s string, emit func(string)) {
	if c.has && s == c.last {
		return
	}
	c.last, c.has = s, true
	s = strings.ReplaceAll(s, c.pad, "")
	if c.cleanup {
		s = strings.ReplaceAll(cleanup(s), c.delimiter, " ")
	}
	if s != "" {
		emit(s)
	}
}

func (c *ctcStage) flush(func(string)) {}

// byteFallbackDecoder turns runs of tokens such as <0x0A> into the text that the bytes are; if they are none, each
// becomes U+FFFD. A run has to end before it can be judged.
type byteFallbackDecoder struct{}

func (byteFallbackDecoder) stage() stage { return &byteFallbackStage{} }

type byteFallbackStage struct{ run []byte }

func (b *byteFallbackStage) push(s string, emit func(string)) {
	if len(s) == 6 && s[:3] == "<0x" && s[5] == '>' {
		if v, err := strconv.ParseUint(strings.TrimPrefix(s[3:5], "+"), 16, 8); err == nil {
			b.run = append(b.run, byte(v))
			return
		}
	}
	b.flush(emit)
	emit(s)
}

func (b *byteFallbackStage) flush(emit func(string)) {
	switch {
	case len(b.run) == 0:
	case utf8.Valid(b.run):
		emit(string(b.run))
	default:
		for range b.run {
			emit("\uFFFD")
		}
	}
	b.run = b.run[:0]
}

// stripDecoder takes up to start and stop times the character content off the ends of each token.
type stripDecoder struct {
	content     string
	start, stop int
}

func (d stripDecoder) stage() stage {
	return &each{f: func(_ int, s string) string {
		for n := 0; n < d.start && strings.HasPrefix(s, d.content); n++ {
			s = s[len(d.content):]
		}
		for n := 0; n < d.stop && strings.HasSuffix(s, d.content); n++ {
			s = s[:len(s)-len(d.content)]
		}
		return s
	}}
}

func (d stripDecoder) fusedStage() stage { return &stripStage{stripDecoder: d} }

// stripStage strips one long string: it holds back what may be the end.
type stripStage struct {
	stripDecoder
	stripped int
	started  bool
	held     int // times content
}

func (t *stripStage) push(s string, emit func(string)) {
	for !t.started && s != "" {
		if t.stripped < t.start && strings.HasPrefix(s, t.content) {
			s = s[len(t.content):]
			t.stripped++
		} else {
			t.started = true
		}
	}
	if s == "" {
		return
	}
	s = strings.Repeat(t.content, t.held) + s
	t.held = 0
	for t.held < t.stop && strings.HasSuffix(s, t.content) {
		s = s[:len(s)-len(t.content)]
		t.held++
	}
	emit(s)
}

func (t *stripStage) flush(func(string)) {}

func (d replaceDecoder) fusedStage() stage {
	if lit, ok := d.pattern.(literal); ok && len(lit) > 0 {
		return &replaceStage{old: string(lit), new: d.content}
	}
	return &gather{d: d}
}

// replaceStage replaces in one long string: it holds back what may be the start of a match.
type replaceStage struct{ old, new, held string }

func (r *replaceStage) push(s string, emit func(string)) {
	s = r.held + s
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(s, r.old)
		if !ok {
			break
		}
		out.WriteString(before + r.new)
		s = after
	}
	n := min(len(r.old)-1, len(s))
	for !strings.HasSuffix(s, r.old[:n]) {
		n--
	}
	out.WriteString(s[:len(s)-n])
	r.held = s[len(s)-n:]
	emit(out.String())
}

func (r *replaceStage) flush(emit func(string)) { emit(r.held) }

// byteLevelDecoder turns byte-level tokens into the bytes they stand for, and those into text.
type byteLevelDecoder struct{}

func (byteLevelDecoder) stage() stage { return &byteLevelStage{} }

type byteLevelStage struct {
	rest []byte // of a code point that has begun
	text []byte
}

func (b *byteLevelStage) push(s string, emit func(string)) {
	b.rest = appendCharBytes(b.rest, s)
	var n int
	b.text, n = appendLossy(b.text[:0], b.rest, false)
	b.rest = b.rest[:copy(b.rest, b.rest[n:])]
	emit(string(b.text))
}

func (b *byteLevelStage) flush(emit func(string)) {
	text, _ := appendLossy(nil, b.rest, true)
	emit(string(text))
}
