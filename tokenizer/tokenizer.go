package tokenizer

import (
	"slices"
	"sync"
)

// Tokenizer turns text into token ids and back. It is immutable and safe for concurrent use.
type Tokenizer struct {
	added      *addedTokens
	normalizer normalizer // nil: none
	pre        []preTokenizer
	model      model
	vocab      *vocab
	cache      *wordCache
	post       []postProcessor
	decoders   []decoder
	hasDecoder bool
	maxLength  int
	needOrigin bool // the pre-tokenizer asks whether a piece is at the start of the text

	pool sync.Pool // of *work
}

// work runs text through the steps up to the model. The caller gives the result back to the pool.
func (t *Tokenizer) work(text string, track bool) *work {
	w, _ := t.pool.Get().(*work)
	if w == nil {
		w = &work{}
	}
	w.begin(text, track || t.needOrigin)
	w.cut(func(p piece, dst []piece) []piece { return t.added.split(w.text, p, &t.added.raw, dst) })
	if t.normalizer != nil {
		t.normalizer.normalize(w)
	}
	if !t.added.normal.empty() {
		w.cut(func(p piece, dst []piece) []piece { return t.added.split(w.text, p, &t.added.normal, dst) })
	}
	for _, p := range t.pre {
		p.preTokenize(w)
	}
	for _, p := range w.pieces {
		if p.token >= 0 {
			w.out.addToken(p)
			continue
		}
		w.out.base = p.start
		t.cache.encode(w, t.model, w.text[p.start:p.end])
	}
	return w
}

// AppendIDs appends the ids of text to dst. It gives the ids that Encode gives, without the work for offsets.
func (t *Tokenizer) AppendIDs(dst []int32, text string, addSpecial bool) []int32 {
	w := t.work(validText(text), false)
	defer t.pool.Put(w)
	parts := []segment{{ids: w.out.ids}}
	for _, p := range t.post {
		parts = p.process(parts, addSpecial)
	}
	for _, p := range parts {
		dst = append(dst, p.ids...)
	}
	return dst
}

// ID returns the id of a token, added tokens included.
func (t *Tokenizer) ID(token string) (int32, bool) {
	if id, ok := t.added.ids[token]; ok {
		return id, true
	}
	return t.vocab.id([]byte(token))
}

// Token returns the string of an id as it stands in the vocabulary: byte-level tokens are not decoded.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if i, ok := t.added.byID[id]; ok {
		return t.added.list[i].Content, true
	}
	token, ok := t.vocab.token(id)
	return string(token), ok
}

// Size returns the number of different tokens, added tokens included. Ids can be larger where a vocabulary has holes.
func (t *Tokenizer) Size() int {
	n := t.vocab.len()
	for token := range t.added.ids {
		if _, ok := t.vocab.id([]byte(token)); !ok {
			n++
		}
	}
	return n
}

// Special says whether id is a special token, one that Decode can leave out.
func (t *Tokenizer) Special(id int32) bool {
	token, ok := t.Token(id)
	return ok && t.added.special[token]
}

// AddedTokens returns the tokens that are recognised in the text before the model sees it, in the order of the file.
func (t *Tokenizer) AddedTokens() []AddedToken { return slices.Clone(t.added.list) }

// SpecialTokens returns those of AddedTokens that are special.
func (t *Tokenizer) SpecialTokens() []AddedToken {
	return slices.DeleteFunc(t.AddedTokens(), func(a AddedToken) bool { return !a.Special })
}

// MaxLength returns the number of tokens that the file would truncate texts to, 0 if it does not say. Encode does
// not truncate.
func (t *Tokenizer) MaxLength() int { return t.maxLength }
