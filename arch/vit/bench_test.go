package vit

import (
	"context"
	"fmt"
	"testing"

	"emily/internal/golden"
)

// BenchmarkViT classifies images in ViT-base's shape.
func BenchmarkViT(b *testing.B) {
	folder := golden.Random(b, "vit-base-patch16-224")
	be := golden.Backend(b)
	for _, lane := range golden.Lanes {
		m := golden.LoadFolder(b, be, folder, lane).Model.(*Classifier)
		for _, n := range []int{1, 4} {
			images := make([][]float32, n)
			for i := range images {
				images[i] = make([]float32, m.config.pixels())
				for j := range images[i] {
					images[i][j] = float32((j+i)%256)/127.5 - 1
				}
			}
			b.Run(fmt.Sprintf("%s/%d", lane, n), func(b *testing.B) {
				for b.Loop() {
					if _, err := m.Classify(context.Background(), images); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
