package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// log returns the logits of these probabilities, shifted: softmax undoes both.
func log(p ...float64) []float32 {
	logits := make([]float32, len(p))
	for i, v := range p {
		logits[i] = float32(math.Log(v) + 3)
	}
	return logits
}

// TestFrequencies compares how often each token is drawn with probabilities
// that were worked out by hand.
func TestFrequencies(t *testing.T) {
	logits := log(0.1, 0.4, 0, 0.3, 0.2)
	tests := []struct {
		name   string
		params Params
		want   []float64
	}{
		{"temperature 1", Params{Temperature: 1}, []float64{0.1, 0.4, 0, 0.3, 0.2}},
		// Halving the temperature squares the probabilities: 1 16 9 4 of 30.
		{"temperature 0.5", Params{Temperature: 0.5}, []float64{1. / 30, 16. / 30, 0, 9. / 30, 4. / 30}},
		{"top-k 2", Params{Temperature: 1, TopK: 2}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		{"top-k beyond the vocabulary", Params{Temperature: 1, TopK: 50}, []float64{0.1, 0.4, 0, 0.3, 0.2}},
		// 0.4 does not reach 0.6, 0.4+0.3 does.
		{"top-p 0.6", Params{Temperature: 1, TopP: 0.6}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		{"top-p 0.8", Params{Temperature: 1, TopP: 0.8}, []float64{0, 4. / 9, 0, 3. / 9, 2. / 9}},
		{"top-p tiny", Params{Temperature: 1, TopP: 1e-9}, []float64{0, 1, 0, 0, 0}},
		// Temperature comes before top-p: of 16 9 4 1 (of 30), 16 reaches a half.
		{"top-p after temperature", Params{Temperature: 0.5, TopP: 0.5}, []float64{0, 1, 0, 0, 0}},
		// Top-k comes before top-p: of 4 3 (of 7), 4 reaches a half.
		{"top-p after top-k", Params{Temperature: 1, TopK: 2, TopP: 0.5}, []float64{0, 1, 0, 0, 0}},
		{"min-p 0.6", Params{Temperature: 1, MinP: 0.6}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		{"min-p 1", Params{Temperature: 1, MinP: 1}, []float64{0, 1, 0, 0, 0}},
		{"min-p with top-k", Params{Temperature: 1, MinP: 0.4, TopK: 4}, []float64{0, 4. / 9, 0, 3. / 9, 2. / 9}},
	}
	const draws = 50000
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.params.Seed = 7
			s := New(tt.params)
			counts := make([]int, len(logits))
			for range draws {
				id, err := s.Next(logits)
				if err != nil {
					t.Fatal(err)
				}
				counts[id]++
			}
			for id, want := range tt.want {
				// Five standard deviations of a binomial distribution.
				bound := 5 * math.Sqrt(want*(1-want)/draws)
				if got := float64(counts[id]) / draws; math.Abs(got-want) > bound {
					t.Errorf("token %d: drawn with %.4f, want %.4f +- %.4f", id, got, want, bound)
				}
			}
		})
	}
}

func TestGreedy(t *testing.T) {
	tests := []struct {
		logits []float32
		want   int32
	}{
		{[]float32{1, 3, 2}, 1},
		{[]float32{1, 3, 3}, 1}, // the first of equal ones
		{[]float32{-inf, -5, -inf}, 1},
		{[]float32{-1}, 0},
	}
	for _, tt := range tests {
		for _, p := range []Params{{}, {Temperature: 1, TopK: 1}} {
			if got, err := New(p).Next(tt.logits); err != nil || got != tt.want {
				t.Errorf("%v: got %d, %v, want %d", tt.logits, got, err, tt.want)
			}
		}
	}
}

func TestPenalties(t *testing.T) {
	// Token 0 is in the prompt, 1 twice in the output, 2 in both, 3 is new.
	tests := []struct {
		name   string
		params Params
		want   []float32
	}{
		{"repetition", Params{RepetitionPenalty: 2}, []float32{2, -4, 1, 3}},
		{"presence", Params{PresencePenalty: 0.5}, []float32{4, -2.5, 1.5, 3}},
		{"frequency", Params{FrequencyPenalty: 0.5}, []float32{4, -3, 1.5, 3}},
		{"negative presence", Params{PresencePenalty: -1}, []float32{4, -1, 3, 3}},
		{"all", Params{RepetitionPenalty: 2, PresencePenalty: 0.5, FrequencyPenalty: 0.25}, []float32{2, -5, 0.25, 3}},
	}
	logits := []float32{4, -2, 2, 3}
	for _, tt := range tests {
		s := New(tt.params)
		s.Prompt(0, 2, 0)
		s.Accept(1)
		s.Accept(1)
		s.Accept(2)
		s.Accept(99) // outside the vocabulary of these logits
		if got := s.penalise(logits); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if !slices.Equal(logits, []float32{4, -2, 2, 3}) {
		t.Errorf("the logits were changed: %v", logits)
	}
	s := New(Params{RepetitionPenalty: 2})
	// The logits are 4 -2 2 3, then 2 -2 2 3, then 2 -2 2 1.5.
	for step, want := range []int32{0, 3, 0} {
		got, err := s.Next(logits)
		if err != nil || got != want {
			t.Errorf("step %d: got %d, %v, want %d", step, got, err, want)
		}
		s.Accept(got)
	}
}

// TestNextOf checks that candidates in any order give the tokens that the whole
// vocabulary gives, also where logits are equal.
func TestNextOf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, p := range []Params{
		{}, {Temperature: 0.8, TopK: 1}, {Temperature: 0.8, TopK: 5}, {Temperature: 2, TopK: 64, Seed: 3},
		{Temperature: 1, TopK: 20, TopP: 0.9}, {Temperature: 1, TopK: 20, MinP: 0.3}, {Temperature: 1, TopK: 40, TopP: 0.95, MinP: 0.05},
	} {
		full, few := New(p), New(p)
		for step := range 300 {
			logits := make([]float32, 200)
			for i := range logits {
				logits[i] = float32(random.IntN(30)) / 4
			}
			order := make([]int32, len(logits))
			for i := range order {
				order[i] = int32(i)
			}
			slices.SortStableFunc(order, func(a, b int32) int { return int(4 * (logits[b] - logits[a])) })
			ids := order[:p.Candidates()]
			random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
			top := make([]float32, len(ids))
			for i, id := range ids {
				top[i] = logits[id]
			}
			want, err := full.Next(logits)
			got, err2 := few.NextOf(ids, top)
			if err != nil || err2 != nil || got != want {
				t.Fatalf("%+v, step %d: %d, %v from candidates, %d, %v from all", p, step, got, err2, want, err)
			}
		}
	}
}

func TestCandidates(t *testing.T) {
	for _, tt := range []struct {
		params Params
		want   int
	}{
		{Params{}, 1},
		{Params{TopK: 5}, 1},
		{Params{Temperature: 1, TopK: 5}, 5},
		{Params{Temperature: 1}, 0},
		{Params{Temperature: 1, TopP: 0.5}, 0},
		{Params{RepetitionPenalty: 1}, 1},
		{Params{RepetitionPenalty: 1.1}, 0},
		{Params{Temperature: 1, TopK: 5, PresencePenalty: 1}, 0},
	} {
		if got := tt.params.Candidates(); got != tt.want {
			t.Errorf("%+v: %d candidates, want %d", tt.params, got, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	sampled := Params{Temperature: 1, TopK: 2}
	for _, tt := range []struct {
		logits []float32
		want   string
	}{
		{[]float32{1, nan, 2, nan}, "2 of 4 logits are NaN or infinite, the first at index 1"},
		{[]float32{1, 2, inf}, "1 of 3 logits are NaN or infinite, the first at index 2"},
		{[]float32{-inf, -inf}, "none of 2 tokens may be chosen"},
		{nil, "none of 0 tokens may be chosen"},
	} {
		for _, p := range []Params{{}, sampled, {RepetitionPenalty: 2}} {
			if _, err := New(p).Next(tt.logits); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: got %v, want %q", tt.logits, err, tt.want)
			}
		}
		if _, err := New(sampled).NextOf(make([]int32, len(tt.logits)), tt.logits); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %q", tt.logits, err, tt.want)
		}
	}
	if _, err := New(Params{Temperature: 1}).NextOf([]int32{1}, []float32{1}); err == nil {
		t.Error("candidates were accepted where all logits are needed")
	}
	if _, err := New(sampled).NextOf([]int32{1}, []float32{1, 2}); err == nil {
		t.Error("1 id for 2 logits was accepted")
	}
}

func TestCheck(t *testing.T) {
	for want, p := range map[string]Params{
		"":                                       {Temperature: 0.7, TopK: 40, TopP: 1, MinP: 1, RepetitionPenalty: 1.1, PresencePenalty: -2, FrequencyPenalty: 2},
		"temperature must be 0 or more, got -1":  {Temperature: -1},
		"temperature must be 0 or more, got NaN": {Temperature: math.NaN()},
		"temperature must be 0 or more, got +Inf":                                      {Temperature: math.Inf(1)},
		"top-k must be 0 or more, got -2":                                              {TopK: -2},
		"top-p must be between 0 and 1, got 1.5":                                       {TopP: 1.5},
		"min-p must be between 0 and 1, got -0.1":                                      {MinP: -0.1},
		"repetition penalty must be between 0.001 and 1000, or 0 for none, got -1":     {RepetitionPenalty: -1},
		"repetition penalty must be between 0.001 and 1000, or 0 for none, got 1e-300": {RepetitionPenalty: 1e-300},
		"presence penalty must be between -1000 and 1000, got NaN":                     {PresencePenalty: math.NaN()},
	} {
		if err := p.Check(); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestFromConfig(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Params
		err  string
	}{
		{`{"do_sample":true,"temperature":0.6,"top_k":20,"top_p":0.95,"eos_token_id":[1,2]}`, Params{Temperature: 0.6, TopK: 20, TopP: 0.95}, ""},
		{`{"do_sample":true}`, Params{Temperature: 1, TopK: 50}, ""},
		{`{"do_sample":true,"top_k":null,"min_p":0.1}`, Params{Temperature: 1, TopK: 50, MinP: 0.1}, ""},
		{`{"do_sample":true,"top_k":0}`, Params{Temperature: 1}, ""},
		{`{"do_sample":false,"temperature":0.6,"top_p":0.9}`, Params{}, ""},
		{`{"temperature":0.6,"repetition_penalty":1.1}`, Params{RepetitionPenalty: 1.1}, ""},
		{`{}`, Params{}, ""},
		{`{"do_sample":true,"top_p":2}`, Params{}, "generation_config.json: top-p must be between 0 and 1, got 2"},
		{`{"top_k":"x"}`, Params{}, "generation_config.json: top_k cannot be a JSON string"},
		{`{`, Params{}, "generation_config.json: unexpected end"},
	} {
		got, err := FromConfig([]byte(tt.text))
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %+v, %v", tt.text, got, err)
		}
	}
}

func TestSeed(t *testing.T) {
	logits := log(0.25, 0.25, 0.25, 0.25)
	draw := func(seed uint64) (ids []int32) {
		s := New(Params{Temperature: 1, Seed: seed})
		for range 40 {
			id, err := s.Next(logits)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	if !slices.Equal(draw(1), draw(1)) || slices.Equal(draw(1), draw(2)) {
		t.Error("tokens do not depend on the seed alone")
	}
}

func TestAllocations(t *testing.T) {
	logits := make([]float32, 5000)
	for i := range logits {
		logits[i] = float32(i % 97)
	}
	for _, p := range []Params{{}, {Temperature: 1}, {Temperature: 1, TopK: 40}, {Temperature: 1, TopP: 0.9}, {Temperature: 1, MinP: 0.1, RepetitionPenalty: 1.1}} {
		s := New(p)
		step := func() {
			id, err := s.Next(logits)
			if err != nil {
				t.Fatal(err)
			}
			s.Accept(id % 8)
		}
		for range 8 {
			step()
		}
		if n := testing.AllocsPerRun(50, step); n > 0 {
			t.Errorf("%+v: %v allocations a token", p, n)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 151936)
	for i := range logits {
		logits[i] = float32(random.NormFloat64() * 3)
	}
	for _, p := range []Params{{}, {Temperature: 0.7}, {Temperature: 0.7, TopK: 40}, {Temperature: 0.7, TopP: 0.95}, {Temperature: 0.7, MinP: 0.05}} {
		b.Run(fmt.Sprintf("T=%v,k=%d,p=%v,min=%v", p.Temperature, p.TopK, p.TopP, p.MinP), func(b *testing.B) {
			s := New(p)
			for b.Loop() {
				if _, err := s.Next(logits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func Example() {
	logits := []float32{1.5, 4, 3.5, -2}
	s := New(Params{Temperature: 0.7, TopK: 2, Seed: 42})
	for range 5 {
		id, err := s.Next(logits)
		if err != nil {
			fmt.Println(err)
			return
		}
		s.Accept(id)
		fmt.Print(id, " ")
	}
	// Output: 1 1 1 1 2
}
