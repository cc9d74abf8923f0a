package arch_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"emily/arch"
	_ "emily/arch/bert"
	"emily/backend"
	"emily/internal/golden"
)

func newAnswerer(t testing.TB) *arch.Answerer {
	t.Helper()
	a, err := arch.NewAnswerer(golden.Load(t, golden.Backend(t), "tiny-distilbert-qa", backend.Fuse))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAnswer compares answers, their places and probabilities with the reference.
func TestAnswer(t *testing.T) {
	var file struct {
		Cases []struct {
			Question, Context, Answer string
			AnswerOffsets             [2]int `json:"answer_offsets"`
			Probability               float64
		}
	}
	golden.ReadJSON(t, golden.Path("tiny", "tiny-distilbert-qa.json"), &file)
	a := newAnswerer(t)
	for _, c := range file.Cases {
		got, err := a.Answer(t.Context(), c.Question, c.Context, arch.AnswerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Text != c.Answer || [2]int{got[0].Start, got[0].End} != c.AnswerOffsets || math.Abs(got[0].Score/c.Probability-1) > 1e-4 {
			t.Errorf("%s: got %+v, want %+v", c.Question, got, c)
		}
	}
}

// TestAnswerWindows checks texts that are longer than the model's window.
func TestAnswerWindows(t *testing.T) {
	a := newAnswerer(t)
	const question = "Who jumps?"
	sentence := "The quick brown fox jumps over the lazy dog. She had walked along the river for an hour before the rain began. "
	for _, repeat := range []int{1, 5, 40} {
		text := strings.Repeat(sentence, repeat)
		got, err := a.Answer(t.Context(), question, text, arch.AnswerOptions{TopK: 5, Stride: 16, NoAnswer: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 5 {
			t.Fatalf("%d answers", len(got))
		}
		for i, s := range got {
			if runes := []rune(text); s.Text != string(runes[s.Start:s.End]) {
				t.Errorf("answer %+v is not at its place", s)
			}
			if i > 0 && s.Score > got[i-1].Score {
				t.Errorf("answer %d is better than the one before it: %+v", i, got)
			}
		}
	}
	narrow, err := a.Answer(t.Context(), question, sentence, arch.AnswerOptions{Window: 7, MaxTokens: 4})
	if err != nil || len(narrow) != 1 || narrow[0].Text == "" || strings.Contains(narrow[0].Text, " ") {
		t.Errorf("windows of one token: %v, %v", narrow, err)
	}
}

// TestAnswerErrors checks what has no answer.
func TestAnswerErrors(t *testing.T) {
	a := newAnswerer(t)
	if got, err := a.Answer(t.Context(), "Who?", "", arch.AnswerOptions{}); err != nil || len(got) != 0 {
		t.Errorf("no text: %v, %v", got, err)
	}
	_, err := a.Answer(t.Context(), strings.Repeat("Who jumps? ", 60), "Me.", arch.AnswerOptions{})
	if err == nil || !strings.Contains(err.Error(), "leaves no room for the text in a window of 128") {
		t.Errorf("long question: %v", err)
	}
	if _, err := a.Answer(t.Context(), "Who?", "Me.", arch.AnswerOptions{TopK: -1}); err == nil {
		t.Error("-1 answers")
	}
	if _, err := arch.NewAnswerer(golden.LoadFolder(t, golden.Backend(t), filepath.Join("testdata", "classes", "BertModel"), backend.Fuse)); err == nil || err.Error() != "BertModel is a BertModel, which answers no questions: use emily embed" {
		t.Error(err)
	}
}
