package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// preTokenizer cuts the text pieces of a run into words; some rewrite them too.
type preTokenizer interface {
	preTokenize(w *work)
}

const knownPreTokenizers = "BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace, Punctuation, Sequence, Split, UnicodeScripts, Whitespace, WhitespaceSplit"

// parsePreTokenizers reads a pre-tokenizer; a Sequence becomes several.
func parsePreTokenizers(raw json.RawMessage, depth int) ([]preTokenizer, error) {
	if isNull(raw) {
		return nil, nil
	}
	kind, err := kindOf(raw)
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if kind != "Sequence" {
		p, err := parsePreTokenizer(kind, raw)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	var list struct {
		PreTokenizers []json.RawMessage `json:"pretokenizers"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("pre_tokenizer Sequence: %w", err)
	}
	if depth >= maxDepth {
		return nil, fmt.Errorf("pre-tokenizers are nested more than %d deep", maxDepth)
	}
	var all []preTokenizer
	for _, raw := range list.PreTokenizers {
		ps, err := parsePreTokenizers(raw, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, ps...)
	}
	return all, nil
}

func parsePreTokenizer(kind string, raw json.RawMessage) ([]preTokenizer, error) {
	var f struct {
		AddPrefixSpace   *bool           `json:"add_prefix_space"`
		UseRegex         *bool           `json:"use_regex"`
		IndividualDigits bool            `json:"individual_digits"`
		Behavior         behavior        `json:"behavior"`
		Pattern          json.RawMessage `json:"pattern"`
		Invert           bool            `json:"invert"`
		Delimiter        string          `json:"delimiter"`
		Length           *int            `json:"length"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("pre_tokenizer %s: %w", kind, err)
	}
	switch kind {
	case "ByteLevel":
		var ps []preTokenizer
		if f.AddPrefixSpace == nil || *f.AddPrefixSpace {
			ps = append(ps, prefixSpace{})
		}
		if f.UseRegex == nil || *f.UseRegex {
			ps = append(ps, wordSplit(gpt2Word))
		}
		return append(ps, byteLevel{}), nil
	case "BertPreTokenizer":
		return []preTokenizer{bertSplit{}}, nil
	case "Whitespace":
		return []preTokenizer{split{inverted{wordPattern{}}, removed}}, nil
	case "WhitespaceSplit":
		return []preTokenizer{split{classPattern(clsSpace), removed}}, nil
	case "Punctuation":
		if f.Behavior == "" {
			f.Behavior = isolated
		}
		return []preTokenizer{split{classPattern(clsPunct), f.Behavior}}, nil
	case "Digits":
		b := contiguous
		if f.IndividualDigits {
			b = isolated
		}
		return []preTokenizer{split{classPattern(clsNumeric), b}}, nil
	case "CharDelimiterSplit", "Delimiter":
		if utf8.RuneCountInString(f.Delimiter) != 1 {
			return nil, errors.New("pre_tokenizer CharDelimiterSplit: delimiter is not one character")
		}
		return []preTokenizer{split{literal(f.Delimiter), removed}}, nil
	case "FixedLength":
		n := 5
		if f.Length != nil {
			n = *f.Length
		}
		if n < 1 {
			return nil, errors.New("pre_tokenizer FixedLength: length is below 1")
		}
		return []preTokenizer{fixedLength(n)}, nil
	case "UnicodeScripts":
		return []preTokenizer{scriptSplit{}}, nil
	case "Metaspace":
		m, err := parseMetaspace(raw)
		if err != nil {
			return nil, fmt.Errorf("pre_tokenizer Metaspace: %w", err)
		}
		return []preTokenizer{m}, nil
	case "Split":
		p, err := parsePattern(f.Pattern)
		if err != nil {
			return nil, fmt.Errorf("pre_tokenizer Split: %w", err)
		}
		if f.Behavior == "" {
			return nil, errors.New("pre_tokenizer Split: behavior is missing")
		}
		if word, ok := p.(wordSplit); ok && !f.Invert && f.Behavior == isolated {
			return []preTokenizer{word}, nil
		}
		if f.Invert {
			p = inverted{p}
		}
		return []preTokenizer{split{p, f.Behavior}}, nil
	}
	return nil, fmt.Errorf("pre_tokenizer %q is unknown; known are %s", kind, knownPreTokenizers)
}

// split cuts at what a pattern matches.
type split struct {
	pattern  pattern
	behavior behavior
}

func (s split) preTokenize(w *work) {
	w.cut(func(p piece, dst []piece) []piece {
		w.matches = s.pattern.find(w.text, p.start, p.end, w.matches[:0])
		return s.behavior.apply(w.matches, dst)
	})
}

// wordSplit cuts text that consists of words alone. It returns the end of the word at text[i:] (never i).
type wordSplit func(t *classTable, text []byte, i int) int

func (s wordSplit) preTokenize(w *work) {
	table := classes()
	w.cut(func(p piece, dst []piece) []piece {
		text := w.text[:p.end]
		for i := p.start; i < p.end; {
			end := s(table, text, i)
			dst = append(dst, piece{i, end, -1})
			i = end
		}
		return dst
	})
}

// find makes a pattern of it; everything matches.
func (s wordSplit) find(text []byte, start, end int, dst []match) []match {
	table := classes()
	for text = text[:end]; start < end; {
		next := s(table, text, start)
		dst = append(dst, match{start, next, true})
		start = next
	}
	return dst
}

// bertSplit drops white space and isolates punctuation.
type bertSplit struct{}

func (bertSplit) preTokenize(w *work) {
	table := classes()
	w.cut(func(p piece, dst []piece) []piece {
		text, from := w.text[:p.end], p.start
		for i := p.start; i < p.end; {
			c, n := table.at(text, i)
			if c &= clsSpace | clsPunct; c != 0 {
				dst = append(dst, piece{from, i, -1})
				if c == clsPunct {
					dst = append(dst, piece{i, i + n, -1})
				}
				from = i + n
			}
			i += n
		}
		return append(dst, piece{from, p.end, -1})
	})
}

// prefixSpace puts a space before each piece that has none.
type prefixSpace struct{}

func (prefixSpace) preTokenize(w *work) {
	if !anyPiece(w, func(text []byte) bool { return text[0] != ' ' }) {
		return
	}
	w.rewrite(func(p piece) {
		if w.text[p.start] != ' ' {
			w.prepend(" ")
		}
		w.keep(p.end - w.pos)
	})
}

// byteLevel writes bytes as code points. Where it comes last before a byte-level BPE it is left out: the model
// then works on the bytes themselves.
type byteLevel struct{}

func (byteLevel) preTokenize(w *work) { byteChars{}.normalize(w) }

// fixedLength cuts into pieces of n code points.
type fixedLength int

func (n fixedLength) preTokenize(w *work) {
	w.cut(func(p piece, dst []piece) []piece {
		from, count := p.start, 0
		for i := p.start; i < p.end; {
			_, size := utf8.DecodeRune(w.text[i:p.end])
			i += size
			if count++; count == int(n) {
				dst = append(dst, piece{from, i, -1})
				from, count = i, 0
			}
		}
		return append(dst, piece{from, p.end, -1})
	})
}
