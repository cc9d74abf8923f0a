package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is a set of properties of a code point.
type class uint16

const (
	clsLetter    class = 1 << iota // \p{L} in regular expressions
	clsNumber                      // \p{N} in regular expressions
	clsSpace                       // White_Space, the \s of regular expressions
	clsPunct                       // ASCII punctuation and P
	clsNumeric                     // Nd, Nl, No
	clsWord                        // \w of the Whitespace pre-tokenizer
	clsControl                     // dropped by BertNormalizer
	clsMark                        // Mn
	clsCombining                   // M
	clsUnordered                   // has a combining class in newer Unicode only
	clsUndecomp                    // decomposes in newer Unicode only
)

// runeRange says that a table of Go and the reference library differ from lo to hi, and what the library says.
type runeRange struct {
	lo, hi rune
	on     bool
}

// classTable maps each code point to its class through pages of 256.
type classTable struct {
	page  [(unicode.MaxRune + 1) >> 8]uint16
	pages [][256]class
}

// classes is built once, on first use: Go's tables and the differences to them.
var classes = sync.OnceValue(func() *classTable {
	t := &classTable{pages: make([][256]class, 1, 400)}
	t.add(clsLetter, letterDiff, unicode.L)
	t.add(clsNumber, numberDiff, unicode.N)
	t.add(clsSpace, nil, unicode.White_Space)
	t.add(clsPunct, nil, unicode.P)
	for _, r := range "$+<=>^`|~" { // ASCII symbols count as punctuation
		t.set(r, clsPunct, true)
	}
	t.add(clsPunct, punctDiff)
	t.add(clsNumeric, numericDiff, unicode.N)
	t.add(clsWord, wordDiff, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
	t.add(clsControl, controlRanges)
	t.add(clsMark, markDiff, unicode.Mn)
	t.add(clsCombining, combiningDiff, unicode.M)
	t.add(clsUnordered, unordered)
	t.add(clsUndecomp, undecomposed)
	return t
})

func (t *classTable) add(c class, diff []runeRange, tables ...*unicode.RangeTable) {
	for _, table := range tables {
		for _, r := range table.R16 {
			for x := rune(r.Lo); x <= rune(r.Hi); x += rune(r.Stride) {
				t.set(x, c, true)
			}
		}
		for _, r := range table.R32 {
			for x := rune(r.Lo); x <= rune(r.Hi); x += rune(r.Stride) {
				t.set(x, c, true)
			}
		}
	}
	for _, d := range diff {
		for x := d.lo; x <= d.hi; x++ {
			t.set(x, c, d.on)
		}
	}
}

func (t *classTable) set(r rune, c class, on bool) {
	p := t.page[r>>8]
	if p == 0 { // page 0 of the list is the empty one
		p = uint16(len(t.pages))
		t.pages = append(t.pages, [256]class{})
		t.page[r>>8] = p
	}
	if on {
		t.pages[p][r&255] |= c
	} else {
		t.pages[p][r&255] &^= c
	}
}

// of returns the class of a valid code point.
func (t *classTable) of(r rune) class {
	return t.pages[t.page[r>>8]][r&255]
}

// at returns the class and the length of the code point at text[i:]; 0, 0 at the end.
func (t *classTable) at(text []byte, i int) (class, int) {
	if i >= len(text) {
		return 0, 0
	}
	if b := text[i]; b < utf8.RuneSelf {
		return t.pages[t.page[0]][b], 1
	}
	r, n := utf8.DecodeRune(text[i:])
	return t.of(r), n
}

// lower appends the lower case of r to dst: one code point, two for U+0130.
func lower(dst []rune, r rune) []rune {
	if r == 0x130 {
		return append(dst, 'i', 0x307)
	}
	l := unicode.ToLower(r)
	if l == r && r > utf8.RuneSelf {
		if d, ok := lowerDiff[r]; ok {
			l = d
		}
	}
	return append(dst, l)
}
