package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// normalizer rewrites the text pieces of a run.
type normalizer interface {
	normalize(w *work)
}

// normalizers in a row.
type normalizers []normalizer

func (ns normalizers) normalize(w *work) {
	for _, n := range ns {
		n.normalize(w)
	}
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// part is what all parts of the file have: a type and, for most, further fields.
type part struct {
	Type string `json:"type"`
}

func kindOf(raw json.RawMessage) (string, error) {
	var p part
	if err := json.Unmarshal(raw, &p); err != nil {
		return "", err
	}
	return p.Type, nil
}

const knownNormalizers = "BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, Prepend, Replace, Sequence, Strip, StripAccents"

func parseNormalizer(raw json.RawMessage, depth int) (normalizer, error) {
	if isNull(raw) {
		return nil, nil
	}
	kind, err := kindOf(raw)
	if err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	var n normalizer
	switch kind {
	case "Sequence":
		return parseNormalizers(raw, depth)
	case "NFC", "NFD", "NFKC", "NFKD":
		return newUnicodeForm(kind), nil
	case "Lowercase":
		return lowercase{}, nil
	case "StripAccents":
		return stripClass(clsCombining), nil
	case "Nmt":
		return nmt{}, nil
	case "ByteLevel":
		return byteChars{}, nil
	case "Strip":
		n = &strip{}
	case "Prepend":
		n = &prepend{}
	case "Replace":
		n = &replace{}
	case "BertNormalizer", "Bert":
		n = &bertNormalizer{CleanText: true, HandleChineseChars: true, Lowercase: true}
	case "Precompiled":
		n = &precompiled{}
	default:
		return nil, fmt.Errorf("normalizer %q is unknown; known are %s", kind, knownNormalizers)
	}
	if err := json.Unmarshal(raw, n); err != nil {
		return nil, fmt.Errorf("normalizer %s: %w", kind, err)
	}
	return n, nil
}

func parseNormalizers(raw json.RawMessage, depth int) (normalizer, error) {
	var list struct {
		Normalizers []json.RawMessage `json:"normalizers"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("normalizer Sequence: %w", err)
	}
	if depth >= maxDepth {
		return nil, fmt.Errorf("normalizers are nested more than %d deep", maxDepth)
	}
	var ns normalizers
	for _, raw := range list.Normalizers {
		n, err := parseNormalizer(raw, depth+1)
		if err != nil {
			return nil, err
		}
		if n != nil {
			ns = append(ns, n)
		}
	}
	return ns, nil
}

// lowercase maps each code point to lower case, without regard to its neighbours.
type lowercase struct{}

func (lowercase) normalize(w *work) {
	w.rewrite(func(p piece) {
		for w.pos < p.end {
			if c := w.text[w.pos]; c < utf8.RuneSelf {
				if c-'A' < 26 {
					c += 'a' - 'A'
				}
				w.put(rune(c), 0)
				continue
			}
			r, _ := utf8.DecodeRune(w.text[w.pos:])
			w.runes = lower(w.runes[:0], r)
			for i, l := range w.runes {
				w.put(l, min(i, 1))
			}
		}
	})
}

// stripClass drops the code points of a class.
type stripClass class

func (c stripClass) normalize(w *work) {
	table := classes()
	w.rewrite(func(p piece) {
		for w.pos < p.end {
			if k, n := table.at(w.text[:p.end], w.pos); k&class(c) != 0 {
				w.drop(n)
			} else {
				w.keep(n)
			}
		}
	})
}

// strip removes white space at the ends.
type strip struct {
	Left  bool `json:"strip_left"`
	Right bool `json:"strip_right"`
}

func (s *strip) normalize(w *work) {
	w.rewrite(func(p piece) {
		text := w.text[p.start:p.end]
		if s.Left {
			w.drop(spaceAfter(text))
		}
		end := p.end
		if s.Right {
			end -= spaceBefore(text)
		}
		if w.pos < end {
			w.keep(end - w.pos)
		}
	})
}

// prepend puts a string before a text that is not empty.
type prepend struct {
	Prepend string `json:"prepend"`
}

func (n *prepend) normalize(w *work) {
	w.rewrite(func(p piece) {
		w.prepend(n.Prepend)
		w.keep(p.end - w.pos)
	})
}

// prepend writes s at the start of a piece. It belongs to the first code point of the piece.
func (w *work) prepend(s string) {
	if s == "" {
		return
	}
	first, _ := utf8.DecodeRune(w.text[w.pos:])
	change := 0
	for _, r := range s {
		w.put(r, change)
		change = 1
	}
	w.put(first, 1)
}

// replace puts a string in place of what a pattern matches.
type replace struct {
	pattern pattern
	content string
	growth  int // how many times longer a text can become
}

// maxGrowth bounds what a file can make of a text. The widest that real files
// have is a blank that becomes three bytes.
const maxGrowth = 1 << 12

// growth returns how many times longer normalizers in a row can make a text, or a number over maxGrowth.
func growth(n normalizer) int {
	switch n := n.(type) {
	case normalizers:
		times := 1
		for _, one := range n {
			times = min(times*growth(one), maxGrowth+1)
		}
		return times
	case *replace:
		return n.growth
	}
	return 1
}

func (n *replace) UnmarshalJSON(data []byte) error {
	var fields struct {
		Pattern json.RawMessage `json:"pattern"`
		Content string          `json:"content"`
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	var err error
	n.pattern, err = parsePattern(fields.Pattern)
	n.growth = min(max(1, len(fields.Content)), maxGrowth+1) // of each byte
	n.content = fields.Content
	return err
}

func (n *replace) normalize(w *work) {
	if lit, ok := n.pattern.(literal); ok && !anyPiece(w, func(text []byte) bool { return bytes.Contains(text, lit) }) {
		return
	}
	w.rewrite(func(p piece) {
		w.matches = n.pattern.find(w.text, p.start, p.end, w.matches[:0])
		for _, m := range w.matches {
			if m.is {
				w.drop(m.end - m.start)
				w.write(n.content)
			} else {
				w.keep(m.end - m.start)
			}
		}
	})
}

// anyPiece says whether f holds for a text piece.
func anyPiece(w *work, f func(text []byte) bool) bool {
	for _, p := range w.pieces {
		if p.token < 0 && f(w.text[p.start:p.end]) {
			return true
		}
	}
	return false
}

// nmt cleans text as the normaliser of that name in SentencePiece does: no control characters, plain spaces.
type nmt struct{}

func (nmt) normalize(w *work) {
	w.rewrite(func(p piece) {
		for w.pos < p.end {
			r, n := utf8.DecodeRune(w.text[w.pos:])
			switch {
			case r >= 1 && r <= 8, r == 0xB, r >= 0xE && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
				w.drop(n)
			case r == 9, r == 0xA, r == 0xC, r == 0xD, r == 0x1680, r >= 0x200B && r <= 0x200F, r == 0x2028, r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
				w.put(' ', 0)
			default:
				w.keep(n)
			}
		}
	})
}

// byteChars writes each byte as the code point that stands for it in byte-level vocabularies.
type byteChars struct{}

func (byteChars) normalize(w *work) {
	w.rewrite(func(p piece) {
		for w.pos < p.end {
			_, n := utf8.DecodeRune(w.text[w.pos:])
			at := w.pos
			for i := range n {
				w.put(byteToChar[w.text[at+i]], min(i, 1))
			}
		}
	})
}
