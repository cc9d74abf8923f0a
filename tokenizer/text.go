package tokenizer

import "unicode/utf8"

// span is a range of bytes of the original text.
type span struct{ start, end uint32 }

// piece is a range of the working text that is still to be cut, or an added token that was found.
type piece struct {
	start, end int
	token      int32 // id of the added token, -1 for text
}

// work is the state of one encoding run: the text as it is now and how it is cut. Its buffers are reused.
type work struct {
	text   []byte
	origin []span // for each byte of text the original code point it came from; nil while text is the original
	pieces []piece
	track  bool // origin is wanted

	// The other halves of the double buffers.
	nextText   []byte
	nextOrigin []span
	nextPieces []piece

	// The piece being rewritten: its bounds, the next byte to consume, its place in the original.
	start, end, pos int
	base            uint32

	matches []match
	runes   []rune

	word found  // of the word at hand
	out  tokens // of the run
}

// begin starts a run on text; the caller makes sure that it is valid UTF-8.
func (w *work) begin(text string, track bool) {
	w.text = append(w.text[:0], text...)
	if w.origin != nil {
		w.nextOrigin = w.origin
	}
	w.origin, w.track = nil, track
	w.pieces = append(w.pieces[:0], piece{0, len(text), -1})
	w.out.reset(track)
}

// source returns the original code point of byte i of the working text.
func (w *work) source(i int) span {
	if w.origin != nil {
		return w.origin[i]
	}
	start, end := i, i+1
	for start > 0 && !utf8.RuneStart(w.text[start]) {
		start--
	}
	for end < len(w.text) && !utf8.RuneStart(w.text[end]) {
		end++
	}
	return span{uint32(start), uint32(end)}
}

// cut replaces each text piece by what f appends for it. Empty pieces vanish.
func (w *work) cut(f func(p piece, dst []piece) []piece) {
	next := w.nextPieces[:0]
	for _, p := range w.pieces {
		if p.token >= 0 {
			next = append(next, p)
			continue
		}
		kept := len(next)
		next = f(p, next)
		for _, q := range next[kept:] {
			if q.end > q.start {
				next[kept] = q
				kept++
			}
		}
		next = next[:kept]
	}
	w.pieces, w.nextPieces = next, w.pieces
}

// rewrite replaces the text of each text piece by what f writes. f consumes the piece with keep, drop and put.
func (w *work) rewrite(f func(p piece)) {
	if w.track && w.origin == nil {
		w.origin = identity(w.nextOrigin, w.text)
		w.nextOrigin = nil
	}
	w.nextText, w.nextOrigin = w.nextText[:0], w.nextOrigin[:0]
	kept := 0
	for _, p := range w.pieces {
		start := len(w.nextText)
		w.start, w.end, w.pos = p.start, p.end, p.start
		if w.track {
			w.base = w.origin[p.start].start
		}
		if p.token >= 0 {
			w.keep(p.end - p.start)
		} else {
			f(p)
		}
		if q := (piece{start, len(w.nextText), p.token}); q.end > q.start || q.token >= 0 {
			w.pieces[kept] = q
			kept++
		}
	}
	w.pieces = w.pieces[:kept]
	w.text, w.nextText = w.nextText, w.text
	if w.track {
		w.origin, w.nextOrigin = w.nextOrigin, w.origin
	}
}

func identity(dst []span, text []byte) []span {
	dst = dst[:0]
	for i := 0; i < len(text); {
		_, n := utf8.DecodeRune(text[i:])
		for range n {
			dst = append(dst, span{uint32(i), uint32(i + n)})
		}
		i += n
	}
	if dst == nil {
		dst = []span{}
	}
	return dst
}

// keep copies the next n bytes.
func (w *work) keep(n int) {
	w.nextText = append(w.nextText, w.text[w.pos:w.pos+n]...)
	if w.track {
		w.nextOrigin = append(w.nextOrigin, w.origin[w.pos:w.pos+n]...)
	}
	w.pos += n
}

// drop consumes the next n bytes without a trace.
func (w *work) drop(n int) { w.pos += n }

// put writes r. change tells how it relates to the text: 0, it stands for the next code point; 1, it is new and
// belongs to what was consumed last; -n, it stands for the next code point and the n after it are consumed too.
func (w *work) put(r rune, change int) {
	n := len(w.nextText)
	w.nextText = utf8.AppendRune(w.nextText, r)
	if w.track {
		var from span
		switch {
		case change <= 0 && w.pos < w.end:
			from = w.origin[w.pos]
		case w.pos > w.start:
			from = w.origin[w.pos-1]
		default:
			from = span{w.base, w.base}
		}
		for range len(w.nextText) - n {
			w.nextOrigin = append(w.nextOrigin, from)
		}
	}
	for ; change <= 0 && w.pos < w.end; change++ {
		_, size := utf8.DecodeRune(w.text[w.pos:w.end])
		w.pos += size
	}
}

// write inserts s after what was consumed last.
func (w *work) write(s string) {
	for _, r := range s {
		w.put(r, 1)
	}
}

// tokens is what a run has produced. Where the run keeps track, spans holds for each token the bytes of the working
// text that it covers.
type tokens struct {
	ids   []int32
	spans []tokenSpan
	track bool
	base  int // start of the word being encoded
}

type tokenSpan struct {
	start, end int
	added      bool // an added token found in the text
}

func (t *tokens) reset(track bool) {
	t.ids, t.spans, t.track, t.base = t.ids[:0], t.spans[:0], track, 0
}

// add appends the tokens of a word.
func (t *tokens) add(ids []int32, spans []wordSpan) {
	t.ids = append(t.ids, ids...)
	if t.track {
		for _, s := range spans {
			t.spans = append(t.spans, tokenSpan{t.base + int(s.start), t.base + int(s.end), false})
		}
	}
}

// addToken appends an added token.
func (t *tokens) addToken(p piece) {
	t.ids = append(t.ids, p.token)
	if t.track {
		t.spans = append(t.spans, tokenSpan{p.start, p.end, true})
	}
}
