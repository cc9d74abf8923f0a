package tokenizer

import "unicode/utf8"

// bertNormalizer is the cleaning of the original BERT code.
type bertNormalizer struct {
	CleanText          bool  `json:"clean_text"`           // no control characters, plain spaces
	HandleChineseChars bool  `json:"handle_chinese_chars"` // spaces around ideographs
	StripAccents       *bool `json:"strip_accents"`        // no non-spacing marks; unset: as Lowercase
	Lowercase          bool  `json:"lowercase"`
}

func (n *bertNormalizer) normalize(w *work) {
	if !anyPiece(w, notASCII) {
		w.rewrite(func(p piece) { n.ascii(w, p.end) })
		return
	}
	if n.CleanText || n.HandleChineseChars {
		w.rewrite(func(p piece) { n.clean(w, p.end) })
	}
	accents := n.Lowercase
	if n.StripAccents != nil {
		accents = *n.StripAccents
	}
	if accents {
		newUnicodeForm("NFD").normalize(w)
		stripClass(clsMark).normalize(w)
	}
	if n.Lowercase {
		lowercase{}.normalize(w)
	}
}

func notASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// ascii does all steps at once; only spaces, controls and case matter.
func (n *bertNormalizer) ascii(w *work, end int) {
	for ; w.pos < end; w.pos++ {
		c := w.text[w.pos]
		if n.CleanText && (c < ' ' || c == 0x7F) {
			if c != '\t' && c != '\n' && c != '\r' {
				continue
			}
			c = ' '
		}
		if n.Lowercase && c-'A' < 26 {
			c += 'a' - 'A'
		}
		w.nextText = append(w.nextText, c)
		if w.track {
			w.nextOrigin = append(w.nextOrigin, w.origin[w.pos])
		}
	}
}

func (n *bertNormalizer) clean(w *work, end int) {
	table := classes()
	for w.pos < end {
		r, size := utf8.DecodeRune(w.text[w.pos:])
		c := table.of(r)
		switch {
		case n.CleanText && c&clsControl != 0:
			w.drop(size)
		case n.CleanText && c&clsSpace != 0:
			w.put(' ', 0)
		case n.HandleChineseChars && isIdeograph(r):
			w.put(' ', 0)
			w.put(r, 1)
			w.put(' ', 1)
		default:
			w.keep(size)
		}
	}
}

// isIdeograph says whether r is in one of the blocks that BERT puts spaces around (not all of today's).
func isIdeograph(r rune) bool {
	switch {
	case r < 0x3400:
		return false
	case r <= 0x4DBF, r >= 0x4E00 && r <= 0x9FFF, r >= 0xF900 && r <= 0xFAFF:
		return true
	case r >= 0x20000 && r <= 0x2A6DF, r >= 0x2A700 && r <= 0x2B73F, r >= 0x2B740 && r <= 0x2B81F:
		return true
	}
	return r >= 0x2B920 && r <= 0x2CEAF || r >= 0x2F800 && r <= 0x2FA1F
}
