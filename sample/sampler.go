package sample

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Sampler chooses the tokens of one sequence. It is not safe for concurrent use.
type Sampler struct {
	params Params
	random *rand.Rand
	seen   map[int32]uses // tokens so far, kept if there are penalties
	logits []float32      // logits after penalties
	tokens heap           // candidates
	kept   []token        // candidates after the filters
}

// uses says where a token occurred.
type uses struct {
	output int // number of occurrences in the output; 0 means in the prompt alone
}

// New returns a Sampler for one sequence. The settings must pass Check.
func New(p Params) *Sampler {
	s := &Sampler{params: p, random: rand.New(rand.NewPCG(p.Seed, 0))}
	if p.penalised() {
		s.seen = make(map[int32]uses)
	}
	return s
}

// Prompt tells the Sampler the tokens of the prompt, for the repetition penalty.
func (s *Sampler) Prompt(ids ...int32) {
	if s.seen == nil {
		return
	}
	for _, id := range ids {
		if _, seen := s.seen[id]; !seen {
			s.seen[id] = uses{}
		}
	}
}

// Accept tells the Sampler that id is the next token of the output, for the
// penalties. Next does not assume that the caller takes its token.
func (s *Sampler) Accept(id int32) {
	if s.seen == nil {
		return
	}
	u := s.seen[id]
	u.output++
	s.seen[id] = u
}

// Next chooses a token from the logits of the whole vocabulary, which it does
// not change. If greedy, the first of equal logits wins. Logits of -Inf are
// tokens that must not be chosen; NaN and +Inf are an error.
func (s *Sampler) Next(logits []float32) (int32, error) {
	if s.seen != nil {
		logits = s.penalise(logits)
	}
	best, err := largest(logits)
	if err != nil {
		return 0, err
	}
	if s.params.Greedy() {
		return int32(best), nil
	}
	s.tokens = slices.Grow(s.tokens[:0], len(logits))
	for id, logit := range logits {
		s.tokens = append(s.tokens, token{id: int32(id), logit: logit})
	}
	return s.draw(logits[best]), nil
}

// NextOf chooses a token as Next does, from the tokens with the largest logits
// alone, in any order: with Params.Candidates of them, or all if there are
// fewer, it returns what Next returns for the whole vocabulary. It is an error
// if all logits are needed.
func (s *Sampler) NextOf(ids []int32, logits []float32) (int32, error) {
	if s.params.Candidates() == 0 {
		return 0, errors.New("sampling without top-k or with penalties needs the logits of all tokens")
	}
	if len(ids) != len(logits) {
		return 0, fmt.Errorf("%d ids for %d logits", len(ids), len(logits))
	}
	best, err := largest(logits)
	if err != nil {
		return 0, err
	}
	s.tokens = slices.Grow(s.tokens[:0], len(logits))
	for i, logit := range logits {
		s.tokens = append(s.tokens, token{id: ids[i], logit: logit})
	}
	if s.params.Greedy() {
		s.tokens.order()
		return s.tokens[0].id, nil
	}
	return s.draw(logits[best]), nil
}

// largest returns the index of the first of the largest logits.
func largest(logits []float32) (int, error) {
	best, bad, first := -1, 0, 0
	top := math.Inf(-1)
	for i, logit := range logits {
		v := float64(logit)
		if v > top {
			best, top = i, v
		}
		if math.IsNaN(v) || v > math.MaxFloat32 {
			if bad++; bad == 1 {
				first = i
			}
		}
	}
	switch {
	case bad > 0:
		return 0, fmt.Errorf("%d of %d logits are NaN or infinite, the first at index %d: the weights or the computation are broken", bad, len(logits), first)
	case best < 0:
		return 0, fmt.Errorf("none of %d tokens may be chosen", len(logits))
	}
	return best, nil
}

// penalise returns the logits after the penalties, in a buffer of its own.
func (s *Sampler) penalise(logits []float32) []float32 {
	s.logits = append(s.logits[:0], logits...)
	p := s.params
	for id, u := range s.seen {
		if id < 0 || int(id) >= len(logits) {
			continue
		}
		l := s.logits[id]
		if p.repeats() {
			if l < 0 {
				l *= float32(p.RepetitionPenalty)
			} else {
				l /= float32(p.RepetitionPenalty)
			}
		}
		if u.output > 0 {
			l -= float32(p.PresencePenalty) + float32(u.output)*float32(p.FrequencyPenalty)
		}
		s.logits[id] = l
	}
	return s.logits
}

// draw draws one of s.tokens, whose largest logit is top. Every filter keeps a
// prefix of the tokens in the order of their logits.
func (s *Sampler) draw(top float32) int32 {
	p := s.params
	topP := p.TopP > 0 && p.TopP < 1
	if p.TopK > 0 || topP || p.MinP > 0 {
		s.tokens.order()
	}
	if p.TopK > 0 {
		s.kept = s.kept[:0]
		for len(s.kept) < p.TopK && len(s.tokens) > 0 {
			s.kept = append(s.kept, s.tokens.pop())
		}
		s.tokens, s.kept = s.kept, s.tokens // what is sorted is a heap as well
	}
	total := 0.0
	for i := range s.tokens {
		t := &s.tokens[i]
		t.weight = math.Exp((float64(t.logit) - float64(top)) / p.Temperature)
		total += t.weight
	}
	if !topP && p.MinP == 0 {
		return s.pick(s.tokens, total)
	}
	mass := math.Inf(1)
	if topP {
		mass = p.TopP * total
	}
	s.kept, total = s.kept[:0], 0
	for total < mass && len(s.tokens) > 0 && s.tokens[0].weight >= p.MinP {
		t := s.tokens.pop()
		s.kept = append(s.kept, t)
		total += t.weight
	}
	return s.pick(s.kept, total)
}

// pick draws one of the tokens, whose weights add up to total.
func (s *Sampler) pick(tokens []token, total float64) int32 {
	last, left := tokens[0].id, s.random.Float64()*total
	for _, t := range tokens {
		if t.weight == 0 {
			continue
		}
		if last, left = t.id, left-t.weight; left < 0 {
			break
		}
	}
	return last
}
