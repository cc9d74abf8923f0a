package random

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"emily/backend"
	"emily/loader"
)

// TestParameters compares the built-in models with the sizes that their
// publishers state.
func TestParameters(t *testing.T) {
	want := map[string]int64{
		"qwen3-0.6b": 596049920,
		"qwen3-4b":   4022468096,
		"distilbert-base-uncased-distilled-squad": 66364418,
		"vit-base-patch16-224":                    86567656,
		"whisper-tiny":                            37760640,
	}
	if len(want) != len(Names()) {
		t.Errorf("built-in: %v", Names())
	}
	for name, parameters := range want {
		m, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		if m.Parameters() != parameters {
			t.Errorf("%s has %d parameters, want %d", name, m.Parameters(), parameters)
		}
	}
	if _, err := Named("gpt-9"); err == nil || !strings.Contains(err.Error(), "there are") {
		t.Errorf("unknown name: %v", err)
	}
}

// TestTensors compares the lists of tensors with complete checkpoints of the
// same architectures that transformers wrote.
func TestTensors(t *testing.T) {
	for _, name := range []string{"tiny-qwen3", "tiny-qwen3-untied", "tiny-llama", "tiny-llama3", "tiny-distilbert-qa", "tiny-vit", "tiny-whisper"} {
		folder, err := loader.Find(context.Background(), filepath.Join("..", "..", "..", "testdata", "models", name), loader.Options{})
		if err != nil {
			t.Fatal(err)
		}
		real, err := folder.Tensors()
		if err != nil {
			t.Fatal(err)
		}
		config, err := folder.Config()
		if err != nil {
			t.Fatal(err)
		}
		m, err := FromConfig(config.Raw)
		if err != nil {
			t.Fatal(err)
		}
		shapes := make(map[string][]int)
		for _, x := range m.tensors {
			shapes[x.name] = x.shape
		}
		for _, x := range real {
			if !slices.Equal(shapes[x.Name], x.Shape) || x.DType != m.dtype {
				t.Errorf("%s: %s is %v %s, want %v %s", name, x.Name, shapes[x.Name], m.dtype, x.Shape, x.DType)
			}
			delete(shapes, x.Name)
		}
		if len(shapes) > 0 {
			t.Errorf("%s: left over: %v", name, shapes)
		}
	}
}

func TestWrite(t *testing.T) {
	config, err := os.ReadFile("../../../testdata/models/tiny-qwen3/config.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := FromConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, seed := range map[string]uint64{"a": 1, "b": 1, "c": 2} {
		if err := m.Write(context.Background(), filepath.Join(dir, name), seed); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if !bytes.Equal(read("a"), read("b")) || bytes.Equal(read("a"), read("c")) {
		t.Error("the weights do not depend on the seed alone")
	}
	if err := m.Write(context.Background(), filepath.Join(dir, "a"), 1); err == nil {
		t.Error("a checkpoint was overwritten")
	}
	folder, err := loader.Find(context.Background(), filepath.Join(dir, "a"), loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := folder.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, mean := range map[string]float64{"model.embed_tokens.weight": 0, "model.norm.weight": 1} {
		w := c.Weight(name)
		if w == nil || w.DType != backend.BF16 {
			t.Fatalf("%s: %+v", name, w)
		}
		got, deviation := moments(w)
		bound := 5 * std / math.Sqrt(float64(w.Elements()))
		// bf16 near 1 has steps of 0.0078 below and 0.0156 above, so the mean shifts a little.
		if mean == 1 {
			bound += 0.001
		}
		if math.Abs(got-mean) > bound || math.Abs(deviation-std) > 0.25*std {
			t.Errorf("%s: mean %v, deviation %v", name, got, deviation)
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Write(ctx, filepath.Join(dir, "d"), 1); err == nil {
		t.Error("a cancelled write succeeded")
	}
	left, err := filepath.Glob(filepath.Join(dir, "d", "model*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func moments(w *backend.Weight) (mean, deviation float64) {
	var sum, squares float64
	for i := range w.Elements() {
		v := float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(w.Data[2*i:])) << 16))
		sum += v
		squares += v * v
	}
	n := float64(w.Elements())
	return sum / n, math.Sqrt(squares/n - sum/n*sum/n)
}

// TestThreads checks that the number of buffers, and so of threads, does not
// change what is written.
func TestThreads(t *testing.T) {
	v := newValues("F32", 0)
	const n = 3*chunk + 7
	var one, three bytes.Buffer
	for out, buffers := range map[*bytes.Buffer]int{&one: 1, &three: 3} {
		if err := v.write(context.Background(), out, n, 5, make([][]byte, buffers)); err != nil {
			t.Fatal(err)
		}
	}
	if one.Len() != 4*n || !bytes.Equal(one.Bytes(), three.Bytes()) {
		t.Errorf("%d and %d bytes differ", one.Len(), three.Len())
	}
}

func TestFromConfigRejects(t *testing.T) {
	for _, config := range []string{
		``, `[]`, `{}`, `{"model_type":"mamba"}`, `{"model_type":"qwen3"}`, `{"model_type":"vit","hidden_size":-1}`,
		`{"model_type":"whisper","d_model":"x"}`, `{"model_type":"distilbert","torch_dtype":"float16"}`,
	} {
		if _, err := FromConfig([]byte(config)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", config, err)
		}
	}
}

func BenchmarkValues(b *testing.B) {
	v := newValues("BF16", 0)
	buffers := make([][]byte, 2)
	b.SetBytes(8 * chunk * 2)
	for b.Loop() {
		if err := v.write(context.Background(), io.Discard, 8*chunk, 1, buffers); err != nil {
			b.Fatal(err)
		}
	}
}
