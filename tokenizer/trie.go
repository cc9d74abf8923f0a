package tokenizer

import "bytes"

// trie finds the strings of a set that a text starts with. The edges lie in a flat hash table: node and byte lead to
// node; the root is 0. The value of an edge's end, where a string of the set ends, is its id+1.
type trie struct {
	first byteSet // most positions fail at the first byte
	edges pairTable
	nodes int32
}

func (t *trie) empty() bool { return t.nodes == 0 }

func (t *trie) add(s []byte, id int32) {
	if t.nodes == 0 {
		t.nodes = 1
		t.edges.init(0)
	}
	t.first.add(s[0])
	node := int32(0)
	for i, c := range s {
		child, value := t.child(node, c)
		if child < 0 {
			child, value = t.nodes, 0
			t.nodes++
			t.edges.set(node, int32(c), 0, child)
		}
		if i == len(s)-1 && value != id+1 {
			t.edges.set(node, int32(c), uint32(id+1), child)
		}
		node = child
	}
}

// child follows the edge c; the node -1 means there is none.
func (t *trie) child(node int32, c byte) (child, value int32) {
	e := t.edges.get(node, int32(c))
	if e == none {
		return -1, 0
	}
	return int32(uint32(e)), int32(e >> 32)
}

// longest returns the id and the length of the longest string that text starts with; the length 0 means none.
func (t *trie) longest(text []byte) (id int32, length int) {
	node, value := int32(0), int32(0)
	for i, c := range text {
		if node, value = t.child(node, c); node < 0 {
			break
		}
		if value != 0 {
			id, length = value-1, i+1
		}
	}
	return id, length
}

// byteSet is a set of bytes.
type byteSet struct {
	has  [256]bool
	n    int
	last byte
}

func (s *byteSet) add(c byte) {
	if !s.has[c] {
		s.has[c] = true
		s.n++
		s.last = c
	}
}

// index returns the position of the first byte of text that is in s, len(text) if there is none.
func (s *byteSet) index(text []byte) int {
	if s.n == 1 {
		if i := bytes.IndexByte(text, s.last); i >= 0 {
			return i
		}
		return len(text)
	}
	for i, c := range text {
		if s.has[c] {
			return i
		}
	}
	return len(text)
}
