package tokenizer

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// vocab maps token strings to ids and back. All strings lie in one buffer and the hash table holds numbers only: a
// vocabulary of 150,000 tokens is built in milliseconds and costs the garbage collector nothing.
type vocab struct {
	text   []byte
	tokens []vocabToken // by entry, in the order of the file
	table  []int32      // entry + 1 by hash; open addressing, a power of two in size
	byID   []int32      // entry + 1 by id
	sparse map[int32]int32
	maxLen int // longest token, bytes
}

type vocabToken struct {
	start, end uint32
	id         int32
}

func (v *vocab) len() int { return len(v.tokens) }

// add enters a token. A token that comes again gets the later id.
func (v *vocab) add(token []byte, id int32) {
	if 2*len(v.tokens) >= len(v.table) {
		v.grow()
	}
	v.maxLen = max(v.maxLen, len(token))
	h := hash(token)
	for i := h & uint64(len(v.table)-1); ; i = (i + 1) & uint64(len(v.table)-1) {
		e := v.table[i]
		if e == 0 {
			start := uint32(len(v.text))
			v.text = append(v.text, token...)
			v.tokens = append(v.tokens, vocabToken{start, uint32(len(v.text)), id})
			v.table[i] = int32(len(v.tokens))
			return
		}
		if string(v.entry(e-1)) == string(token) {
			v.tokens[e-1].id = id
			return
		}
	}
}

func (v *vocab) grow() {
	n := 1 << bits.Len(uint(max(63, 4*len(v.tokens)-1)))
	v.table = make([]int32, n)
	for e := range v.tokens {
		i := hash(v.entry(int32(e))) & uint64(n-1)
		for v.table[i] != 0 {
			i = (i + 1) & uint64(n-1)
		}
		v.table[i] = int32(e) + 1
	}
}

// index prepares the way from ids to tokens. Ids far beyond the number of tokens go into a map, so that a file
// with one huge id cannot ask for gigabytes.
func (v *vocab) index() {
	top := int32(0)
	for _, t := range v.tokens {
		if int(t.id) < 4*len(v.tokens)+1024 {
			top = max(top, t.id+1)
		}
	}
	v.byID = make([]int32, top)
	for e, t := range v.tokens {
		if t.id < top {
			v.byID[t.id] = int32(e) + 1
		} else {
			if v.sparse == nil {
				v.sparse = map[int32]int32{}
			}
			v.sparse[t.id] = int32(e) + 1
		}
	}
}

func (v *vocab) entry(e int32) []byte {
	t := v.tokens[e]
	return v.text[t.start:t.end]
}

// id returns the id of a token.
func (v *vocab) id(token []byte) (int32, bool) {
	if len(v.table) == 0 || len(token) > v.maxLen {
		return 0, false
	}
	for i := hash(token) & uint64(len(v.table)-1); ; i = (i + 1) & uint64(len(v.table)-1) {
		e := v.table[i]
		if e == 0 {
			return 0, false
		}
		if string(v.entry(e-1)) == string(token) {
			return v.tokens[e-1].id, true
		}
	}
}

// token returns the string of an id.
func (v *vocab) token(id int32) ([]byte, bool) {
	var e int32
	if id >= 0 && int(id) < len(v.byID) {
		e = v.byID[id]
	} else {
		e = v.sparse[id]
	}
	if e == 0 {
		return nil, false
	}
	return v.entry(e - 1), true
}

// hashSeed differs from run to run, so that no file can be made whose tokens all collide.
var hashSeed = rand.Uint64()

// hash mixes eight bytes at a time by a wide multiplication (the idea of wyhash).
func hash(b []byte) uint64 {
	const k0, k1 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
	h := hashSeed ^ uint64(len(b))*k0
	for len(b) >= 8 {
		h = mix(h^binary.LittleEndian.Uint64(b), k1)
		b = b[8:]
	}
	var tail uint64
	switch n := len(b); {
	case n >= 4:
		tail = uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	case n > 0:
		tail = uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16
	}
	return mix(h^tail, k0)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
