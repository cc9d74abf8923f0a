package tokenizer

import "math/bits"

// pairTable maps a pair of numbers to a pair of numbers: two tokens to the rank of their merge and the token it makes,
// or a node and a byte to a value and a node. It is a flat hash table with open addressing.
type pairTable struct {
	slots []pairSlot
	shift uint8
	n     int
}

type pairSlot struct {
	pair uint64 // left<<32 | right, plus one; 0 is a free slot
	made uint64
}

// none is what get returns for a pair that is not in the table.
const none = ^uint64(0)

func (t *pairTable) init(n int) {
	size := bits.Len(uint(max(32, n)))
	t.slots, t.shift, t.n = make([]pairSlot, 1<<size), uint8(64-size), 0
}

func (t *pairTable) slot(pair uint64) *pairSlot {
	for i := (pair ^ hashSeed>>1) * 0x9E3779B97F4A7C15 >> t.shift; ; i++ {
		s := &t.slots[i&uint64(len(t.slots)-1)]
		if s.pair == pair || s.pair == 0 {
			return s
		}
	}
}

func (t *pairTable) set(left, right int32, hi uint32, lo int32) {
	if 2*t.n >= len(t.slots) {
		old := t.slots
		t.init(2*len(old) - 1)
		for _, s := range old {
			if s.pair != 0 {
				*t.slot(s.pair) = s
				t.n++
			}
		}
	}
	s := t.slot(uint64(left)<<32 | uint64(right) + 1)
	if s.pair == 0 {
		t.n++
	}
	*s = pairSlot{uint64(left)<<32 | uint64(right) + 1, uint64(hi)<<32 | uint64(lo)}
}

// get returns hi<<32 | lo of a pair, none if it is not in the table.
func (t *pairTable) get(left, right int32) uint64 {
	if s := t.slot(uint64(left)<<32 | uint64(right) + 1); s.pair != 0 {
		return s.made
	}
	return none
}
