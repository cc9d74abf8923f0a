package tokenizer

import "unicode/utf8"

// Span is a half-open range [Start, End) of code points of a text.
type Span struct{ Start, End int }

// Encoding is the result of encoding a text or a pair of texts. All slices have one element a token.
type Encoding struct {
	IDs      []int32
	Offsets  []Span  // where the token is in its text; 0, 0 for those that the post-processor added
	TypeIDs  []int32 // which segment, for models that want to know: 0 or 1
	Sequence []int8  // which text the token is from: 0 or 1, -1 for added ones
	Special  []bool  // added by the post-processor
}

// segment is a run of tokens on the way through the post-processors.
type segment struct {
	seq     int // 0 or 1, -1 for special tokens
	ids     []int32
	offsets []Span
	typeID  int32
	tokens  func(i int) []byte // the string of token i, with the white space that an added token took
}

// Encode turns text into tokens with offsets. With addSpecial the post-processor adds its tokens ([CLS], <s>, ...).
// Special tokens that are written in text are recognised in any case.
func (t *Tokenizer) Encode(text string, addSpecial bool) Encoding {
	return t.finish([]segment{t.segment(text, 0)}, addSpecial)
}

// EncodePair encodes two texts for a model that reads them together, such as a question and its context.
func (t *Tokenizer) EncodePair(a, b string, addSpecial bool) Encoding {
	return t.finish([]segment{t.segment(a, 0), t.segment(b, 1)}, addSpecial)
}

func (t *Tokenizer) finish(parts []segment, addSpecial bool) Encoding {
	for _, p := range t.post {
		parts = p.process(parts, addSpecial)
	}
	n := 0
	for _, p := range parts {
		n += len(p.ids)
	}
	e := Encoding{make([]int32, 0, n), make([]Span, 0, n), make([]int32, 0, n), make([]int8, 0, n), make([]bool, 0, n)}
	for _, p := range parts {
		e.IDs = append(e.IDs, p.ids...)
		for i := range p.ids {
			var o Span
			if p.seq >= 0 {
				o = p.offsets[i]
			}
			e.Offsets = append(e.Offsets, o)
			e.TypeIDs = append(e.TypeIDs, p.typeID)
			e.Sequence = append(e.Sequence, int8(p.seq))
			e.Special = append(e.Special, p.seq < 0)
		}
	}
	return e
}

// segment encodes one text with offsets.
func (t *Tokenizer) segment(text string, seq int) segment {
	text = validText(text)
	w := t.work(text, true)
	defer t.pool.Put(w)
	s := segment{seq: seq, typeID: int32(seq), ids: append([]int32(nil), w.out.ids...), offsets: make([]Span, len(w.out.ids))}
	added := map[int][]byte{}
	place := newPlaces(text)
	for i, o := range w.out.spans {
		s.offsets[i] = w.codePoints(o, place)
		if o.added {
			added[i] = append([]byte(nil), w.text[o.start:o.end]...)
		}
	}
	s.tokens = func(i int) []byte {
		if token, ok := added[i]; ok {
			return token
		}
		token, _ := t.vocab.token(s.ids[i])
		return token
	}
	return s
}

// codePoints turns a range of the working text into one of code points of the original.
func (w *work) codePoints(o tokenSpan, place places) Span {
	if o.end > len(w.text) || o.start >= o.end {
		return Span{o.start, o.end}
	}
	return Span{place.of(w.source(o.start).start), place.of(w.source(o.end - 1).end)}
}

// places counts code points before a byte of a text; nil stands for ASCII, where nothing needs counting.
type places []uint32

func newPlaces(text string) places {
	if len(text) == utf8.RuneCountInString(text) {
		return nil
	}
	p := make(places, len(text)+1)
	n := uint32(0)
	for i := range len(text) {
		p[i] = n
		if i+1 == len(text) || utf8.RuneStart(text[i+1]) {
			n++
		}
	}
	p[len(text)] = n
	return p
}

func (p places) of(i uint32) int {
	if p == nil {
		return int(i)
	}
	return int(p[i])
}

// validText replaces each byte that is not UTF-8 by U+FFFD.
func validText(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}
