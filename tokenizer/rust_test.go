//go:build hftokenizers

package tokenizer

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// codecs loads a tokenizer in both implementations.
func codecs(t testing.TB, data []byte) (*Tokenizer, *Rust) {
	t.Helper()
	ours, err := Load(data)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := LoadRust(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// eachTokenizer runs f with the real tokenizers, or with the small ones if there are no real ones.
func eachTokenizer(t *testing.T, f func(t *testing.T, data []byte)) {
	if os.Getenv("EMILY_REAL") != "" {
		for _, model := range append(slices.Clone(realModels), "whisper-base") {
			t.Run(model, func(t *testing.T) { f(t, realFile(t, model, "tokenizer.json")) })
		}
		return
	}
	for _, name := range tinyModels {
		t.Run(name, func(t *testing.T) { f(t, tinyFile(t, name)) })
	}
}

// TestRust compares ids over 6 MB: source code, the golden texts and random text of many scripts.
func TestRust(t *testing.T) {
	texts := strings.SplitAfter(goSource(t, 3<<20), "\n\n")
	for _, model := range []string{"all-minilm-l6-v2", "qwen3-tokenizer", "smollm2-135m-instruct", "whisper-tiny.en"} {
		for _, c := range readGolden(t, "testdata/golden/"+model+".jsonl") {
			texts = append(texts, c.Text)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	for size < 6<<20 {
		text := randomText(r, 100)
		texts = append(texts, text)
		size += len(text)
	}
	eachTokenizer(t, func(t *testing.T, data []byte) {
		ours, theirs := codecs(t, data)
		if ours.Size() != theirs.Size() {
			t.Errorf("Size is %d, want %d", ours.Size(), theirs.Size())
		}
		var got, want []int32
		tokens := 0
		for _, text := range texts {
			text = strings.ReplaceAll(text, "\x00", "")
			got, want = ours.AppendIDs(got[:0], text, true), theirs.AppendIDs(want[:0], text, true)
			if !slices.Equal(got, want) {
				t.Fatalf("%q: ids %v, want %v", text, got, want)
			}
			if a, b := ours.Decode(got, true), theirs.Decode(got, true); a != b {
				t.Fatalf("%q: decoded %q, want %q", text, a, b)
			}
			tokens += len(got)
		}
		t.Logf("%d texts, %d bytes, %d tokens are equal", len(texts), size, tokens)
	})
}

func BenchmarkRust(b *testing.B) {
	text := goSource(b, 1<<20)
	for _, model := range realModels {
		ours, theirs := codecs(b, realFile(b, model, "tokenizer.json"))
		for name, codec := range map[string]Codec{"go": ours, "rust": theirs} {
			b.Run(model+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				var ids []int32
				for b.Loop() {
					ids = codec.AppendIDs(ids[:0], text, false)
				}
			})
		}
	}
}
