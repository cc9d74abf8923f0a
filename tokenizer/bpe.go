package tokenizer

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// bpe is byte-pair encoding (Sennrich et al., 2016, https://arxiv.org/abs/1508.07909): a word starts as its code points,
// and the pair of neighbours with the lowest rank is joined until no pair can be.
type bpe struct {
	vocab        *vocab
	merges       pairTable
	unk          int32
	hasUnk       bool
	fuseUnk      bool
	byteFallback bool
	ignoreMerges bool // a word in the vocabulary is that token
	prefix       string
	suffix       string

	bytes     bool       // words come as raw bytes, see byteLevel
	ofByte    [256]int32 // the token of each byte, where bytes is possible
	ofChar    [128]int32 // the token of each ASCII character without prefix and suffix, -1 if there is none
	fallbacks [256]int32 // the tokens <0x00> to <0xFF>, -1
}

func newBPE(f *modelFields) (*bpe, error) {
	if f.dropout > 0 {
		return nil, errors.New("dropout is random and meant for training; set it to null")
	}
	if f.merges == nil {
		return nil, errors.New("merges are missing")
	}
	m := &bpe{vocab: f.vocab, fuseUnk: f.fuseUnk, byteFallback: f.byteFallback, ignoreMerges: f.ignoreMerges, prefix: f.prefix, suffix: f.suffix}
	m.unk, m.hasUnk = f.vocab.id([]byte(f.unk))
	for c := range m.ofChar {
		m.ofChar[c] = m.lookup([]byte{byte(c)})
	}
	for b := range m.fallbacks {
		m.fallbacks[b] = m.lookup(fmt.Appendf(nil, "<0x%02X>", b))
	}
	return m, m.readMerges(f.merges)
}

func (m *bpe) lookup(token []byte) int32 {
	if id, ok := m.vocab.id(token); ok {
		return id
	}
	return -1
}

// useBytes makes the model take raw bytes instead of the code points that stand for them. It refuses if a byte
// has no token, or if tokens are decorated.
func (m *bpe) useBytes() bool {
	if m.prefix != "" || m.suffix != "" {
		return false
	}
	for b, r := range byteToChar {
		id, ok := m.vocab.id([]byte(string(r)))
		if !ok {
			return false
		}
		m.ofByte[b] = id
	}
	m.bytes = true
	return true
}

// readMerges reads ["a b", ...] or [["a", "b"], ...]; the rank is the place in the list.
func (m *bpe) readMerges(raw []byte) error {
	s := scanner{data: raw}
	m.merges.init(len(raw) / 16)
	var joined []byte
	rank := uint32(0)
	return s.list(func([]byte) error {
		var split int
		var err error
		joined, split, err = s.merge(joined[:0])
		if err != nil {
			return err
		}
		if split < 0 { // a comment line of a merges.txt
			return nil
		}
		a, okA := m.vocab.id(joined[:split])
		b, okB := m.vocab.id(joined[split:])
		if !okA || !okB {
			return fmt.Errorf("merge %d: %q or %q is not in the vocabulary", rank, joined[:split], joined[split:])
		}
		if n := len(m.prefix); n > 0 {
			if len(joined)-split < n {
				return fmt.Errorf("merge %d: %q has no prefix %q", rank, joined[split:], m.prefix)
			}
			joined = append(joined[:split], joined[split+n:]...)
		}
		id, ok := m.vocab.id(joined)
		if !ok {
			return fmt.Errorf("merge %d: %q is not in the vocabulary", rank, joined)
		}
		m.merges.set(a, b, rank, id)
		rank++
		return nil
	})
}

// merge reads one merge, in either form, as the joined string and the length of its left part.
func (s *scanner) merge(dst []byte) (joined []byte, split int, err error) {
	if s.peek() == '"' {
		line, err := s.string()
		if err != nil || len(line) >= 8 && string(line[:8]) == "#version" {
			return dst, -1, err
		}
		split = -1
		for i, c := range line {
			if c == ' ' {
				if split >= 0 {
					return dst, 0, s.errorf("merge %q is not two tokens", line)
				}
				split = i
			}
		}
		if split < 0 {
			return dst, 0, s.errorf("merge %q is not two tokens", line)
		}
		dst = append(dst, line[:split]...)
		return append(dst, line[split+1:]...), split, nil
	}
	n := 0
	err = s.list(func([]byte) error {
		token, err := s.string()
		if n++; n == 2 {
			split = len(dst)
		}
		dst = append(dst, token...)
		return err
	})
	if err == nil && n != 2 {
		err = s.errorf("a merge is two tokens")
	}
	return dst, split, err
}

func (m *bpe) encode(f *found, word []byte) {
	if m.ignoreMerges && m.whole(f, word) {
		return
	}
	symbols := &f.merge
	symbols.reset()
	if m.bytes {
		for _, b := range word {
			symbols.add(m.ofByte[b], 1)
		}
	} else {
		m.symbols(f, word)
	}
	symbols.apply(&m.merges)
	at := 0
	for i, id := range symbols.ids {
		n := int(symbols.lens[i])
		f.add(id, at, at+n)
		at += n
	}
}

// whole adds the token that is the whole word, if there is one.
func (m *bpe) whole(f *found, word []byte) bool {
	token := word
	if m.bytes {
		f.text = appendByteChars(f.text[:0], word)
		token = f.text
	}
	id, ok := m.vocab.id(token)
	if ok {
		f.add(id, 0, len(word))
	}
	return ok
}

// symbols starts a word as its code points. One without a token becomes its bytes, or the unknown token, or nothing.
func (m *bpe) symbols(f *found, word []byte) {
	symbols := &f.merge
	unknown := 0 // bytes of an unknown token that is still open
	flush := func() {
		if unknown > 0 {
			symbols.add(m.unk, unknown)
			unknown = 0
		}
	}
	plain := m.prefix == "" && m.suffix == ""
	for i := 0; i < len(word); {
		n := 1
		id := int32(-1)
		if c := word[i]; plain && c < utf8.RuneSelf {
			id = m.ofChar[c]
			f.text = append(f.text[:0], c)
		} else {
			_, n = utf8.DecodeRune(word[i:])
			f.text = f.text[:0]
			if i > 0 {
				f.text = append(f.text, m.prefix...)
			}
			f.text = append(f.text, word[i:i+n]...)
			if i+n == len(word) {
				f.text = append(f.text, m.suffix...)
			}
			id = m.lookup(f.text)
		}
		i += n
		switch {
		case id >= 0:
			flush()
			symbols.add(id, n)
		case m.byteFallback && m.hasFallbacks(f.text):
			for _, b := range f.text {
				symbols.add(m.fallbacks[b], 1)
			}
		case m.hasUnk:
			if !m.fuseUnk {
				flush()
			}
			unknown += n
		}
	}
	flush()
}

func (m *bpe) hasFallbacks(text []byte) bool {
	for _, b := range text {
		if m.fallbacks[b] < 0 {
			return false
		}
	}
	return true
}
