package sample

// token is a candidate for the next token.
type token struct {
	id    int32
	logit float32
	// weight is the probability but for a common divisor; the largest is 1.
	weight float64
}

// before orders tokens from the most likely to the least, equal ones by id.
func (t token) before(u token) bool {
	return t.logit > u.logit || t.logit == u.logit && t.id < u.id
}

// heap is a binary heap with the most likely token first. Taking k of n tokens
// from it costs O(n + k log n), where sorting would cost O(n log n).
type heap []token

// order makes a heap of tokens in any order.
func (h heap) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}

// sink moves the token at i down to its place.
func (h heap) sink(i int) {
	t := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if t.before(h[child]) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = t
}

// pop removes the most likely token.
func (h *heap) pop() token {
	first, last := (*h)[0], len(*h)-1
	(*h)[0] = (*h)[last]
	*h = (*h)[:last]
	if last > 0 {
		h.sink(0)
	}
	return first
}
