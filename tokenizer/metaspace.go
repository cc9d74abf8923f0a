package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// metaspace writes spaces as a visible character and cuts before it, as SentencePiece does.
type metaspace struct {
	replacement string
	prepend     string // "always", "first" (only at the start of the text), "never"
	split       bool
}

func parseMetaspace(raw json.RawMessage) (*metaspace, error) {
	f := struct {
		Replacement    string `json:"replacement"`
		AddPrefixSpace *bool  `json:"add_prefix_space"`
		PrependScheme  string `json:"prepend_scheme"`
		Split          *bool  `json:"split"`
	}{PrependScheme: "always"}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(f.Replacement) != 1 {
		return nil, errors.New("replacement is not one character")
	}
	if f.AddPrefixSpace != nil && !*f.AddPrefixSpace {
		f.PrependScheme = "never"
	}
	switch f.PrependScheme {
	case "always", "first", "never":
	default:
		return nil, fmt.Errorf("prepend_scheme %q is none of always, first, never", f.PrependScheme)
	}
	return &metaspace{f.Replacement, f.PrependScheme, f.Split == nil || *f.Split}, nil
}

func (m *metaspace) preTokenize(w *work) {
	first, _ := utf8.DecodeRuneInString(m.replacement)
	w.rewrite(func(p piece) {
		r, _ := utf8.DecodeRune(w.text[p.start:p.end])
		if r != ' ' && r != first && (m.prepend == "always" || m.prepend == "first" && w.base == 0) {
			w.prepend(m.replacement)
		}
		for w.pos < p.end {
			if w.text[w.pos] == ' ' {
				w.put(first, 0)
			} else {
				w.keep(1)
			}
		}
	})
	if !m.split {
		return
	}
	mark := literal(m.replacement)
	w.cut(func(p piece, dst []piece) []piece {
		w.matches = mark.find(w.text, p.start, p.end, w.matches[:0])
		return mergedWithNext.apply(w.matches, dst)
	})
}
