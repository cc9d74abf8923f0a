package whisper

import (
	"math"
	"slices"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/internal/golden"
)

// TestAlign compares the attention of the alignment heads with what the same
// steps make of transformers' attention (testdata/align.py).
func TestAlign(t *testing.T) {
	var want struct {
		IDs       []int32
		Positions int
		Matrix    []float32
	}
	golden.ReadJSON(t, "testdata/align.json", &want)
	b, features := golden.Backend(t), readReference(t).Get(t, "0.features")
	for _, lane := range golden.Lanes {
		t.Run(lane.String(), func(t *testing.T) {
			w := newWindow(t, loadTiny(t, b, lane))
			if err := w.Encode(t.Context(), features); err != nil {
				t.Fatal(err)
			}
			got, err := w.Align(t.Context(), want.IDs, want.Positions)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "attention", got, want.Matrix)
		})
	}
}

// TestWarp checks the path on matrices whose best path is plain.
func TestWarp(t *testing.T) {
	for _, c := range []struct {
		matrix  []float32
		columns int
		want    []int
	}{
		{[]float32{5}, 1, []int{0}},
		{[]float32{9, 9, -9, -9, -9, -9, 9, 9}, 4, []int{0, 2}},
		{[]float32{9, -9, -9, -9, -9, 9, 9, -9, -9, -9, -9, 9}, 4, []int{0, 1, 3}},
		{[]float32{1, 1, 1}, 1, []int{0, 0, 0}},
	} {
		if got := warp(c.matrix, c.columns); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.matrix, got, c.want)
		}
	}
}

// TestMedianFilter checks the mirrored ends.
func TestMedianFilter(t *testing.T) {
	if got, want := medianFilter([]float32{5, 1, 4, 2, 9}, 3), []float32{1, 4, 2, 4, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	short := []float32{3, 1}
	if got := medianFilter(short, 7); !slices.Equal(got, short) {
		t.Errorf("%v", got)
	}
}

// TestRealWords compares word timestamps of a real model with the reference's (testdata/align.py).
func TestRealWords(t *testing.T) {
	var want struct {
		Tokens []string
		Times  []float64
	}
	golden.ReadJSON(t, "testdata/words.json", &want)
	m := golden.LoadFolder(t, golden.Backend(t), golden.Real(t, "whisper-tiny.en"), backend.Fuse).Model.(*Model)
	got, err := m.Transcribe(t.Context(), openAudio(t, "audio/librivox-0870.flac"), arch.TranscribeOptions{Words: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token := 0
	for _, w := range got.Segments[0].Words {
		start, text := want.Times[token], ""
		for len(text) < len(w.Text) && token < len(want.Tokens) {
			text += want.Tokens[token]
			token++
		}
		if w.Text != text || math.Abs(w.Start-start) > 0.021 || math.Abs(w.End-want.Times[token]) > 0.021 {
			t.Errorf("%q %.2f-%.2f, want %q %.2f-%.2f", w.Text, w.Start, w.End, text, start, want.Times[token])
		}
	}
	if token != len(want.Tokens) {
		t.Errorf("words of %d tokens, want %d", token, len(want.Tokens))
	}
}
