package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// scriptSplit cuts where the writing system changes. Kana count as Han and spaces join either side, as in SentencePiece.
type scriptSplit struct{}

func (scriptSplit) preTokenize(w *work) {
	w.cut(func(p piece, dst []piece) []piece {
		from, last := -1, ""
		for i := p.start; i < p.end; {
			r, n := utf8.DecodeRune(w.text[i:p.end])
			if script := scriptOf(r); script != "" {
				if script != last {
					if from >= 0 {
						dst = append(dst, piece{from, i, -1})
					}
					from = i
				}
				last = script
			}
			i += n
		}
		if from >= 0 {
			dst = append(dst, piece{from, p.end, -1})
		}
		return dst
	})
}

// scriptOf returns the script of r, "" for a space and for what has none.
func scriptOf(r rune) string {
	if r == ' ' {
		return ""
	}
	if r == 0x30FC || unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) {
		return "Han"
	}
	for _, name := range []string{"Latin", "Common", "Cyrillic", "Greek", "Arabic", "Hangul"} {
		if unicode.Is(unicode.Scripts[name], r) {
			return name
		}
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return ""
}
