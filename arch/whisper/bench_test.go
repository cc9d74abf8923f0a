package whisper

import (
	"context"
	"testing"

	"emily/internal/golden"
)

// BenchmarkWhisper encodes a window of 30 s and decodes 25 tokens in Whisper-tiny's shape.
func BenchmarkWhisper(b *testing.B) {
	folder := golden.Random(b, "whisper-tiny")
	be := golden.Backend(b)
	for _, lane := range golden.Lanes {
		m := golden.LoadFolder(b, be, folder, lane).Model.(*Model)
		w := newWindow(b, m)
		features := make([]float32, m.config.NumMelBins*m.config.frames())
		for i := range features {
			features[i] = float32(i%61)/30 - 1
		}
		b.Run(lane.String()+"/encode", func(b *testing.B) {
			for b.Loop() {
				if err := w.Encode(context.Background(), features); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(lane.String()+"/25 tokens", func(b *testing.B) {
			for b.Loop() {
				w.Truncate(0)
				ids := []int32{50258, 50259, 50359, 50363}
				for range 25 {
					logits, err := w.Extend(context.Background(), ids)
					if err != nil {
						b.Fatal(err)
					}
					best := int32(0)
					for i, x := range logits {
						if x > logits[best] {
							best = int32(i)
						}
					}
					ids = []int32{best}
				}
			}
		})
	}
}
