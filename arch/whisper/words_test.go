package whisper

import (
	"fmt"
	"testing"

	"emily/arch"
)

// TestJoin checks how parts of a text become words.
func TestJoin(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{[]string{" And", " Mr", ".", " Dash", "wood", ",", " then"}, `[" And" " Mr." " Dashwood," " then"]`},
		{[]string{" He", " said", " \"", "no", "\"", "."}, `[" He" " said" " \"no\"."]`},
		{[]string{" cold", "-", "hearted"}, `[" cold" "-hearted"]`},
		{[]string{" a", " ("}, `[" a" " ("]`},
		{[]string{"."}, `["."]`},
		{nil, `[]`},
	} {
		var parts []word
		for _, p := range c.parts {
			parts = append(parts, word{p, 1})
		}
		var texts []string
		tokens := 0
		for _, w := range joinPunctuation(joinUnspaced(parts)) {
			texts, tokens = append(texts, w.text), tokens+w.tokens
		}
		if got := fmt.Sprintf("%q", texts); got != c.want || tokens != len(c.parts) {
			t.Errorf("%q: %s with %d tokens, want %s", c.parts, got, tokens, c.want)
		}
	}
}

// TestTighten checks that only words beside pauses are cut, on the side of the pause.
func TestTighten(t *testing.T) {
	segments := []arch.Segment{
		{Words: []arch.Word{{Start: 0, End: 2, Text: " It"}, {Start: 2, End: 2.2, Text: " was"}, {Start: 2.2, End: 5, Text: " so."}, {Start: 5, End: 8, Text: " But"}, {Start: 8, End: 10, Text: " now"}}},
		{Words: []arch.Word{{Start: 10, End: 10.2, Text: " this"}, {Start: 10.2, End: 10.4, Text: " is"}, {Start: 10.4, End: 10.6, Text: " it"}, {Start: 10.6, End: 10.8, Text: " all"}}},
	}
	tighten(segments)
	want := "[1.6 2] [2 2.2] [2.2 2.6] [7.6 8] [8 10] [10 10.2] [10.2 10.4] [10.4 10.6] [10.6 10.8] "
	got := ""
	for _, s := range segments {
		for _, w := range s.Words {
			got += fmt.Sprintf("[%.4g %.4g] ", w.Start, w.End)
		}
	}
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	tighten(nil)
}

func TestBound(t *testing.T) {
	words := func(start, end float64) []arch.Word {
		return []arch.Word{{Start: start, End: 2}, {Start: 2, End: 3}, {Start: 3, End: end}}
	}
	for _, c := range []struct {
		name                  string
		segment, want         [2]float64 // its start and end
		from, to, first, last float64    // of the words, before and after
	}{
		{"words inside", [2]float64{1, 4}, [2]float64{1.2, 3.9}, 1.2, 3.9, 1.2, 3.9},
		{"words a little outside", [2]float64{1, 4}, [2]float64{0.8, 4.3}, 0.8, 4.3, 0.8, 4.3},
		{"silence at both ends", [2]float64{1, 4}, [2]float64{1, 4}, 0.2, 4.8, 1, 4},
		{"no word in the segment", [2]float64{7, 8}, [2]float64{1, 4}, 1, 4, 1, 4},
	} {
		s := arch.Segment{Start: c.segment[0], End: c.segment[1], Words: words(c.from, c.to)}
		bound(&s)
		if got := [2]float64{s.Start, s.End}; got != c.want || s.Words[0].Start != c.first || s.Words[2].End != c.last {
			t.Errorf("%s: %v, words from %g to %g, want %v, %g, %g", c.name, got, s.Words[0].Start, s.Words[2].End, c.want, c.first, c.last)
		}
	}
	bound(&arch.Segment{})
}
