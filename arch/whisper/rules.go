package whisper

import "math"

// rules decide which tokens may come next (Radford et al. 2022; in this order).
type rules struct {
	tokens     *special
	generation *generation
	timestamps bool
	// last is the window's last timestamp that lies in the sound, counted from the
	// first. Silence up to the window's end, which every model has learnt with,
	// misleads small ones to later times.
	last int32
}

// apply sets the logits of forbidden tokens to -Inf. text are the tokens since the prefix.
func (r *rules) apply(logits []float32, text []int32) {
	r.generation.suppress(logits, len(text) == 0)
	if r.timestamps {
		r.pairs(logits, text)
		hideRange(logits, r.tokens.instant+r.last+1, int32(len(logits)))
		if r.timestampIsLikelier(logits) {
			hideRange(logits, 0, r.tokens.instant)
		}
	}
}

// pairs lets timestamps come in pairs that do not decrease: the end of a
// segment and the start of the next. The first token is one, soon after 0.
func (r *rules) pairs(logits []float32, text []int32) {
	first := r.tokens.instant
	stamp := func(back int) bool { return len(text) < back || text[len(text)-back] >= first }
	hide(logits, []int32{r.tokens.noTimestamps})
	if len(text) == 0 {
		hideRange(logits, 0, first)
		if last := r.generation.MaxInitialTimestampIndex; last != nil {
			hideRange(logits, first+int32(min(*last, len(logits)))+1, int32(len(logits)))
		}
		return
	}
	open := stamp(1) && !stamp(2) // a segment has ended and no other started
	switch {
	case open:
		hideRange(logits, 0, r.tokens.end)
	case stamp(1):
		hideRange(logits, first, int32(len(logits)))
	}
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] < first {
			continue
		}
		next := text[i] + 1
		if open {
			next = text[i]
		}
		hideRange(logits, first, next)
		break
	}
}

// timestampIsLikelier reports whether all timestamps together are more likely
// than the most likely other token.
func (r *rules) timestampIsLikelier(logits []float32) bool {
	first := r.tokens.instant
	return logSumExp(logits[first:]) > float64(largest(logits[:first]))
}

func hide(logits []float32, ids []int32) {
	for _, id := range ids {
		logits[id] = float32(math.Inf(-1))
	}
}

// hideRange hides the ids from one to another (exclusive).
func hideRange(logits []float32, from, to int32) {
	to = min(to, int32(len(logits)))
	for id := from; id < to; id++ {
		logits[id] = float32(math.Inf(-1))
	}
}

// largest returns the largest of x, -Inf for none.
func largest(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// logSumExp returns log Σ exp(x), without overflow.
func logSumExp(x []float32) float64 {
	m := float64(largest(x))
	if math.IsInf(m, 0) {
		return m
	}
	sum := 0.0
	for _, v := range x {
		if d := float64(v) - m; d > -40 { // less does not show in the sum
			sum += math.Exp(d)
		}
	}
	return m + math.Log(sum)
}

// suppress hides the tokens that are never wanted, and at the start of a text
// those that are not wanted first.
func (g *generation) suppress(logits []float32, start bool) {
	hide(logits, g.SuppressTokens)
	if start {
		hide(logits, g.BeginSuppressTokens)
	}
}

// Suppress sets the logits of the tokens that generation_config.json does not
// want to -Inf: suppress_tokens and, at the start of a text, begin_suppress_tokens.
func (m *Model) Suppress(logits []float32, start bool) { m.generation.suppress(logits, start) }
