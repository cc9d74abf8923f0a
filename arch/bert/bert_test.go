package bert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/internal/golden"
	"emily/loader"
)

// TestReference compares hidden states and the pooler's output with transformers in f32.
func TestReference(t *testing.T) {
	b := golden.Backend(t)
	want := golden.OpenTensors(t, golden.Path("tiny", "tiny-bert.safetensors"))
	var file struct {
		Cases []struct {
			IDs   []int32 `json:"input_ids"`
			Types []int32 `json:"token_type_ids"`
		}
	}
	golden.ReadJSON(t, golden.Path("tiny", "tiny-bert.json"), &file)
	for _, lane := range golden.Lanes {
		t.Run(lane.String(), func(t *testing.T) {
			m := golden.Load(t, b, "tiny-bert", lane).Model.(*Model)
			var batch []arch.Tokens
			for _, c := range file.Cases {
				batch = append(batch, arch.Tokens{IDs: c.IDs, TypeIDs: c.Types})
			}
			hidden, err := m.Hidden(t.Context(), batch)
			if err != nil {
				t.Fatal(err)
			}
			pooled, err := m.Pooled(t.Context(), batch)
			if err != nil {
				t.Fatal(err)
			}
			for i := range batch {
				want.Check(t, fmt.Sprintf("%d.last_hidden_state", i), hidden[i])
				want.Check(t, fmt.Sprintf("%d.pooler_output", i), pooled[i])
			}
			states, err := m.Tap(t.Context(), batch[0])
			if err != nil {
				t.Fatal(err)
			}
			for i, h := range states {
				want.Check(t, fmt.Sprintf("0.hidden.%d", i), h)
			}
		})
	}
}

// TestSpans compares start and end logits with transformers in f32.
func TestSpans(t *testing.T) {
	b := golden.Backend(t)
	want := golden.OpenTensors(t, golden.Path("tiny", "tiny-distilbert-qa.safetensors"))
	var file struct {
		Cases []struct {
			IDs []int32 `json:"input_ids"`
		}
	}
	golden.ReadJSON(t, golden.Path("tiny", "tiny-distilbert-qa.json"), &file)
	for _, lane := range golden.Lanes {
		t.Run(lane.String(), func(t *testing.T) {
			m := golden.Load(t, b, "tiny-distilbert-qa", lane).Model.(*QuestionAnswering)
			var batch []arch.Tokens
			for _, c := range file.Cases {
				batch = append(batch, arch.Tokens{IDs: c.IDs})
			}
			got, err := m.Spans(t.Context(), batch)
			if err != nil {
				t.Fatal(err)
			}
			for i := range batch {
				want.Check(t, fmt.Sprintf("%d.start_logits", i), got[i].Start)
				want.Check(t, fmt.Sprintf("%d.end_logits", i), got[i].End)
			}
			states, err := m.Tap(t.Context(), batch[0])
			if err != nil {
				t.Fatal(err)
			}
			for i, h := range states {
				want.Check(t, fmt.Sprintf("0.hidden.%d", i), h)
			}
		})
	}
}

// TestBF16 compares hidden states computed in bf16.
func TestBF16(t *testing.T) {
	want := golden.OpenTensors(t, golden.Path("tiny", "tiny-bert.safetensors"))
	text := arch.Tokens{IDs: []int32{2, 77, 206, 151, 173, 184, 204, 77, 187, 168, 9, 3}}
	b := golden.Backend(t)
	for _, lane := range golden.Lanes {
		m := golden.LoadOptions(t, golden.Path("models", "tiny-bert"), arch.Options{Backend: b, Lane: lane, DType: backend.BF16})
		got, err := m.Model.(*Model).Hidden(t.Context(), []arch.Tokens{text})
		if err != nil {
			t.Fatal(err)
		}
		golden.CompareWithin(t, lane.String(), got[0], want.Get(t, "0.last_hidden_state"), golden.BF16Tolerance)
	}
}

// TestConfig checks that a config.json that cannot be is refused with the reason.
func TestConfig(t *testing.T) {
	b := golden.Backend(t)
	for _, c := range []struct{ fields, want string }{
		{`{"num_hidden_layers": 1000000000}`, "num_hidden_layers is 1000000000, which is not between 1 and 4096"},
		{`{"hidden_size": 0}`, "config.json: hidden_size is 0"},
		{`{"hidden_size": 128}`, "has shape [300 64], the configuration asks for [300 128]"},
		{`{"num_attention_heads": 3}`, "a hidden size of 64 does not divide into 3 heads"},
		{`{"hidden_act": "swishy"}`, `hidden_act: "swishy" is not supported`},
		{`{"position_embedding_type": "relative_key"}`, `position_embedding_type "relative_key" is not supported, only absolute is`},
		{`{"is_decoder": true}`, "a causal BERT is not supported"},
		{`{"type_vocab_size": -1}`, "type_vocab_size is -1"},
		{`{"num_labels": 1e9}`, "num_labels"},
		{`{"id2label": {"1": "a", "2": "b"}}`, "id2label has 2 entries but none for 0"},
	} {
		golden.CheckConfig(t, b, "tiny-bert", c.fields, c.want)
	}
}

// TestConcurrent runs one model from several goroutines and closes it meanwhile.
func TestConcurrent(t *testing.T) {
	folder, err := loader.Find(t.Context(), golden.Path("models", "tiny-bert"), loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := arch.Load(t.Context(), folder, arch.Options{Backend: golden.Backend(t)})
	if err != nil {
		t.Fatal(err)
	}
	m := loaded.Model.(*Model)
	text := func(n int) []arch.Tokens { return []arch.Tokens{{IDs: make([]int32, n)}} }
	want := map[int][]float32{}
	for n := 1; n <= 4; n++ {
		h, err := m.Hidden(t.Context(), text(n*9))
		if err != nil {
			t.Fatal(err)
		}
		want[n] = h[0]
	}
	var running, started sync.WaitGroup
	started.Add(len(want))
	for n := range want {
		running.Go(func() {
			for i := 0; ; i++ {
				got, err := m.Hidden(context.Background(), text(n*9))
				if i == 0 {
					started.Done()
				}
				if errors.Is(err, arch.ErrClosed) && i > 0 {
					return
				}
				if err != nil || !slices.Equal(got[0], want[n]) {
					t.Errorf("%d tokens: %v", n*9, err)
					return
				}
			}
		})
	}
	started.Wait()
	if err := loaded.Close(); err != nil {
		t.Error(err)
	}
	running.Wait()
}
