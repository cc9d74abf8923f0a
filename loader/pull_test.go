package loader

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"emily/loader/hub"
	"emily/loader/hub/hubtest"
)

// filesOf returns the files of a tiny model and others that a repository has.
func filesOf(t *testing.T, model string, more map[string]string) map[string]string {
	t.Helper()
	files := map[string]string{}
	dir := os.DirFS(filepath.Join("..", "testdata", "models", model))
	err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dir, path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range more {
		files[name] = text
	}
	return files
}

// online returns options that download from a test hub.
func online(s *hubtest.Server, cache string) Options {
	return Options{Getenv: s.Env(cache), Download: true}
}

// names lists the files of a folder.
func names(t *testing.T, f *Folder) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(f.Path()), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// litter is what repositories have besides.
var litter = map[string]string{
	".gitattributes": "", "README.md": "# Model", "pytorch_model.bin": "pickle", "model.onnx": "onnx", "onnx/model.onnx": "onnx",
	"model.Q4_0.gguf": "gguf", "vocab.json": "{}", "merges.txt": "", "flax_model.msgpack": "", "original/consolidated.00.pth": "",
	"special_tokens_map.json": "{}", "1_Pooling/config.json": "{}", "modules.json": "[]", "runs/config.json": "{}",
}

func TestPullChoosesFiles(t *testing.T) {
	s := hubtest.New(t)
	commit := s.Add("org/one", filesOf(t, "tiny-llama", litter))
	s.Add("org/shards", filesOf(t, "tiny-qwen3-untied", litter))
	s.Add("org/odd", map[string]string{"config.json": "{}", "weights.safetensors": string(file("{}", 0)), "pytorch_model.bin": "x"})
	small := []string{"1_Pooling/config.json", "config.json", "generation_config.json", "modules.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
	tests := []struct {
		ref  string
		want []string
	}{
		{"org/one", append(slices.Clone(small), "model.safetensors")},
		{"org/one@" + commit, append(slices.Clone(small), "model.safetensors")},
		{"org/shards", append(slices.Clone(small), "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")},
		{"org/odd", []string{"config.json", "weights.safetensors"}},
	}
	for _, tt := range tests {
		cache := t.TempDir()
		f, err := Pull(t.Context(), tt.ref, online(s, cache))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names(t, f) {
			if !slices.Contains(tt.want, name) {
				t.Errorf("%s: %s was fetched", tt.ref, name)
			}
		}
		got := names(t, f)
		if need := tt.want[len(tt.want)-1]; !slices.Contains(got, need) || !slices.Contains(got, "config.json") {
			t.Errorf("%s: %v was fetched, without %s or config.json", tt.ref, got, need)
		}
		if _, err := f.Tensors(); err != nil {
			t.Error(err)
		}
		name, _, _ := strings.Cut(tt.ref, "@")
		if f.Name() != name || !hub.IsCommit(f.Revision()) {
			t.Errorf("%s at %s", f.Name(), f.Revision())
		}
		again, err := Find(t.Context(), tt.ref, Options{Getenv: s.Env(cache)})
		if err != nil || again.Path() != f.Path() {
			t.Errorf("found in %v: %v", again, err)
		}
	}
}

func TestPullRefuses(t *testing.T) {
	const index = "model.safetensors.index.json"
	s := hubtest.New(t)
	weights := string(file("{}", 0))
	for name, files := range map[string]map[string]string{
		"org/bin":      {"config.json": "{}", "pytorch_model.bin": "x"},
		"org/gguf":     {"model.gguf": "x"},
		"org/empty":    {},
		"org/noconfig": {"model.safetensors": weights},
		"org/page":     {"config.json": "<html>", "model.safetensors": weights},
		"org/escape":   {"config.json": "{}", index: `{"weight_map":{"a":"../../../../x.safetensors"}}`},
		"org/absolute": {"config.json": "{}", index: `{"weight_map":{"a":"/etc/x.safetensors"}}`},
		"org/drive":    {"config.json": "{}", index: `{"weight_map":{"a":"C:x.safetensors"}}`},
		"org/nul":      {"config.json": "{}", index: `{"weight_map":{"a":"a\u0000.safetensors"}}`},
		"org/pickle":   {"config.json": "{}", index: `{"weight_map":{"a":"a.bin"}}`, "a.bin": "x"},
		"org/lacks":    {"config.json": "{}", index: `{"weight_map":{"a":"a.safetensors"}}`},
		"org/html":     {"config.json": "{}", index: `<html>`},
		"org/fine":     {"config.json": `{"model_type":"new"}`, "model.safetensors": weights},
	} {
		s.Add(name, files)
	}
	tests := []struct {
		ref, err string
		patterns []string
	}{
		{"org/bin", "org/bin has no safetensors, only pytorch_model.bin: safetensors are needed", nil},
		{"org/gguf", "org/gguf has no safetensors, only model.gguf", nil},
		{"org/empty", "has no model.safetensors", nil},
		{"org/noconfig", "org/noconfig has no config.json", nil},
		{"org/page", "not valid JSON", nil},
		{"org/escape", "not the name of a safetensors file in the same folder", nil},
		{"org/absolute", "not the name of a safetensors file in the same folder", nil},
		{"org/drive", "not the name of a safetensors file in the same folder", nil},
		{"org/nul", "not the name of a safetensors file in the same folder", nil},
		{"org/pickle", "not the name of a safetensors file in the same folder", nil},
		{"org/lacks", "lacks 1 of 1 shards (a.safetensors)", nil},
		{"org/html", "not valid JSON", nil},
		{"org/fine", "org/fine: not today", nil},
		{"./org/fine", "is not a model of the hub", nil},
		{"org/a/b", "is not a model of the hub", nil},
		{"org/none", "does not exist, or it is private", nil},
		{"org/bin", "only safetensors and the files beside them are fetched, not *.bin", []string{"*.bin"}},
		{"org/bin", "has no file that \"*.txt\" matches", []string{"*.txt"}},
		{"org/bin", "is not a pattern", []string{"[a"}},
	}
	for _, tt := range tests {
		o := online(s, t.TempDir())
		o.Accept = func(*Config) error { return errors.New("not today") }
		_, err := Pull(t.Context(), tt.ref, o, tt.patterns...)
		if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", tt.ref, err, tt.err)
		}
	}
	for _, name := range []string{"model.safetensors", "a.bin", "pytorch_model.bin"} {
		if s.Bytes(name) > 0 {
			t.Errorf("%s was transferred", name)
		}
	}
}

func TestPullPatterns(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", filesOf(t, "tiny-llama", litter))
	o := online(s, t.TempDir())
	f, err := Pull(t.Context(), "org/name", o, "1_Pooling/*", "*.md", "onnx/*", "tokenizer*.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names(t, f), " "); got != "1_Pooling/config.json README.md tokenizer.json tokenizer_config.json" {
		t.Errorf("fetched %s", got)
	}
	// What is there is no complete model, so Find fetches the rest.
	if f, err = Find(t.Context(), "org/name", o); err != nil || !f.Has("model.safetensors") {
		t.Errorf("%v, %v", f, err)
	}
}

func TestFindDownloads(t *testing.T) {
	s := hubtest.New(t)
	files := filesOf(t, "tiny-llama", nil)
	s.Add("org/name", files)
	s.Add("org/plain", map[string]string{"config.json": "{}", "model.safetensors": string(file("{}", 0))})
	cache := t.TempDir()
	o := online(s, cache)
	if _, err := Find(t.Context(), "org/name", Options{Getenv: o.Getenv}); err == nil || s.Requests() > 0 {
		t.Errorf("without Download: %v, %d requests", err, s.Requests())
	}
	for _, ref := range []string{"org/name", "org/plain"} {
		if _, err := Find(t.Context(), ref, o); err != nil {
			t.Fatal(err)
		}
		before := s.Requests()
		f, err := Find(t.Context(), ref, o)
		if err != nil || s.Requests() != before {
			t.Errorf("%s again: %v, %d requests", ref, err, s.Requests()-before)
		}
		if f.Name() != ref {
			t.Errorf("name %s", f.Name())
		}
	}
	offline := Options{Download: true, Getenv: func(name string) string {
		if name == "HF_HUB_OFFLINE" {
			return "1"
		}
		return o.Getenv(name)
	}}
	if _, err := Find(t.Context(), "org/name", offline); err != nil {
		t.Error(err)
	}
	before := s.Requests()
	if _, err := Find(t.Context(), "org/nmae", offline); err == nil || !strings.Contains(err.Error(), "did you mean org/name?") || s.Requests() != before {
		t.Errorf("offline: %v, %d requests", err, s.Requests()-before)
	}
	if _, err := Find(t.Context(), "org/nmae", o); err == nil || !strings.Contains(err.Error(), "did you mean org/name?") {
		t.Errorf("online: %v", err)
	}

	// A snapshot that lacks weights is completed; a local folder wins.
	path := filepath.Join(newCache(o).Repo("org/name"), "snapshots")
	commits, err := os.ReadDir(path)
	if err != nil || len(commits) != 1 {
		t.Fatal(commits, err)
	}
	weights := filepath.Join(path, commits[0].Name(), "model.safetensors")
	if err := os.Remove(weights); err != nil {
		t.Fatal(err)
	}
	if f, err := Find(t.Context(), "org/name", o); err != nil || !f.Has("model.safetensors") {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(filepath.Join("org", "name"), 0o755); err != nil {
		t.Fatal(err)
	}
	if f, err := Find(t.Context(), "org/name", o); err != nil || f.Revision() != "" {
		t.Errorf("%v, %v", f, err)
	}
}

func TestRemoteFolder(t *testing.T) {
	s := hubtest.New(t)
	for _, model := range []string{"tiny-qwen3-untied", "tiny-llama"} {
		s.Add("org/"+model, filesOf(t, model, litter))
		cache := t.TempDir()
		f, err := Remote(t.Context(), "org/"+model, Options{Getenv: s.Env(cache)})
		if err != nil {
			t.Fatal(err)
		}
		local, err := Find(t.Context(), filepath.Join("..", "testdata", "models", model), Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := local.Tensors()
		if err != nil {
			t.Fatal(err)
		}
		have, err := f.Tensors()
		if err != nil || !slices.EqualFunc(have, want, func(a, b Tensor) bool {
			return a.Name == b.Name && a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && a.File == b.File
		}) {
			t.Errorf("%d tensors, want %d: %v", len(have), len(want), err)
		}
		config, err := f.Config()
		if err != nil || len(config.Architectures) == 0 || f.Path() != "" || f.Name() != "org/"+model || !hub.IsCommit(f.Revision()) {
			t.Errorf("%+v, %v; %q %s %s", config, err, f.Path(), f.Name(), f.Revision())
		}
		if entries, _ := os.ReadDir(cache); len(entries) > 0 {
			t.Error("something was stored")
		}
	}
	if _, err := Remote(t.Context(), "org/none", Options{Getenv: s.Env(t.TempDir())}); err == nil {
		t.Error("a model that does not exist was found")
	}
}
