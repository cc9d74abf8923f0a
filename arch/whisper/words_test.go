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
