package qwen3

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/backend/cpu"
	"emily/loader"
)

const testdata = "../../testdata"

// reference is a file of testdata/tiny: inputs and outputs of transformers.
type reference struct {
	Cases []struct {
		InputIDs  []int32 `json:"input_ids"`
		GreedyIDs []int32 `json:"greedy_ids"`
	} `json:"cases"`
	tensors *loader.Checkpoint
}

func readReference(t *testing.T, name string) *reference {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdata, "tiny", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	r := &reference{}
	if err := json.Unmarshal(text, r); err != nil {
		t.Fatal(err)
	}
	folder, err := loader.Find(t.Context(), filepath.Join(testdata, "tiny", name+".safetensors"), loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.tensors, err = folder.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.tensors.Close() })
	return r
}

// check compares a result with a tensor of the reference: 5e-5 of its range.
func (r *reference) check(t *testing.T, name string, got []float32) {
	t.Helper()
	w := r.tensors.Weight(name)
	if w == nil {
		t.Fatalf("the reference has no %s", name)
	}
	want := make([]float32, w.Elements())
	copy(backend.BufferOf(want), w.Data)
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
		if got[i] != got[i] {
			t.Fatalf("%s: element %d is NaN", name, i)
		}
	}
	if share := worst / float64(slices.Max(want)-slices.Min(want)); share > 5e-5 {
		t.Errorf("%s: error %.3g of the range", name, share)
	}
}

func load(t *testing.T, b backend.Backend, name string, lane backend.Lane) (*Model, func()) {
	t.Helper()
	folder, err := loader.Find(t.Context(), filepath.Join(testdata, "models", name), loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := arch.Load(t.Context(), folder, arch.Options{Backend: b, Lane: lane, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	return m.Model.(*Model), func() { m.Close() }
}

var lanes = []backend.Lane{backend.Eager, backend.Native, backend.Fuse}

// TestReference compares hidden states, logits and greedy tokens with transformers in f32.
func TestReference(t *testing.T) {
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, name := range []string{"tiny-qwen3", "tiny-qwen3-untied", "tiny-llama", "tiny-llama3", "tiny-llama-bias", "tiny-qwen2-yarn", "tiny-mistral", "tiny-qwen3-dynamic"} {
		r := readReference(t, name)
		for _, lane := range lanes {
			t.Run(fmt.Sprintf("%s/%s", name, lane), func(t *testing.T) {
				m, closeModel := load(t, b, name, lane)
				defer closeModel()
				for i, c := range r.Cases {
					seq, err := m.NewSequence()
					if err != nil {
						t.Fatal(err)
					}
					logits, err := seq.Logits(t.Context(), c.InputIDs, true)
					if err != nil {
						t.Fatal(err)
					}
					r.check(t, fmt.Sprintf("%d.logits", i), logits)
					hidden, err := m.Tap(t.Context(), c.InputIDs)
					if err != nil {
						t.Fatal(err)
					}
					r.check(t, fmt.Sprintf("%d.final", i), hidden[len(hidden)-1])
					if i == 0 {
						for j, h := range hidden[:len(hidden)-1] {
							r.check(t, fmt.Sprintf("0.hidden.%d", j), h)
						}
					}
					if got := greedy(t, m, c.InputIDs, len(c.GreedyIDs)); !slices.Equal(got, c.GreedyIDs) {
						t.Errorf("case %d: greedy tokens\n%v, want\n%v", i, got, c.GreedyIDs)
					}
					seq.Close()
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
