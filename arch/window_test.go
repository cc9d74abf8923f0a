package arch

import (
	"slices"
	"testing"

	"emily/tokenizer"
)

// TestCutWindows checks that windows cover the text, overlap as asked and keep
// what stands around the text.
func TestCutWindows(t *testing.T) {
	pair := func(n int) (e tokenizer.Encoding) { // [CLS] q q [SEP] text... [SEP]
		add := func(id int32, sequence int8) {
			e.IDs, e.Sequence, e.TypeIDs = append(e.IDs, id), append(e.Sequence, sequence), append(e.TypeIDs, int32(max(0, sequence)))
		}
		add(101, -1)
		add(1, 0)
		add(2, 0)
		add(102, -1)
		for i := range n {
			add(int32(1000+i), 1)
		}
		add(102, -1)
		return e
	}
	for _, c := range []struct{ text, size, stride, windows int }{
		{1, 6, 3, 1}, {20, 25, 8, 1}, {20, 24, 8, 2}, {100, 25, 10, 9}, {100, 6, 50, 100}, {100, 15, 0, 10},
	} {
		e := pair(c.text)
		windows, err := cutWindows(e, c.size, c.stride)
		if err != nil || len(windows) != c.windows {
			t.Errorf("%+v: %d windows, %v", c, len(windows), err)
			continue
		}
		next := 4
		for i, w := range windows {
			ids := w.tokens.IDs
			if len(ids) > c.size || !slices.Equal(ids[:4], e.IDs[:4]) || ids[len(ids)-1] != 102 || w.first != 4 || len(w.tokens.TypeIDs) != len(ids) {
				t.Errorf("%+v: window %d is %v", c, i, ids)
			}
			if w.offset > next || !slices.Equal(ids[4:4+w.n], e.IDs[w.offset:w.offset+w.n]) {
				t.Errorf("%+v: window %d starts at %d after %d", c, i, w.offset, next)
			}
			next = w.offset + w.n
		}
		if next != 4+c.text {
			t.Errorf("%+v: the windows end at %d", c, next)
		}
	}
}
