package tokenizer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// precompiled is the normaliser compiled into SentencePiece models: a double-array trie that maps strings to places in a
// list of replacements, each ended by a zero byte.
type precompiled struct {
	units        []uint32
	replacements []byte
}

func (n *precompiled) UnmarshalJSON(data []byte) error {
	var fields struct {
		Map []byte `json:"precompiled_charsmap"` // base64
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	blob := fields.Map
	if len(blob) < 4 {
		return errors.New("precompiled_charsmap is too short")
	}
	size := binary.LittleEndian.Uint32(blob)
	blob = blob[4:]
	if uint64(size) > uint64(len(blob)) {
		return errors.New("precompiled_charsmap is shorter than its trie")
	}
	for i := 0; i+4 <= int(size); i += 4 {
		n.units = append(n.units, binary.LittleEndian.Uint32(blob[i:]))
	}
	n.replacements = blob[size&^3:]
	if !utf8.Valid(n.replacements) {
		return errors.New("precompiled_charsmap has replacements that are not UTF-8")
	}
	return nil
}

// lookup returns the replacement of the shortest string in the trie that s starts with. (A replacement for a longer
// one is never found; so it is in the reference.)
func (n *precompiled) lookup(s []byte) ([]byte, bool) {
	at := uint32(0)
	unit, ok := n.unit(at)
	if !ok {
		return nil, false
	}
	at ^= unitOffset(unit)
	for _, c := range s {
		if c == 0 {
			break
		}
		at ^= uint32(c)
		if unit, ok = n.unit(at); !ok || unit&(1<<31|0xFF) != uint32(c) {
			break
		}
		at ^= unitOffset(unit)
		if unit>>8&1 == 1 {
			leaf, ok := n.unit(at)
			start := int(leaf & (1<<31 - 1))
			if !ok || start > len(n.replacements) {
				break
			}
			text := n.replacements[start:]
			if end := bytes.IndexByte(text, 0); end >= 0 {
				text = text[:end]
			}
			return text, true
		}
	}
	return nil, false
}

func (n *precompiled) unit(at uint32) (uint32, bool) {
	if int64(at) >= int64(len(n.units)) {
		return 0, false
	}
	return n.units[at], true
}

func unitOffset(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

// normalize looks up short grapheme clusters as a whole, and otherwise code point by code point.
func (n *precompiled) normalize(w *work) {
	var out []mark
	w.rewrite(func(p piece) {
		out = n.replace(out[:0], w.text[p.start:p.end])
		for _, m := range out {
			w.put(m.r, m.change)
		}
		w.drop(p.end - w.pos)
	})
}

// replace appends the code points that text becomes.
func (n *precompiled) replace(out []mark, text []byte) []mark {
	for state := -1; len(text) > 0; {
		var cluster []byte
		cluster, text, _, state = uniseg.FirstGraphemeCluster(text, state)
		if len(cluster) < 6 {
			if to, ok := n.lookup(cluster); ok {
				out = substitute(out, cluster, to)
				continue
			}
		}
		for len(cluster) > 0 {
			r, size := utf8.DecodeRune(cluster)
			if to, ok := n.lookup(cluster[:size]); ok {
				out = substitute(out, cluster[:size], to)
			} else {
				out = append(out, mark{r: r})
			}
			cluster = cluster[size:]
		}
	}
	return out
}

// substitute appends to in place of from. What is too much is new text; what is missing goes with the code point before.
// (Where there is none before, the places of all that follows are off by it; so they are in the reference.)
func substitute(out []mark, from, to []byte) []mark {
	longer := utf8.RuneCount(to) - utf8.RuneCount(from)
	for _, r := range string(to) {
		out = append(out, mark{r: r})
	}
	for i := range max(longer, 0) {
		out[len(out)-1-i].change = 1
	}
	if longer < 0 && len(out) > 0 {
		out[len(out)-1].change += longer
	}
	return out
}
