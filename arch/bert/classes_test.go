package bert

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/internal/golden"
)

// output runs what a class is for and returns the numbers of one text.
func runClass(ctx context.Context, m arch.Model, batch []arch.Tokens) (outputs [][]float32, ends [][]float32, err error) {
	switch m := m.(type) {
	case arch.SpanScorer:
		spans, err := m.Spans(ctx, batch)
		for _, s := range spans {
			outputs, ends = append(outputs, s.Start), append(ends, s.End)
		}
		return outputs, ends, err
	case arch.TextClassifier:
		outputs, err = m.Classify(ctx, batch)
	case arch.TokenClassifier:
		outputs, err = m.ClassifyTokens(ctx, batch)
	case arch.MaskedLM:
		for _, t := range batch {
			all := make([]int, len(t.IDs))
			for i := range all {
				all[i] = i
			}
			logits, err := m.Logits(ctx, t, all)
			if err != nil {
				return nil, nil, err
			}
			outputs = append(outputs, logits)
		}
	case arch.TextEncoder:
		outputs, err = m.Hidden(ctx, batch)
	}
	return outputs, nil, err
}

// TestClasses compares each class of each family with transformers in f32.
func TestClasses(t *testing.T) {
	b := golden.Backend(t)
	for _, class := range []string{
		"BertModel", "BertForQuestionAnswering", "BertForSequenceClassification", "BertForTokenClassification", "BertForMaskedLM",
		"DistilBertModel", "DistilBertForQuestionAnswering", "DistilBertForSequenceClassification", "DistilBertForTokenClassification", "DistilBertForMaskedLM",
		"RobertaModel", "RobertaForQuestionAnswering", "RobertaForSequenceClassification", "RobertaForTokenClassification", "RobertaForMaskedLM",
		"XLMRobertaForSequenceClassification",
	} {
		folder := filepath.Join("..", "testdata", "classes", class)
		var want struct {
			Inputs  [][]int32
			Outputs []struct{ Output, Start, End []float32 }
		}
		golden.ReadJSON(t, filepath.Join(folder, "reference.json"), &want)
		var batch []arch.Tokens
		for _, ids := range want.Inputs {
			batch = append(batch, arch.Tokens{IDs: ids})
		}
		for _, lane := range golden.Lanes {
			t.Run(class+"/"+lane.String(), func(t *testing.T) {
				m := golden.LoadFolder(t, b, folder, lane)
				got, ends, err := runClass(t.Context(), m.Model, batch)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range want.Outputs {
					name := fmt.Sprintf("text %d", i)
					if ends != nil {
						golden.Compare(t, name+" start", got[i], w.Start)
						golden.Compare(t, name+" end", ends[i], w.End)
						continue
					}
					golden.Compare(t, name, got[i], w.Output)
				}
			})
		}
	}
}

// TestBatches checks that a text's result does not depend on what runs beside it.
func TestBatches(t *testing.T) {
	m := golden.Load(t, golden.Backend(t), "tiny-bert", backend.Fuse).Model.(*Model)
	var batch []arch.Tokens
	for n := range 23 {
		ids := make([]int32, 1+n*4)
		for i := range ids {
			ids[i] = int32((i*i + n) % 300)
		}
		batch = append(batch, arch.Tokens{IDs: ids})
	}
	batch = append(batch, slices.Clone(batch)...)
	together, err := m.Hidden(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range batch {
		alone, err := m.Hidden(t.Context(), []arch.Tokens{text})
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, fmt.Sprintf("text %d", i), together[i], alone[0])
	}
}

// TestBadInput checks that bad tokens are refused with the reason.
func TestBadInput(t *testing.T) {
	m := golden.Load(t, golden.Backend(t), "tiny-bert", backend.Fuse).Model.(*Model)
	for _, c := range []struct {
		text arch.Tokens
		want string
	}{
		{arch.Tokens{}, "there is no token to run"},
		{arch.Tokens{IDs: make([]int32, 97)}, "it has 97 tokens, more than the model's 96"},
		{arch.Tokens{IDs: []int32{300}}, "token id 300 is outside the model's vocabulary of 300"},
		{arch.Tokens{IDs: []int32{-1}}, "token id -1 is outside the model's vocabulary of 300"},
		{arch.Tokens{IDs: []int32{1}, TypeIDs: []int32{2}}, "token type 2 is outside the model's 2 types"},
		{arch.Tokens{IDs: []int32{1}, TypeIDs: []int32{0, 0}}, "2 type ids for 1 tokens"},
	} {
		if _, err := m.Hidden(t.Context(), []arch.Tokens{c.text}); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	good := arch.Tokens{IDs: []int32{1}}
	if _, err := m.Hidden(t.Context(), []arch.Tokens{good, {}}); err == nil || err.Error() != "text 2: there is no token to run" {
		t.Errorf("a batch: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Hidden(ctx, []arch.Tokens{good}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}
