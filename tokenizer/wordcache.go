package tokenizer

import "sync/atomic"

const (
	cacheSlots   = 1 << 15 // entries of a word cache
	cacheMaxWord = 64      // bytes of a word worth keeping
)

// wordCache remembers the tokens of words. Each word has one slot, by its hash, and a newcomer takes it: the size is
// bounded, reading and writing need no lock.
type wordCache struct {
	slots [cacheSlots]atomic.Pointer[cachedWord]
}

type cachedWord struct {
	word  string
	ids   []int32
	spans []wordSpan
}

// encode appends the tokens of word to the output of the run, from the cache or by the model.
func (c *wordCache) encode(w *work, m model, word []byte) {
	h := hash(word)
	slot := &c.slots[h%cacheSlots]
	if e := slot.Load(); e != nil && e.word == string(word) {
		w.out.add(e.ids, e.spans)
		return
	}
	w.word.reset()
	m.encode(&w.word, word)
	w.out.add(w.word.ids, w.word.spans)
	if len(word) <= cacheMaxWord {
		e := &cachedWord{word: string(word)}
		e.ids = append(e.ids, w.word.ids...)
		e.spans = append(e.spans, w.word.spans...)
		slot.Store(e)
	}
}
