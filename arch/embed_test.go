package arch_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/internal/golden"
)

func embedder(t testing.TB, path string) *arch.Embedder {
	t.Helper()
	e, err := arch.NewEmbedder(golden.LoadFolder(t, golden.Backend(t), path, backend.Fuse))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestRealEmbeddings compares all-MiniLM-L6-v2 with transformers.
func TestRealEmbeddings(t *testing.T) {
	folder := golden.Real(t, "all-minilm-l6-v2")
	var file struct{ Sentences []string }
	golden.ReadJSON(t, golden.Path("real", "all-minilm-l6-v2.json"), &file)
	want := golden.OpenTensors(t, golden.Path("real", "all-minilm-l6-v2.safetensors")).Get(t, "embeddings")
	b := golden.Backend(t)
	for _, lane := range golden.Lanes {
		e, err := arch.NewEmbedder(golden.LoadFolder(t, b, folder, lane))
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Embed(t.Context(), file.Sentences)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			for j, x := range v {
				if d := math.Abs(float64(x - want[i*e.Size()+j])); !(d <= 1e-5) {
					t.Fatalf("%s: sentence %d: element %d is off by %g", lane, i, j, d)
				}
			}
		}
	}
}

// TestPooling computes each way of pooling by hand from the hidden states.
func TestPooling(t *testing.T) {
	for _, c := range []struct {
		mode string // true in the pooling's config.json
		want func(column []float64) float64
	}{
		{"pooling_mode_mean_tokens", func(x []float64) float64 { return sum(x) / float64(len(x)) }},
		{"pooling_mode_cls_token", func(x []float64) float64 { return x[0] }},
		{"pooling_mode_mean_sqrt_len_tokens", func(x []float64) float64 { return sum(x) / math.Sqrt(float64(len(x))) }},
		{"pooling_mode_max_tokens", func(x []float64) float64 {
			top := x[0]
			for _, v := range x {
				top = max(top, v)
			}
			return top
		}},
	} {
		t.Run(c.mode, func(t *testing.T) {
			folder := sentenceModel(t, map[string]string{
				"modules.json":          `[{"path": "", "type": "sentence_transformers.models.Transformer"}, {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]`,
				"1_Pooling/config.json": fmt.Sprintf(`{"word_embedding_dimension": 64, %q: true, "pooling_mode_lasttoken": false}`, c.mode),
			})
			loaded := golden.LoadFolder(t, golden.Backend(t), folder, backend.Fuse)
			e, err := arch.NewEmbedder(loaded)
			if err != nil {
				t.Fatal(err)
			}
			text := "The quick brown fox"
			got, err := e.Embed(t.Context(), []string{text})
			if err != nil {
				t.Fatal(err)
			}
			tok, err := arch.ReadTokenizer(loaded.Folder)
			if err != nil {
				t.Fatal(err)
			}
			hidden, err := loaded.Model.(arch.TextEncoder).Hidden(t.Context(), []arch.Tokens{{IDs: tok.Encode(text, true).IDs}})
			if err != nil {
				t.Fatal(err)
			}
			for j := range e.Size() {
				var column []float64
				for i := j; i < len(hidden[0]); i += e.Size() {
					column = append(column, float64(hidden[0][i]))
				}
				if want := c.want(column); math.Abs(float64(got[0][j])-want) > 1e-5 {
					t.Fatalf("element %d is %v, want %v", j, got[0][j], want)
				}
			}
		})
	}
}

func sum(x []float64) (s float64) {
	for _, v := range x {
		s += v
	}
	return s
}

// sentenceModel is tiny-bert in a new folder with more files.
func sentenceModel(t testing.TB, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(golden.Path("models", "tiny-bert"))); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestEmbed checks length, truncation, and that neighbours do not matter.
func TestEmbed(t *testing.T) {
	e := embedder(t, sentenceModel(t, map[string]string{"sentence_bert_config.json": `{"max_seq_length": 12}`}))
	if e.MaxTokens() != 12 || e.Size() != 64 {
		t.Errorf("%d tokens, size %d", e.MaxTokens(), e.Size())
	}
	long := strings.Repeat("the river ", 50)
	texts := []string{"Hello", long, "", "the river " + long, "The quick brown fox"}
	for len(texts) < 150 {
		texts = append(texts, strings.Repeat("a b ", len(texts)%7))
	}
	got, err := e.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		squares := 0.0
		for _, x := range got[i] {
			squares += float64(x) * float64(x)
		}
		if math.Abs(squares-1) > 1e-5 {
			t.Errorf("text %d has length %v", i, math.Sqrt(squares))
		}
		if i%10 < 5 {
			alone, err := e.Embed(t.Context(), []string{text})
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, text, got[i], alone[0])
		}
	}
	golden.Compare(t, "what is cut off does not matter", got[1], got[3])
}

// TestEmbedderErrors checks recipes that are not supported.
func TestEmbedderErrors(t *testing.T) {
	b := golden.Backend(t)
	for _, c := range []struct{ modules, pooling, want string }{
		{`[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]`, `{}`, "has a module Dense; Transformer, Pooling and Normalize are supported"},
		{`[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]`, `{"pooling_mode_lasttoken": true}`, "the pooling [pooling_mode_lasttoken] is not supported"},
		{`[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]`, `{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}`, "the pooling [pooling_mode_cls_token pooling_mode_mean_tokens] is not supported"},
	} {
		folder := sentenceModel(t, map[string]string{"modules.json": c.modules, "1_Pooling/config.json": c.pooling})
		_, err := arch.NewEmbedder(golden.LoadFolder(t, b, folder, backend.Fuse))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.pooling, err)
		}
	}
}
