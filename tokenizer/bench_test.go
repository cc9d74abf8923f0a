package tokenizer

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var realModels = []string{"qwen3-tokenizer", "smollm2-135m-instruct", "whisper-tiny.en", "all-minilm-l6-v2"}

// corpus is English prose and code: the documentation and source of Go's standard library.
func corpus(t testing.TB, size int) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{"net/http", "go/types", "encoding/json", "math/big", "time", "crypto/tls", "unicode/utf8", "text/template"} {
		files, err := filepath.Glob(filepath.Join(runtime.GOROOT(), "src", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(data)
			if b.Len() >= size {
				return b.String()[:size]
			}
		}
	}
	if b.Len() == 0 {
		t.Skip("the source of Go's standard library is not installed")
	}
	return b.String()
}

func BenchmarkAppendIDs(b *testing.B) {
	text := corpus(b, 1<<20)
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
	text := corpus(b, 1<<20)
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
	text := corpus(b, 1<<20)
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
