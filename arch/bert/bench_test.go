package bert

import (
	"context"
	"fmt"
	"testing"

	"emily/arch"
	"emily/internal/golden"
)

// BenchmarkDistilBERT scores the answers of a question in DistilBERT-base's
// shape: 43 tokens alone, and 8 texts of 128 tokens.
func BenchmarkDistilBERT(b *testing.B) {
	folder := golden.Random(b, "distilbert-base-uncased-distilled-squad")
	be := golden.Backend(b)
	for _, lane := range golden.Lanes {
		m := golden.LoadFolder(b, be, folder, lane).Model.(*QuestionAnswering)
		for _, c := range []struct{ texts, tokens int }{{1, 43}, {8, 128}} {
			batch := make([]arch.Tokens, c.texts)
			for i := range batch {
				batch[i].IDs = make([]int32, c.tokens)
				for j := range batch[i].IDs {
					batch[i].IDs[j] = int32(1000 + 7*i + j)
				}
			}
			b.Run(fmt.Sprintf("%s/%dx%d", lane, c.texts, c.tokens), func(b *testing.B) {
				for b.Loop() {
					if _, err := m.Spans(context.Background(), batch); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
