package sample

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestTransformers compares the probabilities of all tokens, after penalties
// and filters, with those that transformers computes (testdata/make.py).
func TestTransformers(t *testing.T) {
	text, err := os.ReadFile("testdata/transformers.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Params        Params
		Prompt        []int32
		Logits        []float32
		Probabilities []float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for i, c := range cases {
		s := New(c.Params)
		s.Prompt(c.Prompt...)
		if _, err := s.Next(c.Logits); err != nil {
			t.Fatal(err)
		}
		tokens, total := s.chosenFrom(), 0.0
		for _, k := range tokens {
			total += k.weight
		}
		got := make([]float64, len(c.Logits))
		for _, k := range tokens {
			got[k.id] = k.weight / total
		}
		for id, want := range c.Probabilities {
			if math.Abs(got[id]-want) > 2e-6 {
				t.Errorf("case %d, %+v: token %d has probability %v, want %v", i, c.Params, id, got[id], want)
			}
		}
	}
}

// chosenFrom returns the tokens that the last draw chose from.
func (s *Sampler) chosenFrom() []token {
	if s.params.TopP > 0 && s.params.TopP < 1 || s.params.MinP > 0 {
		return s.kept
	}
	return s.tokens
}
