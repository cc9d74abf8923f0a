package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"emily/loader/hub/hubtest"
)

// No test asks a hub on the network; a process of a test has its own variables.
func init() {
	if os.Getenv("EMILY_TEST_MAIN") == "" {
		os.Setenv("HF_HUB_OFFLINE", "1")
	}
}

// testHub starts a hub with tiny models as org/NAME, and points the commands to
// it and to an empty cache.
func testHub(t *testing.T, names ...string) (s *hubtest.Server, cache string) {
	t.Helper()
	as := map[string]string{}
	for _, name := range names {
		as["org/"+name] = filepath.Join(models, name)
	}
	return hubOf(t, as)
}

// hubOf is testHub with names and folders of models.
func hubOf(t *testing.T, folders map[string]string) (s *hubtest.Server, cache string) {
	t.Helper()
	s = hubtest.New(t)
	for name, folder := range folders {
		files := map[string]string{"README.md": "# " + name, "pytorch_model.bin": "x"}
		dir := os.DirFS(folder)
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
		s.Add(name, files)
	}
	cache = filepath.Join(t.TempDir(), "hub")
	env := s.Env(cache)
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_TOKEN", "")
	for _, name := range []string{"HF_ENDPOINT", "HF_HUB_CACHE", "HF_HOME"} {
		t.Setenv(name, env(name))
	}
	return s, cache
}

func TestPull(t *testing.T) {
	s, cache := testHub(t, "tiny-llama")
	out, stderr, code := emily(t, "", "pull", "org/tiny-llama")
	if code != exitOK || !strings.HasPrefix(out, cache) || strings.Count(out, "\n") != 1 {
		t.Fatalf("code %d, %q, %q", code, out, stderr)
	}
	if !regexp.MustCompile(`^downloaded [\d.]+ kB in [\d.]+ s(, .*/s)?\n$`).MatchString(stderr) {
		t.Errorf("stderr %q", stderr)
	}
	if _, stderr, code := emily(t, "", "pull", "org/tiny-llama", "--revision", "main"); code != exitOK || stderr != "" {
		t.Errorf("again: %d, %q", code, stderr)
	}
	if n := s.Bytes("README.md") + s.Bytes("pytorch_model.bin"); n > 0 {
		t.Error("files that no model needs were transferred")
	}
	if out, stderr, code := emily(t, "", "pull", "org/tiny-llama", "--include", "*.md", "--quiet"); code != exitOK || stderr != "" {
		t.Errorf("--include: %d, %q, %q", code, out, stderr)
	}
	if s.Bytes("README.md") == 0 {
		t.Error("README.md was not fetched")
	}
	fails(t, exitUsage, []string{"pull takes one model"}, "pull")
	fails(t, exitUsage, []string{"pull takes one model"}, "pull", "a", "b")
	fails(t, exitUsage, []string{"names a revision already"}, "pull", "org/tiny-llama@main", "--revision", "v1")
	fails(t, exitFailed, []string{"has no revision v1"}, "pull", "org/tiny-llama", "--revision", "v1")
	fails(t, exitFailed, []string{"does not exist, or it is private", "did you mean org/tiny-llama?"}, "pull", "org/tiny-lama")
	fails(t, exitFailed, []string{"HF_HUB_OFFLINE"}, offline(t, "pull", "org/tiny-llama")...)
}

// offline sets HF_HUB_OFFLINE for the rest of a test.
func offline(t *testing.T, args ...string) []string {
	t.Setenv("HF_HUB_OFFLINE", "1")
	return args
}

func TestPullGated(t *testing.T) {
	s, _ := testHub(t, "tiny-llama")
	s.Gate("org/tiny-llama", "hf_secret")
	fails(t, exitFailed, []string{"is gated: ask for access at " + s.URL + "/org/tiny-llama", "HF_TOKEN", "--token"}, "pull", "org/tiny-llama")
	fails(t, exitFailed, []string{"has no access yet"}, "pull", "org/tiny-llama", "--token", "hf_other")
	succeed(t, "", "pull", "org/tiny-llama", "--token", "hf_secret")
	if leaked := s.Leaked(); len(leaked) > 0 {
		t.Errorf("the storage got %v", leaked)
	}
}

// TestModelIsDownloaded runs a model that the cache lacks, then without the hub.
func TestModelIsDownloaded(t *testing.T) {
	s, _ := testHub(t, "tiny-llama")
	args := []string{"generate", "--model", "org/tiny-llama", "--raw", "--temperature", "0", "--max-tokens", "4", "Hello"}
	want := succeed(t, "", append([]string{args[0], "--model", filepath.Join(models, "tiny-llama")}, args[3:]...)...)
	if got := succeed(t, "", args...); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	before := s.Requests()
	if got := succeed(t, "", args...); got != want || s.Requests() != before {
		t.Errorf("got %q, %d requests", got, s.Requests()-before)
	}
	if got := succeed(t, "", offline(t, args...)...); got != want {
		t.Errorf("offline: %q", got)
	}
	fails(t, exitFailed, []string{"org/none", "neither a folder nor a model in the cache"}, "generate", "--model", "org/none", "x")
}

// TestUnknownClass refuses a model before its weights are transferred.
func TestUnknownClass(t *testing.T) {
	s, _ := testHub(t)
	weights, err := os.ReadFile(filepath.Join(models, "tiny-llama", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	s.Add("org/new", map[string]string{"config.json": `{"architectures":["NewForCausalLM"],"model_type":"new"}`, "model.safetensors": string(weights)})
	fails(t, exitFailed, []string{"org/new", "NewForCausalLM"}, "pull", "org/new", "--quiet")
	if s.Bytes("model.safetensors") > 0 {
		t.Error("the weights were transferred")
	}
}

func TestInfoOfRemoteModel(t *testing.T) {
	s, cache := testHub(t, "tiny-llama")
	var remote, local modelInfo
	if err := json.Unmarshal([]byte(succeed(t, "", "info", "org/tiny-llama", "--json", "--tensors")), &remote); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(succeed(t, "", "info", filepath.Join(models, "tiny-llama"), "--json", "--tensors")), &local); err != nil {
		t.Fatal(err)
	}
	if !remote.Remote || remote.Path != "" || remote.Parameters != local.Parameters || remote.Bytes != local.Bytes || len(remote.Tensors) != len(local.Tensors) ||
		remote.Architecture != local.Architecture || remote.Task != local.Task {
		t.Errorf("got %+v\nwant %+v", remote, local)
	}
	if _, err := os.Stat(cache); err == nil {
		t.Error("info has written to the cache")
	}
	if out := succeed(t, "", "info", "org/tiny-llama"); !strings.Contains(out, "on the hub, not downloaded") {
		t.Error(out)
	}
	succeed(t, "", "pull", "org/tiny-llama")
	before := s.Requests()
	if out := succeed(t, "", "info", "org/tiny-llama"); !strings.Contains(out, cache) || s.Requests() != before {
		t.Errorf("cached: %s", out)
	}
}

func TestModelsCommand(t *testing.T) {
	_, cache := testHub(t, "tiny-llama", "tiny-bert")
	if out, stderr, code := emily(t, "", "models"); code != exitOK || out != "" || !strings.Contains(stderr, "holds no models") {
		t.Errorf("empty: %d, %q, %q", code, out, stderr)
	}
	succeed(t, "", "pull", "org/tiny-llama")
	succeed(t, "", "pull", "org/tiny-bert")
	out := succeed(t, "", "models")
	if !regexp.MustCompile(`(?m)^org/tiny-bert +[\d.]+ kB +used just now +main$`).MatchString(out) || !strings.Contains(out, "org/tiny-llama") || !strings.Contains(out, cache) {
		t.Error(out)
	}
	var entries []modelEntry
	if err := json.Unmarshal([]byte(succeed(t, "", "models", "--json")), &entries); err != nil || len(entries) != 2 || entries[0].Bytes == 0 {
		t.Errorf("%+v, %v", entries, err)
	}
	fails(t, exitUsage, []string{"rm"}, "models", "remove", "org/tiny-bert")
	fails(t, exitUsage, []string{"needs the name"}, "models", "rm")
	fails(t, exitUsage, []string{"--yes"}, "models", "rm", "org/tiny-bert")
	fails(t, exitFailed, []string{"org/none is not in the cache"}, "models", "rm", "--yes", "org/tiny-bert", "org/none")
	succeed(t, "", "models", "rm", "org/tiny-bert", "--yes")
	if out = succeed(t, "", "models"); strings.Contains(out, "tiny-bert") || !strings.Contains(out, "tiny-llama") {
		t.Error(out)
	}
}

func TestMeter(t *testing.T) {
	clock := time.Unix(1000, 0)
	m := meter{now: func() time.Time { return clock }}
	steps := []struct {
		after time.Duration
		do    func()
		want  string
	}{
		{0, func() { m.extend(100e6, 20e6) }, "20.0 MB of 100.0 MB"},
		{time.Second, func() { m.add(10e6) }, "30.0 MB of 100.0 MB, 10.0 MB/s, 7.0 s left"},
		{time.Second, func() { m.add(30e6) }, "60.0 MB of 100.0 MB, 20.0 MB/s, 2.0 s left"},
		{0, func() { m.add(-40e6) }, "20.0 MB of 100.0 MB, 20.0 MB/s, 4.0 s left"},
		// Ten seconds later the fast start is forgotten.
		{20 * time.Second, func() { m.add(10e6) }, "30.0 MB of 100.0 MB, 500.0 kB/s, 2 min 20 s left"},
		{2 * time.Second, func() { m.add(70e6) }, "100.0 MB in 24 s, 5.0 MB/s"},
	}
	for i, s := range steps {
		clock = clock.Add(s.after)
		s.do()
		if got := m.String(); got != s.want {
			t.Errorf("step %d: %q, want %q", i, got, s.want)
		}
	}
}

func TestProgressLines(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, false).(*lines)
	p.every = time.Millisecond
	p.close()
	if out.Len() > 0 || p.started() {
		t.Errorf("nothing to do: %q", out.String())
	}
	p.Begin(1, 1000)
	p.Add("a", 500)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		written := out.Len()
		p.mu.Unlock()
		if written > 0 {
			break
		}
	}
	p.Add("a", 500)
	p.close()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "downloaded 500 B of 1.0 kB") || !strings.HasPrefix(lines[len(lines)-1], "downloaded 1.0 kB in") {
		t.Errorf("%q", lines)
	}
}

func TestBars(t *testing.T) {
	var out bytes.Buffer
	b := &bars{w: &out, files: make(map[string]*bar), total: meter{now: time.Now}}
	b.Begin(2, 3000)
	b.Start("a", 1000, 500)
	b.Start("b", 2000, 0)
	b.Add("a", 500)
	b.Done("a")
	b.Add("b", 2000)
	b.Add("b", -2000)
	b.Start("b", 2000, 0)
	b.Note("a note")
	b.Add("b", 2000)
	b.Done("b")
	b.close()
	if !strings.Contains(out.String(), "a note") || !strings.Contains(out.String(), "downloaded 3.0 kB in") {
		t.Errorf("%q", out.String())
	}
}
