package whisper

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// Tokens of the tests: 0-9 text, 10 end, 11 start, 12 no timestamps, 13-22 timestamps.
var testTokens = special{end: 10, start: 11, noTimestamps: 12, instant: 13}

const (
	testVocab = 23
	ts        = 13
)

// TestRules checks which tokens are allowed after a text.
func TestRules(t *testing.T) {
	initial := 3
	g := &generation{SuppressTokens: []int32{4, 11}, BeginSuppressTokens: []int32{5}, MaxInitialTimestampIndex: &initial}
	last := int32(1500)
	allowed := func(timestamps bool, text []int32, boost ...int) []int {
		logits := make([]float32, testVocab)
		for i := range logits[:ts] {
			logits[i] = 5 // so that all timestamps together stay less likely
		}
		for _, i := range boost {
			logits[i] = 9
		}
		r := rules{&testTokens, g, timestamps, last}
		r.apply(logits, text)
		var ids []int
		for i, x := range logits {
			if !math.IsInf(float64(x), -1) {
				ids = append(ids, i)
			}
		}
		return ids
	}
	words := []int{0, 1, 2, 3, 5, 6, 7, 8, 9, 10} // and the end
	for _, c := range []struct {
		timestamps bool
		text       []int32
		boost      []int
		want       []int
	}{
		{false, nil, nil, []int{0, 1, 2, 3, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22}},
		{true, nil, nil, []int{13, 14, 15, 16}},                                                  // the first is a timestamp, soon after 0
		{true, []int32{14}, nil, words},                                                          // no second timestamp
		{true, []int32{14, 1}, nil, append(slices.Clone(words), 15, 16, 17, 18, 19, 20, 21, 22)}, // later than the first
		{true, []int32{14, 1, 17}, nil, []int{10, 17, 18, 19, 20, 21, 22}},                       // its pair, or the end
		{true, []int32{14, 1, 17, 17}, nil, words},
		{true, []int32{14, 1, 17, 17, 2}, nil, append(slices.Clone(words), 18, 19, 20, 21, 22)},
		{true, []int32{14, 1}, []int{20}, []int{15, 16, 17, 18, 19, 20, 21, 22}}, // a likely timestamp hides text
	} {
		if got := allowed(c.timestamps, c.text, c.boost...); !slices.Equal(got, c.want) {
			t.Errorf("after %v: %v, want %v", c.text, got, c.want)
		}
	}
	last = 4 // a short sound
	for _, c := range []struct{ text, want []int }{
		{[]int{14, 1}, append(slices.Clone(words), 15, 16, 17)},
		{[]int{14, 1, 17}, []int{10, 17}},
		{[]int{14, 1, 17, 17, 2}, words},
	} {
		var text []int32
		for _, id := range c.text {
			text = append(text, int32(id))
		}
		if got := allowed(true, text); !slices.Equal(got, c.want) {
			t.Errorf("within a short sound, after %v: %v, want %v", c.text, got, c.want)
		}
	}
}

// TestCut checks how a window's text becomes segments.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		ids     []int32
		frames  int
		want    string
		advance int
	}{
		{[]int32{13, 1, 2, 17}, 20, "[{[13 1 2 17] 0 4}]", 20},
		{[]int32{13, 1, 2}, 20, "[{[13 1 2] 0 10}]", 20},                                 // no end: the window's
		{[]int32{13, 1, 15, 15, 2, 18}, 20, "[{[13 1 15] 0 2} {[15 2 18] 2 5}]", 20},     // complete
		{[]int32{13, 1, 15, 15, 2}, 20, "[{[13 1 15] 0 2}]", 4},                          // the second is cut off
		{[]int32{13, 1, 15, 16, 2, 18, 18}, 20, "[{[13 1 15] 0 2} {[16 2 18] 3 5}]", 10}, // nothing after the last
		{nil, 20, "[{[] 0 10}]", 20},
	} {
		spans, advance := testTokens.cut(c.ids, c.frames)
		if got := fmt.Sprint(spans); got != c.want || advance != c.advance {
			t.Errorf("%v: %s and %d frames, want %s and %d", c.ids, got, advance, c.want, c.advance)
		}
	}
}
