package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// match is a stretch of text that a pattern matches (is) or that lies between matches.
type match struct {
	start, end int
	is         bool
}

// pattern finds things in text. find appends matches that cover text[start:end] without gaps.
type pattern interface {
	find(text []byte, start, end int, dst []match) []match
}

// parsePattern reads {"String": "..."} or {"Regex": "..."}.
func parsePattern(raw json.RawMessage) (pattern, error) {
	var p struct{ String, Regex *string }
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, err
	}
	switch {
	case p.String != nil:
		return literal(*p.String), nil
	case p.Regex != nil:
		return compileRegex(*p.Regex)
	}
	return nil, errors.New(`a pattern has either "String" or "Regex"`)
}

// literal matches a string.
type literal []byte

func (l literal) find(text []byte, start, end int, dst []match) []match {
	done := start
	for len(l) > 0 {
		i := bytes.Index(text[done:end], l)
		if i < 0 {
			break
		}
		dst = appendMatch(dst, done, done+i, done+i+len(l))
		done += i + len(l)
	}
	return appendGap(dst, done, end)
}

func appendMatch(dst []match, done, start, end int) []match {
	return append(appendGap(dst, done, start), match{start, end, true})
}

func appendGap(dst []match, start, end int) []match {
	if start < end {
		dst = append(dst, match{start, end, false})
	}
	return dst
}

// classPattern matches each code point of a class by itself.
type classPattern class

func (c classPattern) find(text []byte, start, end int, dst []match) []match {
	table := classes()
	text = text[:end]
	done := start
	for i := start; i < end; {
		k, n := table.at(text, i)
		if k&class(c) != 0 {
			dst = appendMatch(dst, done, i, i+n)
			done = i + n
		}
		i += n
	}
	return appendGap(dst, done, end)
}

// wordPattern matches \w+ and [^\w\s]+.
type wordPattern struct{}

func (wordPattern) find(text []byte, start, end int, dst []match) []match {
	table := classes()
	text = text[:end]
	done := start
	for i := start; i < end; {
		k, n := table.at(text, i)
		if k &= clsWord | clsSpace; k == clsSpace {
			i += n
			continue
		}
		from := i
		for n > 0 {
			next, m := table.at(text, i+n)
			i += n
			if n = m; next&(clsWord|clsSpace) != k {
				break
			}
		}
		dst = appendMatch(dst, done, from, i)
		done = i
	}
	return appendGap(dst, done, end)
}

// inverted matches what its pattern does not.
type inverted struct{ pattern }

func (v inverted) find(text []byte, start, end int, dst []match) []match {
	n := len(dst)
	dst = v.pattern.find(text, start, end, dst)
	for i := range dst[n:] {
		dst[n+i].is = !dst[n+i].is
	}
	return dst
}

// behavior says what becomes of matches and gaps; its values are spelled as in the file.
type behavior string

const (
	removed            behavior = "Removed"
	isolated           behavior = "Isolated"
	mergedWithPrevious behavior = "MergedWithPrevious"
	mergedWithNext     behavior = "MergedWithNext"
	contiguous         behavior = "Contiguous"
)

func (b *behavior) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	switch *b = behavior(s); *b {
	case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous:
		return nil
	}
	return errors.New(`behavior is none of "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"`)
}

// apply turns matches into pieces.
func (b behavior) apply(ms []match, dst []piece) []piece {
	first := len(dst)
	switch b {
	case removed:
		for _, m := range ms {
			if !m.is {
				dst = append(dst, piece{m.start, m.end, -1})
			}
		}
	case isolated:
		for _, m := range ms {
			dst = append(dst, piece{m.start, m.end, -1})
		}
	case contiguous, mergedWithPrevious:
		before := false
		for _, m := range ms {
			join := m.is == before
			if b == mergedWithPrevious {
				join = m.is && !before
			}
			if join && len(dst) > first {
				dst[len(dst)-1].end = m.end
			} else {
				dst = append(dst, piece{m.start, m.end, -1})
			}
			before = m.is
		}
	case mergedWithNext:
		after := false
		for i := len(ms) - 1; i >= 0; i-- {
			m := ms[i]
			if m.is && !after && len(dst) > first {
				dst[len(dst)-1].start = m.start
			} else {
				dst = append(dst, piece{m.start, m.end, -1})
			}
			after = m.is
		}
		for i, j := first, len(dst)-1; i < j; i, j = i+1, j-1 {
			dst[i], dst[j] = dst[j], dst[i]
		}
	}
	return dst
}

func isSpace(r rune) bool {
	if r < utf8.RuneSelf {
		return r == ' ' || r >= '\t' && r <= '\r'
	}
	return classes().of(r)&clsSpace != 0
}
