package qwen3

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"emily/internal/golden"
)

// TestReference compares hidden states, logits and greedy tokens with transformers in f32.
func TestReference(t *testing.T) {
	b := golden.Backend(t)
	for _, name := range []string{"tiny-qwen3", "tiny-qwen3-untied", "tiny-llama", "tiny-llama3", "tiny-llama-bias", "tiny-qwen2-yarn", "tiny-mistral", "tiny-qwen3-dynamic"} {
		want := golden.OpenTensors(t, golden.Path("tiny", name+".safetensors"))
		var file struct {
			Cases []struct {
				InputIDs  []int32 `json:"input_ids"`
				GreedyIDs []int32 `json:"greedy_ids"`
			}
		}
		golden.ReadJSON(t, golden.Path("tiny", name+".json"), &file)
		for _, lane := range golden.Lanes {
			t.Run(fmt.Sprintf("%s/%s", name, lane), func(t *testing.T) {
				m := golden.Load(t, b, name, lane).Model.(*Model)
				for i, c := range file.Cases {
					seq, err := m.NewSequence()
					if err != nil {
						t.Fatal(err)
					}
					defer seq.Close()
					logits, err := seq.Logits(t.Context(), c.InputIDs, true)
					if err != nil {
						t.Fatal(err)
					}
					want.Check(t, fmt.Sprintf("%d.logits", i), logits)
					hidden, err := m.Tap(t.Context(), c.InputIDs)
					if err != nil {
						t.Fatal(err)
					}
					want.Check(t, fmt.Sprintf("%d.final", i), hidden[len(hidden)-1])
					if i == 0 {
						for j, h := range hidden[:len(hidden)-1] {
							want.Check(t, fmt.Sprintf("0.hidden.%d", j), h)
						}
					}
					if got := greedy(t, m, c.InputIDs, len(c.GreedyIDs)); !slices.Equal(got, c.GreedyIDs) {
						t.Errorf("case %d: greedy tokens\n%v, want\n%v", i, got, c.GreedyIDs)
					}
					if i > 0 {
						continue
					}
					ids := c.GreedyIDs[:min(len(c.GreedyIDs), 16)]
					if got := closedLoop(t, m, c.InputIDs, len(ids)); !slices.Equal(got, ids) {
						t.Errorf("tokens of the closed loop\n%v, want\n%v", got, ids)
					}
				}
			})
		}
	}
}

func greedy(t *testing.T, m *Model, ids []int32, n int) []int32 {
	t.Helper()
	seq, err := m.NewSequence()
	if err != nil {
		t.Fatal(err)
	}
	defer seq.Close()
	var out []int32
	for range n {
		top, _, err := seq.Extend(context.Background(), ids, 1)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, top[0])
		ids = []int32{top[0]}
	}
	return out
}

func closedLoop(t *testing.T, m *Model, ids []int32, n int) []int32 {
	t.Helper()
	seq, err := m.NewSequence()
	if err != nil {
		t.Fatal(err)
	}
	defer seq.Close()
	top, _, err := seq.Extend(t.Context(), ids, 1)
	if err != nil {
		t.Fatal(err)
	}
	out := []int32{top[0]}
	if err := seq.Greedy(t.Context(), out[0], n-1, func(id int32) bool { out = append(out, id); return true }); err != nil {
		t.Fatal(err)
	}
	return out
}
