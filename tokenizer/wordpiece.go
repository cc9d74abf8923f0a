package tokenizer

import "unicode/utf8"

// wordPiece takes the longest token that a word starts with, then the longest that the rest starts with, and so on; a
// word that cannot be covered becomes the unknown token.
type wordPiece struct {
	vocab    *vocab
	unk      int32
	hasUnk   bool
	prefix   string // of tokens that do not start a word
	maxChars int    // longer words are unknown
}

func newWordPiece(m *modelFields) *wordPiece {
	unk, ok := m.vocab.id([]byte(m.unk))
	return &wordPiece{m.vocab, unk, ok, m.prefix, int(min(m.maxChars, 1<<20))}
}

func (m *wordPiece) encode(f *found, word []byte) {
	if !m.pieces(f, word) {
		f.reset()
		if m.hasUnk {
			f.add(m.unk, 0, len(word))
		}
	}
}

func (m *wordPiece) pieces(f *found, word []byte) bool {
	if len(word) > m.maxChars && utf8.RuneCount(word) > m.maxChars {
		return false
	}
	// The word lies in buf behind room for a prefix; the prefix of a later piece overwrites what is done.
	n := len(m.prefix)
	buf := append(append(f.text[:0], m.prefix...), word...)
	f.text = buf
	for start := 0; start < len(word); {
		from := start + n
		if start > 0 {
			from = start
			copy(buf[from:], m.prefix)
		}
		end := min(len(buf), from+m.vocab.maxLen)
		for {
			for end < len(buf) && !utf8.RuneStart(buf[end]) {
				end--
			}
			if end <= start+n {
				return false
			}
			if id, ok := m.vocab.id(buf[from:end]); ok {
				f.add(id, start, end-n)
				start = end - n
				break
			}
			end--
		}
	}
	return true
}
