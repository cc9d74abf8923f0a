package tokenizer

// mergeScratch holds the symbols of one word while they are merged.
type mergeScratch struct {
	ids  []int32
	lens []int32  // bytes of each symbol
	made []uint64 // for the pair of symbol i and the next: rank<<32 | token, or none

	next, prev []int32
	heap       []heapEntry
}

func (s *mergeScratch) reset() { s.ids, s.lens = s.ids[:0], s.lens[:0] }

func (s *mergeScratch) add(id int32, n int) {
	s.ids = append(s.ids, id)
	s.lens = append(s.lens, int32(n))
}

// A word of up to this many symbols is merged by scanning for the lowest rank, a longer one with a heap.
const maxScan = 40

// apply merges the symbols as far as they go: always the pair of lowest rank, the leftmost of equals.
func (s *mergeScratch) apply(t *pairTable) {
	if len(s.ids) < 2 {
		return
	}
	s.made = s.made[:0]
	for i := range len(s.ids) - 1 {
		s.made = append(s.made, t.get(s.ids[i], s.ids[i+1]))
	}
	if len(s.ids) <= maxScan {
		s.scan(t)
	} else {
		s.queue(t)
	}
}

func (s *mergeScratch) scan(t *pairTable) {
	ids, lens, made := s.ids, s.lens, s.made
	for len(made) > 0 {
		best, at := made[0], 0
		for i, m := range made {
			if m>>32 < best>>32 {
				best, at = m, i
			}
		}
		if best == none {
			break
		}
		ids[at] = int32(uint32(best))
		lens[at] += lens[at+1]
		ids = append(ids[:at+1], ids[at+2:]...)
		lens = append(lens[:at+1], lens[at+2:]...)
		made = append(made[:at], made[at+1:]...)
		if at > 0 {
			made[at-1] = t.get(ids[at-1], ids[at])
		}
		if at < len(made) {
			made[at] = t.get(ids[at], ids[at+1])
		}
	}
	s.ids, s.lens = ids, lens
}

// heapEntry is a pair that may be merged: its rank and token, and its left symbol.
type heapEntry struct {
	made uint64
	at   int32
}

func (e heapEntry) less(o heapEntry) bool {
	if e.made>>32 != o.made>>32 {
		return e.made>>32 < o.made>>32
	}
	return e.at < o.at
}

// queue merges with a heap; entries whose pair has changed since are skipped when they come up.
func (s *mergeScratch) queue(t *pairTable) {
	n := len(s.ids)
	s.next, s.prev, s.heap = s.next[:0], s.prev[:0], s.heap[:0]
	for i := range n {
		s.next = append(s.next, int32(i+1))
		s.prev = append(s.prev, int32(i-1))
	}
	for i, m := range s.made {
		if m != none {
			s.push(heapEntry{m, int32(i)})
		}
	}
	made := append(s.made, none) // of each symbol with its right neighbour, as they are now
	s.made = made
	for len(s.heap) > 0 {
		top := s.pop()
		at := top.at
		if made[at] != top.made {
			continue
		}
		right := s.next[at]
		s.ids[at] = int32(uint32(top.made))
		s.lens[at] += s.lens[right]
		s.lens[right], made[right] = 0, none
		s.next[at] = s.next[right]
		if next := s.next[at]; int(next) < n {
			s.prev[next] = at
			made[at] = t.get(s.ids[at], s.ids[next])
			s.push(heapEntry{made[at], at})
		} else {
			made[at] = none
		}
		if prev := s.prev[at]; prev >= 0 {
			made[prev] = t.get(s.ids[prev], s.ids[at])
			s.push(heapEntry{made[prev], prev})
		}
	}
	kept := 0
	for i := 0; i < n; i = int(s.next[i]) {
		s.ids[kept], s.lens[kept] = s.ids[i], s.lens[i]
		kept++
	}
	s.ids, s.lens = s.ids[:kept], s.lens[:kept]
}

func (s *mergeScratch) push(e heapEntry) {
	if e.made == none {
		return
	}
	h := append(s.heap, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.less(h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
	s.heap = h
}

func (s *mergeScratch) pop() heapEntry {
	h := s.heap
	top, e := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	for i := 0; ; {
		child := 4*i + 1
		if child >= len(h) {
			if len(h) > 0 {
				h[i] = e
			}
			break
		}
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].less(h[child]) {
				child = c
			}
		}
		if !h[child].less(e) {
			h[i] = e
			break
		}
		h[i] = h[child]
		i = child
	}
	s.heap = h
	return top
}
