package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// unigram finds the most probable way to cut a word into tokens, each with a score of its own (Kudo, 2018,
// https://arxiv.org/abs/1804.10959), by the Viterbi algorithm.
type unigram struct {
	vocab        *vocab
	scores       []float64
	trie         trie
	unk          int32
	hasUnk       bool
	unkScore     float64
	byteFallback bool
}

// unkPenalty is how much worse than the worst token an unknown code point is.
const unkPenalty = 10

func newUnigram(f *modelFields) (*unigram, error) {
	if f.scores == nil {
		return nil, errors.New("vocab is not a list of tokens with scores")
	}
	m := &unigram{vocab: f.vocab, scores: f.scores, byteFallback: f.byteFallback, unkScore: math.Inf(1)}
	if f.hasUnkID {
		if f.unkID >= float64(len(f.scores)) {
			return nil, fmt.Errorf("unk_id %v is outside of the vocabulary of %d", f.unkID, len(f.scores))
		}
		m.unk, m.hasUnk = int32(f.unkID), true
	}
	for _, s := range f.scores {
		m.unkScore = min(m.unkScore, s)
	}
	m.unkScore -= unkPenalty
	m.trie.edges.init(8 * len(f.scores))
	m.trie.nodes = 1
	for e, t := range f.vocab.tokens {
		if token := f.vocab.entry(int32(e)); len(token) > 0 {
			m.trie.add(token, t.id)
		}
	}
	return m, nil
}

// pathNode is the best way to reach a byte of the word: its score, the token that ends here and where that starts.
type pathNode struct {
	score float64
	id    int32
	from  int32 // -1: not reached
}

func (m *unigram) encode(f *found, word []byte) {
	path := append(f.path[:0], pathNode{})
	for range word {
		path = append(path, pathNode{from: -1})
	}
	f.path = path
	for i := 0; i < len(word); {
		_, n := utf8.DecodeRune(word[i:])
		single := false
		node, value := int32(0), int32(0)
		for j := i; j < len(word); j++ {
			if node, value = m.trie.child(node, word[j]); node < 0 {
				break
			}
			if value != 0 {
				path[j+1].reach(path[i].score+m.scores[value-1], value-1, i)
				single = single || j+1 == i+n
			}
		}
		if !single {
			if !m.hasUnk {
				return // the word cannot be written
			}
			path[i+n].reach(path[i].score+m.unkScore, m.unk, i)
		}
		i += n
	}
	m.backtrack(f, word)
}

func (p *pathNode) reach(score float64, id int32, from int) {
	if p.from < 0 || score > p.score {
		*p = pathNode{score, id, int32(from)}
	}
}

// backtrack adds the tokens of the best path. Unknown code points in a row become one token.
func (m *unigram) backtrack(f *found, word []byte) {
	for end := len(word); end > 0; {
		n := f.path[end]
		start := int(n.from)
		if m.hasUnk && n.id == m.unk {
			for start > 0 && f.path[start].id == m.unk {
				start = int(f.path[start].from)
			}
			m.unknown(f, word, start, end)
		} else {
			f.add(n.id, start, end)
		}
		end = start
	}
	slices.Reverse(f.ids)
	slices.Reverse(f.spans)
}

// unknown adds, last first, the byte tokens of a stretch without tokens, or the unknown token.
func (m *unigram) unknown(f *found, word []byte, start, end int) {
	if id, ok := m.vocab.id(word[start:end]); ok {
		f.add(id, start, end)
		return
	}
	if m.byteFallback {
		n := len(f.ids)
		for i := end - 1; i >= start; i-- {
			f.text = fmt.Appendf(f.text[:0], "<0x%02X>", word[i])
			id, ok := m.vocab.id(f.text)
			if !ok {
				f.ids, f.spans = f.ids[:n], f.spans[:n]
				break
			}
			f.add(id, start, end)
		}
		if len(f.ids) > n {
			return
		}
	}
	f.add(m.unk, start, end)
}
