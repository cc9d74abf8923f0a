// Package golden helps tests to compare models with reference outputs: the
// folders testdata/models and testdata/tiny, and real models where they are present.
package golden

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/backend/cpu"
	"emily/backend/gpu/cuda"
	"emily/backend/gpu/emu"
	"emily/loader"
	"emily/tools/randommodel/random"
)

// Lanes are all lanes, the plainest first.
var Lanes = []backend.Lane{backend.Eager, backend.Native, backend.Fuse}

// Tolerance is the largest error of a float32 result, as a share of its range.
const Tolerance = 5e-5

// BF16Tolerance is that of a result computed or cached in bf16.
const BF16Tolerance = 2e-2

// Path returns a path below the repository's testdata.
func Path(elem ...string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(append([]string{filepath.Dir(file), "..", "..", "testdata"}, elem...)...)
}

// Backend starts the backend for a test: the CPU, or the one that the
// environment variable EMILY_TEST_BACKEND names, emu or cuda.
func Backend(t testing.TB) backend.Backend {
	t.Helper()
	b, err := open(os.Getenv("EMILY_TEST_BACKEND"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func open(name string) (backend.Backend, error) {
	switch name {
	case "", "cpu":
		return cpu.New(cpu.Options{})
	case "emu":
		return emu.New()
	case "cuda":
		return cuda.New(0)
	}
	return nil, fmt.Errorf("EMILY_TEST_BACKEND=%s: choose cpu, emu or cuda", name)
}

// Load loads one of the tiny models. An op without a kernel is an error.
func Load(t testing.TB, b backend.Backend, name string, lane backend.Lane) *arch.Loaded {
	t.Helper()
	return LoadFolder(t, b, Path("models", name), lane)
}

// LoadFolder loads a model from a folder. An op without a kernel is an error.
func LoadFolder(t testing.TB, b backend.Backend, path string, lane backend.Lane) *arch.Loaded {
	t.Helper()
	return LoadOptions(t, path, arch.Options{Backend: b, Lane: lane, Strict: true})
}

// LoadOptions loads a model from a folder.
func LoadOptions(t testing.TB, path string, opt arch.Options) *arch.Loaded {
	t.Helper()
	folder, err := loader.Find(context.Background(), path, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := arch.Load(context.Background(), folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// Real returns the folder of a real model, below the one that the environment
// variable EMILY_REAL names, or skips the test.
func Real(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("EMILY_REAL")
	if root == "" {
		t.Skip("set EMILY_REAL to the folder that tools/realmodels fills, to compare real models too")
	}
	return filepath.Join(root, name)
}

// Random writes a model of a real shape with random weights, for benchmarks,
// and returns its folder.
func Random(t testing.TB, name string) string {
	t.Helper()
	m, err := random.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), name)
	if err := m.Write(context.Background(), folder, 1); err != nil {
		t.Fatal(err)
	}
	return folder
}

// CheckConfig changes fields of the config.json of a tiny model, given as JSON,
// and checks that loading the model fails with a message that holds want.
func CheckConfig(t *testing.T, b backend.Backend, name, fields, want string) {
	t.Helper()
	path := t.TempDir()
	if err := os.CopyFS(path, os.DirFS(Path("models", name))); err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	ReadJSON(t, filepath.Join(path, "config.json"), &config)
	if err := json.Unmarshal([]byte(fields), &config); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(filepath.Join(path, "config.json"), text, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	folder, err := loader.Find(context.Background(), path, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := arch.Load(context.Background(), folder, arch.Options{Backend: b})
	if err == nil {
		m.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %s", fields, err, want)
	}
}

// ReadJSON decodes a file.
func ReadJSON(t testing.TB, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Tensors are reference outputs.
type Tensors struct{ checkpoint *loader.Checkpoint }

// OpenTensors opens a safetensors file.
func OpenTensors(t testing.TB, path string) Tensors {
	t.Helper()
	folder, err := loader.Find(context.Background(), path, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := folder.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return Tensors{c}
}

// Get returns the elements of a tensor.
func (r Tensors) Get(t testing.TB, name string) []float32 {
	t.Helper()
	w := r.checkpoint.Weight(name)
	if w == nil || w.DType != backend.F32 {
		t.Fatalf("the reference has no f32 tensor %s", name)
	}
	x := make([]float32, w.Elements())
	copy(backend.BufferOf(x), w.Data)
	return x
}

// Check compares a result with a tensor: the largest error may be Tolerance
// times the tensor's range.
func (r Tensors) Check(t testing.TB, name string, got []float32) {
	t.Helper()
	Compare(t, name, got, r.Get(t, name))
}

// Compare compares a result with what is wanted, as Check does.
func Compare(t testing.TB, name string, got, want []float32) {
	t.Helper()
	CompareWithin(t, name, got, want, Tolerance)
}

// CompareWithin is Compare with another tolerance, as for bf16.
func CompareWithin(t testing.TB, name string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	low, high, worst := math.Inf(1), math.Inf(-1), 0.0
	for i, w := range want {
		if got[i] != got[i] {
			t.Fatalf("%s: element %d is NaN", name, i)
		}
		low, high = min(low, float64(w)), max(high, float64(w))
		worst = max(worst, math.Abs(float64(got[i]-w)))
	}
	if share := worst / (high - low); share > tolerance {
		t.Errorf("%s: error %.3g of the range", name, share)
	}
}
