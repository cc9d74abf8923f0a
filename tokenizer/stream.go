package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Stream decodes ids as they come from a model. It never gives half a code point: text waits until it is certain.
// What Next and Flush return, joined, is what Decode returns for all ids. A Stream belongs to one goroutine.
type Stream struct {
	t           *Tokenizer
	skipSpecial bool
	stages      []stage
	emit        []func(string) // what each stage passes its output to
	out         strings.Builder
}

// Stream starts decoding. With skipSpecial special tokens are left out.
func (t *Tokenizer) Stream(skipSpecial bool) *Stream {
	s := &Stream{t: t, skipSpecial: skipSpecial}
	if !t.hasDecoder {
		s.stages = []stage{&each{f: func(i int, token string) string {
			if i > 0 {
				token = " " + token
			}
			return token
		}}}
	}
	fused := false
	for _, d := range t.decoders {
		f, ok := d.(fusedDecoder)
		switch {
		case !fused:
			s.stages = append(s.stages, d.stage())
		case ok:
			s.stages = append(s.stages, f.fusedStage())
		case d != fuse{}:
			s.stages = append(s.stages, &gather{d: d})
		}
		switch d.(type) {
		case fuse, byteLevelDecoder:
			fused = true
		}
	}
	s.emit = make([]func(string), len(s.stages)+1)
	s.emit[len(s.stages)] = func(text string) { s.out.WriteString(text) }
	for i := len(s.stages) - 1; i >= 0; i-- {
		stage, next := s.stages[i], s.emit[i+1]
		s.emit[i] = func(text string) { stage.push(text, next) }
	}
	return s
}

// Next takes the next id and returns the text that has become certain, often none. Unknown ids are ignored.
func (s *Stream) Next(id int32) string {
	s.next(id)
	return s.take()
}

func (s *Stream) next(id int32) {
	token, ok := s.t.added.token(id)
	if !ok {
		var b []byte
		if b, ok = s.t.vocab.token(id); !ok {
			return
		}
		token = string(b)
	}
	if s.skipSpecial && s.t.added.special[token] {
		return
	}
	s.emit[0](token)
}

// Flush returns what is left at the end of the ids. The stream cannot be used after it.
func (s *Stream) Flush() string {
	for i, stage := range s.stages {
		stage.flush(s.emit[i+1])
	}
	return s.take()
}

func (s *Stream) take() string {
	text := s.out.String()
	s.out.Reset()
	return text
}

// Decode turns ids into text. Unknown ids are ignored; with skipSpecial special tokens are too.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	s := t.Stream(skipSpecial)
	for _, id := range ids {
		s.next(id)
	}
	return s.Flush()
}

// appendLossy appends b as UTF-8, with U+FFFD for each longest part that begins like a code point but is none, and returns
// how much of b it has used: all, if final, otherwise not what may become a code point.
func appendLossy(dst, b []byte, final bool) ([]byte, int) {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			dst = append(dst, b[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			if !final && !utf8.FullRune(b[i:]) {
				return dst, i
			}
			n = subpart(b[i:])
		}
		if r == utf8.RuneError {
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = append(dst, b[i:i+n]...)
		}
		i += n
	}
	return dst, len(b)
}

// subpart returns the length of the longest start of b, at least 1, that some valid code point starts with
// ("maximal subpart" in chapter 3.9 of the Unicode Standard).
func subpart(b []byte) int {
	n := 1
	for n < min(len(b), 4) && !utf8.FullRune(b[:n]) {
		n++
		if utf8.FullRune(b[:n]) { // the byte added does not continue it
			return n - 1
		}
	}
	return n
}
