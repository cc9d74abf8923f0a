//go:build linux && !nogpu

package cuda_test

import (
	"context"
	"fmt"
	"testing"

	"emily/arch"
	"emily/arch/bert"
	"emily/arch/vit"
	"emily/arch/whisper"
	"emily/backend"
	"emily/internal/golden"
)

// BenchmarkCUDAEncoders is a whole call of models with random weights: an
// answer of DistilBERT in 40 tokens, an image of ViT, and a window of Whisper
// with new states, encoded alone and with 25 tokens, one call each.
func BenchmarkCUDAEncoders(b *testing.B) {
	be := openDevice(b)
	for _, c := range []struct {
		name, model string
		call        func(b *testing.B, m arch.Model) func(ctx context.Context) error
	}{
		{"distilbert", "distilbert-base-uncased-distilled-squad", func(_ *testing.B, m arch.Model) func(context.Context) error {
			ids := make([]int32, 40)
			return func(ctx context.Context) error {
				_, err := m.(*bert.QuestionAnswering).Spans(ctx, []arch.Tokens{{IDs: ids}})
				return err
			}
		}},
		{"vit", "vit-base-patch16-224", func(_ *testing.B, m arch.Model) func(context.Context) error {
			pixels := ramp(3 * 224 * 224)
			return func(ctx context.Context) error {
				_, err := m.(*vit.Classifier).Classify(ctx, [][]float32{pixels})
				return err
			}
		}},
		{"whisper/encode", "whisper-tiny", func(_ *testing.B, m arch.Model) func(context.Context) error { return window(m, 0) }},
		{"whisper/25 tokens", "whisper-tiny", func(_ *testing.B, m arch.Model) func(context.Context) error { return window(m, 25) }},
	} {
		folder := golden.Random(b, c.model)
		for _, lane := range []backend.Lane{backend.Fuse, backend.Native} {
			for _, dtype := range []backend.DType{backend.BF16, backend.F32} {
				b.Run(fmt.Sprintf("%s/%s/%s", c.name, lane, dtype), func(b *testing.B) {
					run := c.call(b, golden.LoadOptions(b, folder, arch.Options{Backend: be, Lane: lane, DType: dtype, KV: dtype}).Model)
					for range 2 { // compiles and uploads
						if err := run(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
					for b.Loop() {
						if err := run(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// ramp are n numbers from -1 to 1.
func ramp(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i%256)/127.5 - 1
	}
	return x
}

// window encodes a window of sound and decodes some tokens.
func window(m arch.Model, tokens int) func(context.Context) error {
	model := m.(*whisper.Model)
	mels, frames := model.FeatureShape()
	features := ramp(mels * frames)
	return func(ctx context.Context) error {
		w, err := model.NewWindow()
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.Encode(ctx, features); err != nil {
			return err
		}
		for i := range tokens {
			if _, err := w.Extend(ctx, []int32{int32(i)}); err != nil {
				return err
			}
		}
		return nil
	}
}
