package tokenizer

import "fmt"

// model turns words into tokens.
type model interface {
	// encode adds the tokens of a word, which is not empty.
	encode(f *found, word []byte)
}

// found is what a model finds in one word, and its scratch space.
type found struct {
	ids   []int32
	spans []wordSpan

	text  []byte
	merge mergeScratch
	path  []pathNode
}

// wordSpan is a range of bytes of a word.
type wordSpan struct{ start, end int32 }

func (f *found) reset() { f.ids, f.spans = f.ids[:0], f.spans[:0] }

// add appends a token that covers the bytes from start to end of the word.
func (f *found) add(id int32, start, end int) {
	f.ids = append(f.ids, id)
	f.spans = append(f.spans, wordSpan{int32(start), int32(end)})
}

// parseModel reads the model part of the file, which is too large for encoding/json.
func parseModel(s *scanner) (model, *vocab, error) {
	m := modelFields{maxChars: 100}
	err := s.list(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			m.kind, err = s.stringOrNull()
		case "vocab":
			err = m.readVocab(s)
		case "merges":
			m.merges, err = s.raw()
		case "unk_token":
			m.unk, err = s.stringOrNull()
		case "continuing_subword_prefix":
			m.prefix, err = s.stringOrNull()
		case "end_of_word_suffix":
			m.suffix, err = s.stringOrNull()
		case "fuse_unk":
			m.fuseUnk, err = s.boolean()
		case "byte_fallback":
			m.byteFallback, err = s.boolean()
		case "ignore_merges":
			m.ignoreMerges, err = s.boolean()
		case "dropout":
			m.dropout, err = s.numberOrNull()
		case "max_input_chars_per_word":
			m.maxChars, err = s.number()
		case "unk_id":
			m.unkID, err = s.numberOrNull()
			m.hasUnkID = err == nil && m.unkID >= 0
		default:
			_, err = s.raw()
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("model: %w", err)
	}
	if m.vocab == nil {
		return nil, nil, fmt.Errorf("model has no vocab")
	}
	m.vocab.index()
	made, err := m.build()
	if err != nil {
		return nil, nil, fmt.Errorf("model %s: %w", m.kind, err)
	}
	return made, m.vocab, nil
}

// modelFields are the members of the model object, of all kinds.
type modelFields struct {
	kind, unk, prefix, suffix           string
	fuseUnk, byteFallback, ignoreMerges bool
	dropout, maxChars, unkID            float64
	hasUnkID                            bool
	vocab                               *vocab
	scores                              []float64 // Unigram only
	merges                              []byte
}

func (m *modelFields) build() (model, error) {
	if m.kind == "" { // files written before the type was
		switch {
		case m.merges != nil:
			m.kind = "BPE"
		case m.scores != nil:
			m.kind = "Unigram"
		case m.prefix != "":
			m.kind = "WordPiece"
		default:
			m.kind = "WordLevel"
		}
	}
	switch m.kind {
	case "BPE":
		return newBPE(m)
	case "WordPiece":
		return newWordPiece(m), nil
	case "WordLevel":
		unk, ok := m.vocab.id([]byte(m.unk))
		return &wordLevel{m.vocab, unk, ok}, nil
	case "Unigram":
		return newUnigram(m)
	}
	return nil, fmt.Errorf("this kind is unknown; known are BPE, Unigram, WordLevel, WordPiece")
}

// readVocab reads {"token": id, ...} or, for Unigram, [["token", score], ...].
func (m *modelFields) readVocab(s *scanner) error {
	m.vocab, m.scores = &vocab{}, nil
	if s.peek() == '[' {
		return s.list(func([]byte) error { return m.readScore(s) })
	}
	return s.list(func(key []byte) error {
		id, err := s.id()
		if err == nil {
			m.vocab.add(key, id)
		}
		return err
	})
}

// readScore reads one ["token", score].
func (m *modelFields) readScore(s *scanner) error {
	n := 0
	err := s.list(func([]byte) error {
		n++
		switch n {
		case 1:
			token, err := s.string()
			if err == nil {
				m.vocab.add(token, int32(len(m.scores)))
			}
			return err
		case 2:
			score, err := s.number()
			m.scores = append(m.scores, score)
			return err
		}
		return s.errorf("a token and its score expected")
	})
	if err == nil && n != 2 {
		err = s.errorf("a token and its score expected")
	}
	return err
}

// wordLevel looks words up.
type wordLevel struct {
	vocab  *vocab
	unk    int32
	hasUnk bool
}

func (m *wordLevel) encode(f *found, word []byte) {
	id, ok := m.vocab.id(word)
	if !ok {
		id, ok = m.unk, m.hasUnk
	}
	if ok {
		f.add(id, 0, len(word))
	}
}
