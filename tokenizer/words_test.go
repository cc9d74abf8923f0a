package tokenizer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unicode"
)

// TestWords compares each hand-written matcher with the general engine on its pattern.
func TestWords(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for expr, word := range knownWords {
		general, err := newRegex(expr)
		if err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			text := []byte(randomText(r, 1+r.IntN(12)))
			got := word.find(text, 0, len(text), nil)
			want := general.find(text, 0, len(text), nil)
			if !slices.Equal(got, want) {
				t.Fatalf("%s on %q: %v, want %v", expr, text, got, want)
			}
		}
	}
}

func TestRegex(t *testing.T) {
	tests := []struct {
		expr, text string
		want       []string // the matches
	}{
		{`a++b?+`, "aab a", []string{"aab", "a"}},
		{`[^\s\p{L}]+`, "a-- b1", []string{"--", "1"}},
		{`^b$`, "a\nb\nc", []string{"b"}},
		{`(?i:k)`, "kK\u212Ax", []string{"k", "K", "\u212A"}},
		{`(?m:.)`, "\n", []string{"\n"}},
		{`.`, "a\nb", []string{"a", "b"}},
		{`\h+`, "xyz0aFg", []string{"0aF"}},
		{`x{,2}y`, "xxxy", []string{"xxy"}},
		{`(?<name>a)(?=b)`, "ac ab", []string{"a"}},
		{`[[:digit:]a-c]+`, "1bz2", []string{"1b", "2"}},
		{`\p{Han}+|\P{L}`, "日本a.", []string{"日本", "."}},
		{`\x41\u00e9\x{1F600}`, "Aé😀", []string{"Aé😀"}},
		{`b*`, "abb", []string{"", "bb"}},
	}
	for _, test := range tests {
		p, err := newRegex(test.expr)
		if err != nil {
			t.Errorf("%s: %v", test.expr, err)
			continue
		}
		var got []string
		for _, m := range p.find([]byte(test.text), 0, len(test.text), nil) {
			if m.is {
				got = append(got, test.text[m.start:m.end])
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s on %q: %q, want %q", test.expr, test.text, got, test.want)
		}
	}
	for _, expr := range []string{"(", "[", "a)", `\`, `\p{Nope}`, "[a&&b]", `(a)\1`, "[z-a]", "(?x:a)"} {
		if _, err := newRegex(expr); err == nil {
			t.Errorf("%s: no error", expr)
		}
	}
}

// TestClasses checks the classes against the tables of Go, which know all but the newest and some renamed code points.
func TestClasses(t *testing.T) {
	table := classes()
	letters, spaces := 0, 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if (table.of(r)&clsLetter != 0) != unicode.IsLetter(r) {
			letters++
		}
		if (table.of(r)&clsSpace != 0) != unicode.IsSpace(r) {
			spaces++
		}
	}
	if letters > 6000 || spaces > 0 {
		t.Errorf("%d letters and %d spaces differ", letters, spaces)
	}
	for r, want := range map[rune]class{'a': clsLetter | clsWord, '1': clsNumber | clsNumeric | clsWord, ' ': clsSpace, '.': clsPunct, '+': clsPunct, 'é': clsLetter | clsWord, 0x301: clsMark | clsCombining | clsWord} {
		if got := table.of(r); got != want {
			t.Errorf("class of %q is %b, want %b", r, got, want)
		}
	}
}
