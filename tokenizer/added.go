package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// AddedToken is a token that is recognised in the text before the model sees it.
type AddedToken struct {
	ID         int32  `json:"-"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // not inside a word
	LStrip     bool   `json:"lstrip"`      // takes the white space on its left
	RStrip     bool   `json:"rstrip"`      // takes the white space on its right
	Normalized bool   `json:"normalized"`  // looked for in the normalised text
	Special    bool   `json:"special"`     // left out by Decode when asked
}

// addedTokens is what is looked for in the text besides the vocabulary of the model.
type addedTokens struct {
	list    []AddedToken // in the order of the file
	ids     map[string]int32
	byID    map[int32]int // index in list
	special map[string]bool
	decoded map[int32]string // normalised contents where they differ
	raw     trie             // of those looked for in the text as it is
	normal  trie             // of those looked for in the normalised text
}

// newAddedTokens numbers the tokens: one that the model knows keeps that id, the others follow in order (the ids
// written in the file agree with this in all files that the library wrote). norm normalises a token's content.
func newAddedTokens(list []AddedToken, v *vocab, norm func(string) string) *addedTokens {
	a := &addedTokens{ids: map[string]int32{}, byID: map[int32]int{}, special: map[string]bool{}, decoded: map[int32]string{}}
	next := int32(v.len())
	for _, t := range list {
		if t.Content == "" {
			continue
		}
		id, known := a.ids[t.Content]
		if !known {
			id, known = v.id([]byte(t.Content))
		}
		if !known {
			id = next
			next++
		}
		t.ID = id
		a.ids[t.Content] = id
		if t.Special {
			a.special[t.Content] = true
		}
		if i, again := a.byID[id]; again {
			a.list[i] = t
			continue
		}
		a.byID[id] = len(a.list)
		a.list = append(a.list, t)
	}
	for _, t := range a.list {
		if !t.Normalized {
			a.raw.add([]byte(t.Content), t.ID)
			continue
		}
		content := norm(t.Content)
		if content != t.Content {
			a.decoded[t.ID] = content
		}
		if content != "" {
			a.normal.add([]byte(content), t.ID)
		}
	}
	return a
}

// token returns the string that stands for id in decoding.
func (a *addedTokens) token(id int32) (string, bool) {
	if s, ok := a.decoded[id]; ok {
		return s, true
	}
	if i, ok := a.byID[id]; ok {
		return a.list[i].Content, true
	}
	return "", false
}

// split cuts the added tokens of t out of the piece p: leftmost, then longest match.
func (a *addedTokens) split(text []byte, p piece, t *trie, dst []piece) []piece {
	if t.empty() {
		return append(dst, p)
	}
	text = text[:p.end]
	done := p.start
	for i := p.start; i < p.end; {
		i += t.first.index(text[i:])
		id, n := t.longest(text[i:])
		if n == 0 {
			i++
			continue
		}
		start, stop := i, i+n
		i = stop
		token := &a.list[a.byID[id]]
		if token.SingleWord && (wordBefore(text[p.start:start]) || wordAfter(text[stop:])) {
			continue
		}
		if token.LStrip {
			start = max(start-spaceBefore(text[p.start:start]), done)
		}
		if token.RStrip {
			stop += spaceAfter(text[stop:])
		}
		if done < start {
			dst = append(dst, piece{done, start, -1})
		}
		dst = append(dst, piece{start, stop, id})
		done = stop
	}
	if done < p.end {
		dst = append(dst, piece{done, p.end, -1})
	}
	return dst
}

func wordBefore(text []byte) bool {
	r, n := utf8.DecodeLastRune(text)
	return n > 0 && classes().of(r)&clsWord != 0
}

func wordAfter(text []byte) bool {
	r, n := utf8.DecodeRune(text)
	return n > 0 && classes().of(r)&clsWord != 0
}

// spaceBefore returns the length of the white space at the end of text.
func spaceBefore(text []byte) int {
	return len(text) - len(bytes.TrimRightFunc(text, isSpace))
}

// spaceAfter returns the length of the white space at the start of text.
func spaceAfter(text []byte) int {
	return len(text) - len(bytes.TrimLeftFunc(text, isSpace))
}
