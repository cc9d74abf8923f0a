package emu_test

import (
	"slices"
	"testing"

	"emily/arch"
	_ "emily/arch/qwen3"
	"emily/internal/golden"
)

// TestModel compares a whole decoder with transformers in every lane: the
// logits of a prompt, then greedy tokens. All models run here with
// EMILY_TEST_BACKEND=emu go test ./arch/...
func TestModel(t *testing.T) {
	b := open(t)
	want := golden.OpenTensors(t, golden.Path("tiny", "tiny-qwen3.safetensors"))
	var file struct {
		Cases []struct {
			InputIDs  []int32 `json:"input_ids"`
			GreedyIDs []int32 `json:"greedy_ids"`
		}
	}
	golden.ReadJSON(t, golden.Path("tiny", "tiny-qwen3.json"), &file)
	c := file.Cases[0]
	for _, lane := range golden.Lanes {
		t.Run(lane.String(), func(t *testing.T) {
			seq, err := golden.Load(t, b, "tiny-qwen3", lane).Model.(arch.Decoder).NewSequence()
			if err != nil {
				t.Fatal(err)
			}
			defer seq.Close()
			logits, err := seq.Logits(t.Context(), c.InputIDs, true)
			if err != nil {
				t.Fatal(err)
			}
			want.Check(t, "0.logits", logits)
			seq.Truncate(0)
			ids, greedy := c.InputIDs, c.GreedyIDs[:min(8, len(c.GreedyIDs))]
			var got []int32
			for range greedy {
				top, _, err := seq.Extend(t.Context(), ids, 1)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, top[0])
				ids = []int32{top[0]}
			}
			if !slices.Equal(got, greedy) {
				t.Errorf("greedy tokens %v, want %v", got, greedy)
			}
		})
	}
}
