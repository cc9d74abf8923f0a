package bert

import (
	"fmt"
	"testing"

	"emily/arch"
	"emily/internal/golden"
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
