package loader

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// write makes files under dir and returns dir.
func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// environment returns options that see these variables alone.
func environment(vars map[string]string) Options {
	return Options{Getenv: func(name string) string { return vars[name] }}
}

func TestFindInCache(t *testing.T) {
	hub := write(t, t.TempDir(), map[string]string{
		"models--org--name/refs/main":                             commitA + "\n",
		"models--org--name/refs/refs/pr/1":                        commitB,
		"models--org--name/refs/bad":                              "../../x",
		"models--org--name/refs/gone":                             strings.Repeat("c", 40),
		"models--org--name/snapshots/" + commitA + "/config.json": "{}",
		"models--org--name/snapshots/" + commitB + "/config.json": "{}",
		"models--org--pinned/snapshots/" + commitA + "/x":         "",
		"models--gpt2/refs/main":                                  commitA,
		"models--gpt2/snapshots/" + commitA + "/config.json":      "{}",
	})
	tests := []struct{ ref, name, revision, err string }{
		{"org/name", "org/name", commitA, ""},
		{"org/name@main", "org/name", commitA, ""},
		{"org/name@refs/pr/1", "org/name", commitB, ""},
		{"org/name@" + commitB, "org/name", commitB, ""},
		{"gpt2", "gpt2", commitA, ""},
		{"org/name@v2", "", "", "org/name at v2 is not in the cache, but these are: org/name@bad, org/name@gone, org/name@main, org/name@refs/pr/1"},
		{"org/name@bad", "", "", "expected a commit of 40 hexadecimal digits"},
		{"org/name@gone", "", "", "has no files"},
		{"org/name@../../models--gpt2/refs/main", "", "", "not a revision"},
		{"org/name@" + strings.Repeat("d", 40), "", "", "has no files"},
		{"org/pinned", "", "", "these are: org/pinned@" + commitA},
		{"org/nmae", "", "", "did you mean org/name?"},
		{"ORG/NAME2", "", "", "did you mean org/name?"},
		{"some/thing-else", "", "", "neither a folder nor a model in the cache"},
		{"", "", "", "no model given"},
		{"a/b/c", "", "", "a/b/c: no such folder or file"},
		{"./org/name", "", "", "no such folder or file"},
		{"~/x", "", "", "~ is expanded by the shell"},
		{"nowhere.safetensors", "", "", "no such folder or file"},
		{"org/na me", "", "", "no such folder or file"},
	}
	for _, tt := range tests {
		t.Run(tt.ref, func(t *testing.T) {
			f, err := Find(context.Background(), tt.ref, environment(map[string]string{"HF_HUB_CACHE": hub}))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.Name() != tt.name || f.Revision() != tt.revision {
				t.Errorf("got %s at %s", f.Name(), f.Revision())
			}
			if !f.Has("config.json") || filepath.Base(f.Path()) != tt.revision {
				t.Errorf("wrong path %s", f.Path())
			}
		})
	}
}

// TestCacheFolder checks the order of the variables that huggingface_hub reads.
func TestCacheFolder(t *testing.T) {
	vars := map[string]string{"HF_HUB_CACHE": "/hub", "HF_HOME": "~/hf", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/me", "USERPROFILE": "/home/me"}
	for _, step := range []struct{ want, remove string }{
		{"/hub", "HF_HUB_CACHE"},
		{"/home/me/hf/hub", "HF_HOME"},
		{"/xdg/huggingface/hub", "XDG_CACHE_HOME"},
		{"/home/me/.cache/huggingface/hub", ""},
	} {
		if got := filepath.ToSlash(newCache(environment(vars)).Dir); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
		delete(vars, step.remove)
	}
}

func TestFindOnDisk(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{
		"model/config.json": "{}", "model/a.safetensors": "", "model/b.gguf": "", "model/notes.txt": "",
	})
	tests := []struct{ ref, name, err string }{
		{"model", "model", ""},
		{"model/", "model", ""},
		{"model/a.safetensors", "model", ""},
		{"model/b.gguf", "", "is a .gguf file: safetensors are needed"},
		{"model/config.json", "", "name its folder"},
		{"model/notes.txt", "", "neither a folder nor a .safetensors file"},
		{"modle", "", "did you mean " + filepath.Join(dir, "model") + "?"},
	}
	for _, tt := range tests {
		f, err := Find(context.Background(), filepath.ToSlash(dir)+"/"+tt.ref, environment(nil))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got %v, want %q", tt.ref, err, tt.err)
			}
			continue
		}
		if err != nil || f.Name() != tt.name || f.Path() != filepath.Join(dir, "model") {
			t.Errorf("%s: got %+v, %v", tt.ref, f, err)
		}
	}
	t.Chdir(dir)
	if err := os.MkdirAll("models/smollm2", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(context.Background(), "models/smolm2", environment(nil)); err == nil || !strings.HasSuffix(err.Error(), "did you mean models/smollm2?") {
		t.Errorf("relative path: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Find(ctx, dir, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestReadFile(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"secret": "s", "model/config.json": "{}", "model/sub/x": "y"})
	f := fromDir(filepath.Join(dir, "model"), "")
	if text, err := f.ReadFile("sub/x"); err != nil || string(text) != "y" {
		t.Errorf("sub/x: %q, %v", text, err)
	}
	for _, name := range []string{"../secret", "/etc/hostname", "sub/../../secret", "", "sub//x", "./config.json"} {
		if text, err := f.ReadFile(name); err == nil {
			t.Errorf("%q was read: %q", name, text)
		}
		if f.Has(name) {
			t.Errorf("Has(%q)", name)
		}
	}
	if _, err := f.ReadFile("none"); !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), "model has no none") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := f.ReadFile("sub"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: %v", err)
	}
	huge := filepath.Join(dir, "model", "huge")
	if err := os.WriteFile(huge, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxFile+1); err != nil {
		t.Skip("no sparse files here")
	}
	if _, err := f.ReadFile("huge"); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("huge file: %v", err)
	}
}

func TestConfig(t *testing.T) {
	tests := []struct{ text, err string }{
		{`{"architectures":["A"],"model_type":"a","hidden_size":7}`, ""},
		{`{}`, ""},
		{``, "m/config.json is empty"},
		{"{\n  \"a\": 1,\n}", "m/config.json:3:1: not valid JSON"},
		{`[1]`, "m/config.json:1:1: expected an object, found a JSON array"},
		{`null`, "expected an object, found null"},
		{`{"model_type":3}`, "model_type is a JSON number"},
		{`{"architectures":"A"}`, "architectures is a JSON string"},
	}
	for _, tt := range tests {
		f := FromFS(fstest.MapFS{"config.json": {Data: []byte(tt.text)}}, "m")
		c, err := f.Config()
		if tt.err != "" {
			if err == nil || !strings.Contains(filepath.ToSlash(err.Error()), tt.err) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %v, want %q", tt.text, err, tt.err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if len(c.Architectures) == 1 {
			var fields struct {
				Hidden int `json:"hidden_size"`
			}
			if err := c.Decode(&fields); err != nil || fields.Hidden != 7 {
				t.Errorf("Decode: %+v, %v", fields, err)
			}
			var wrong struct {
				Hidden string `json:"hidden_size"`
			}
			if err := c.Decode(&wrong); err == nil || !strings.Contains(err.Error(), "hidden_size is a JSON number") {
				t.Errorf("Decode of the wrong type: %v", err)
			}
		}
	}
	if _, err := FromFS(fstest.MapFS{}, "m").Config(); err == nil || err.Error() != "m has no config.json" {
		t.Errorf("missing: %v", err)
	}
}
