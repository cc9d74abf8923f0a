package tokenizer

import "testing"

var realModels = []string{"qwen3-tokenizer", "smollm2-135m-instruct", "whisper-tiny.en", "all-minilm-l6-v2"}

func BenchmarkAppendIDs(b *testing.B) {
	text := goSource(b, 1<<20)
	for _, model := range realModels {
		b.Run(model, func(b *testing.B) {
			tok := loadReal(b, model)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var ids []int32
			for b.Loop() {
				ids = tok.AppendIDs(ids[:0], text, false)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	text := goSource(b, 1<<20)
	for _, model := range realModels {
		b.Run(model, func(b *testing.B) {
			tok := loadReal(b, model)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Encode(text, false)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	text := goSource(b, 1<<20)
	for _, model := range realModels {
		b.Run(model, func(b *testing.B) {
			tok := loadReal(b, model)
			ids := tok.AppendIDs(nil, text, false)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Decode(ids, false)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, model := range realModels {
		b.Run(model, func(b *testing.B) {
			data := realFile(b, model, "tokenizer.json")
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Load(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
