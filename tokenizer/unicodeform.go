package tokenizer

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// unicodeForm is one of NFC, NFD, NFKC, NFKD (Unicode Standard Annex 15). Package norm finds what is not normal and
// knows the tables; decomposing, ordering and composing are done here, because each code point must say what it
// came from, and because norm breaks runs of more than 30 marks, which the reference does not.
type unicodeForm struct {
	form    norm.Form // of the result
	parts   norm.Form // its decomposed companion
	compose bool
}

func newUnicodeForm(kind string) unicodeForm {
	switch kind {
	case "NFC":
		return unicodeForm{norm.NFC, norm.NFD, true}
	case "NFD":
		return unicodeForm{norm.NFD, norm.NFD, false}
	case "NFKC":
		return unicodeForm{norm.NFKC, norm.NFKD, true}
	}
	return unicodeForm{norm.NFKD, norm.NFKD, false}
}

func (n unicodeForm) normalize(w *work) {
	if !anyPiece(w, func(text []byte) bool { return !n.form.IsNormal(text) }) {
		return
	}
	var c composer
	w.rewrite(func(p piece) {
		for w.pos < p.end {
			w.keep(n.form.QuickSpan(w.text[w.pos:p.end]))
			if w.pos == p.end {
				break
			}
			end := n.boundary(w.text[:p.end], w.pos)
			c.decompose(n, w.text[w.pos:end])
			if n.compose {
				c.compose()
			}
			for _, m := range c.marks {
				w.put(m.r, m.change)
			}
			w.drop(end - w.pos)
		}
	})
}

// boundary returns the end of the stretch from i on that has to be handled together: up to the next code point that
// neither combines with what is before it nor is reordered.
func (n unicodeForm) boundary(text []byte, i int) int {
	for first := true; i < len(text); first = false {
		if !first && n.form.Properties(text[i:]).BoundaryBefore() {
			break
		}
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return i
}

// mark is a code point with its combining class and its relation to the text, see work.put.
type mark struct {
	r      rune
	ccc    uint8
	change int
}

// composer holds one stretch of text while it is normalised.
type composer struct{ marks, out []mark }

// decompose fills marks with the decomposition of text in canonical order.
func (c *composer) decompose(n unicodeForm, text []byte) {
	c.marks = c.marks[:0]
	table := classes()
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		p := n.parts.Properties(text[i:])
		i += size
		d := p.Decomposition()
		if r >= 0xAC00 && r <= 0xD7A3 {
			d = n.parts.AppendString(nil, string(r))
		}
		if d == nil || table.of(r)&clsUndecomp != 0 {
			c.marks = append(c.marks, mark{r, p.CCC(), 0})
		} else {
			for j, r := range string(d) {
				c.marks = append(c.marks, mark{r, n.parts.PropertiesString(string(r)).CCC(), min(j, 1)})
			}
		}
	}
	start := 0
	for i := range c.marks {
		m := &c.marks[i]
		if m.ccc != 0 && table.of(m.r)&clsUnordered != 0 {
			m.ccc = 0
		}
		if m.ccc == 0 {
			sortMarks(c.marks[start:i])
			start = i + 1
		}
	}
	sortMarks(c.marks[start:])
}

func sortMarks(m []mark) {
	if len(m) > 1 {
		slices.SortStableFunc(m, func(a, b mark) int { return int(a.ccc) - int(b.ccc) })
	}
}

// compose joins each starter with the marks behind it, unless one in between blocks them.
func (c *composer) compose() {
	out := c.out[:0]
	starter, last := -1, uint8(0) // index in out; class of the last mark kept behind it
	for _, m := range c.marks {
		adjacent := starter >= 0 && len(out) == starter+1
		if starter >= 0 && (adjacent || last < m.ccc) {
			if r := pair(out[starter].r, m.r); r >= 0 {
				out[starter].r = r
				out[starter].change += m.change - 1
				continue
			}
		}
		if m.ccc == 0 {
			starter = len(out)
		}
		last = m.ccc
		out = append(out, m)
	}
	c.marks, c.out = out, c.marks
}

// pair returns the primary composite of a and b, -1 if there is none.
func pair(a, b rune) rune {
	if a >= 0xAC00 && a <= 0xD7A3 || b < 0x300 { // a syllable takes only a trailing consonant; ASCII combines with nothing
		if (a-0xAC00)%28 != 0 || b <= 0x11A7 || b > 0x11C2 {
			return -1
		}
	}
	var buf [16]byte
	s := utf8.AppendRune(utf8.AppendRune(buf[:0], a), b)
	var dst [16]byte
	d := norm.NFC.Append(dst[:0], s...)
	r, n := utf8.DecodeRune(d)
	if n != len(d) || r == 0x11938 { // U+11938 is newer than the tables of the reference
		return -1
	}
	return r
}
