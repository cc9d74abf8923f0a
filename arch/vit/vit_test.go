package vit

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/internal/golden"
)

// TestReference compares hidden states, logits and labels with transformers in f32.
func TestReference(t *testing.T) {
	b := golden.Backend(t)
	want := golden.OpenTensors(t, golden.Path("tiny", "tiny-vit.safetensors"))
	var file struct {
		Cases []struct{ Top [][2]any }
	}
	golden.ReadJSON(t, golden.Path("tiny", "tiny-vit.json"), &file)
	for _, lane := range golden.Lanes {
		t.Run(lane.String(), func(t *testing.T) {
			m := golden.Load(t, b, "tiny-vit", lane).Model.(*Classifier)
			var images [][]float32
			for i := range file.Cases {
				images = append(images, want.Get(t, fmt.Sprintf("%d.pixel_values", i)))
			}
			logits, err := m.Classify(t.Context(), images)
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range file.Cases {
				want.Check(t, fmt.Sprintf("%d.logits", i), logits[i])
				for j, l := range m.Labels().Top(logits[i], 5) {
					if l.Name != c.Top[j][0] || math.Abs(l.Score-c.Top[j][1].(float64)) > 1e-4 {
						t.Errorf("image %d: label %d is %v, want %v", i, j, l, c.Top[j])
					}
				}
			}
			states, err := m.Tap(t.Context(), images[0])
			if err != nil {
				t.Fatal(err)
			}
			for i, h := range states[:len(states)-1] {
				want.Check(t, fmt.Sprintf("0.hidden.%d", i), h)
			}
		})
	}
}

// TestClasses compares each class with transformers in f32.
func TestClasses(t *testing.T) {
	b := golden.Backend(t)
	for _, class := range []string{
		"ViTModel", "ViTForImageClassification", "DeiTModel", "DeiTForImageClassification", "DeiTForImageClassificationWithTeacher",
	} {
		folder := filepath.Join("..", "testdata", "classes", class)
		var want struct {
			Inputs  [][]float32
			Outputs []struct{ Output []float32 }
		}
		golden.ReadJSON(t, filepath.Join(folder, "reference.json"), &want)
		for _, lane := range golden.Lanes {
			t.Run(class+"/"+lane.String(), func(t *testing.T) {
				var run func(context.Context, [][]float32) ([][]float32, error)
				switch m := golden.LoadFolder(t, b, folder, lane).Model.(type) {
				case arch.ImageClassifier:
					run = m.Classify
				case arch.ImageEncoder:
					run = m.Hidden
				}
				got, err := run(t.Context(), want.Inputs)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range want.Outputs {
					golden.Compare(t, fmt.Sprintf("image %d", i), got[i], w.Output)
				}
			})
		}
	}
}

// TestBadInput checks that an image of another size is refused with the reason.
func TestBadInput(t *testing.T) {
	m := golden.Load(t, golden.Backend(t), "tiny-vit", backend.Fuse).Model.(*Classifier)
	_, err := m.Classify(t.Context(), [][]float32{make([]float32, 7)})
	if err == nil || err.Error() != "image 1: 7 pixel values, want 3 x 48 x 48" {
		t.Error(err)
	}
	if _, err := m.Pooled(t.Context(), nil); err == nil || err.Error() != "the checkpoint has no pooler" {
		t.Error(err)
	}
}

// TestBF16 compares logits computed in bf16.
func TestBF16(t *testing.T) {
	want := golden.OpenTensors(t, golden.Path("tiny", "tiny-vit.safetensors"))
	b := golden.Backend(t)
	for _, lane := range golden.Lanes {
		m := golden.LoadOptions(t, golden.Path("models", "tiny-vit"), arch.Options{Backend: b, Lane: lane, DType: backend.BF16})
		got, err := m.Model.(*Classifier).Classify(t.Context(), [][]float32{want.Get(t, "0.pixel_values")})
		if err != nil {
			t.Fatal(err)
		}
		golden.CompareWithin(t, lane.String(), got[0], want.Get(t, "0.logits"), golden.BF16Tolerance)
	}
}

// TestConfig checks that a config.json that cannot be is refused with the reason.
func TestConfig(t *testing.T) {
	b := golden.Backend(t)
	for _, c := range []struct{ fields, want string }{
		{`{"image_size": 50}`, "an image of 50 x 50 pixels does not divide into patches of 8 x 8"},
		{`{"image_size": 100000000}`, "image_size is 100000000 by 100000000"},
		{`{"patch_size": 0}`, "patch_size is 0"},
		{`{"patch_size": [8, 6]}`, "the configuration asks for"},
		{`{"patch_size": "8"}`, "patch_size"},
		{`{"num_channels": 4}`, "has shape [48 3 8 8], the configuration asks for [48 4 8 8]"},
		{`{"num_hidden_layers": 1000000}`, "num_hidden_layers is 1000000, which is not between 1 and 4096"},
		{`{"num_attention_heads": 7}`, "a hidden size of 48 does not divide into 7 heads"},
	} {
		golden.CheckConfig(t, b, "tiny-vit", c.fields, c.want)
	}
}
