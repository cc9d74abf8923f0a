package bench

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"emily/backend/cpu/kernel"
	"emily/bench/roofline"
)

// testConfig runs tiny sizes on lanes of the test binary. peers names for each
// peer lane the fake that stands for it; other peers are absent.
func testConfig(t *testing.T, peers map[string]string) Config {
	return Config{
		Runs: 2, Warmup: 1, Threads: 2, Version: "test", Cache: t.TempDir(), Kernels: kernel.Best(),
		Limits: roofline.Options{Bytes: 1 << 20, Runs: 1, Rounds: 1000},
		Self:   func(lane, _ string) []string { return testLane(t, "emily", lane) },
		Peer: func(lane string) ([]string, string) {
			if kind := peers[lane]; kind != "" {
				return testLane(t, "peer", kind), ""
			}
			return nil, "not installed"
		},
		scale: 64,
	}
}

// find returns the rows of a lane.
func find(r *Report, lane string) []Result {
	return slices.DeleteFunc(slices.Clone(r.Results), func(x Result) bool { return x.Lane != lane })
}

func TestOps(t *testing.T) {
	c := testConfig(t, map[string]string{"exla": "counts"})
	c.Tiers, c.Lanes, c.Smoke = []string{"1"}, []string{"exla,emlx", "eager,native,emily-fuse"}, true
	var seen []string
	c.Progress = func(p Progress) {
		if p.Lane != "" && !slices.Contains(seen, p.Lane) {
			seen = append(seen, p.Lane)
		}
		if p.Done > p.Total || p.Left < 0 {
			t.Errorf("progress %+v", p)
		}
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 19*5 {
		t.Fatalf("%d rows, want 19 for each of 5 lanes", len(r.Results))
	}
	for i, x := range r.Results {
		lane := []string{"exla", "emlx", "emily-eager", "emily-native", "emily-fuse"}[i%5]
		switch {
		case x.Lane != lane || x.Tier != "1" || x.Unit != "us/call" || x.DType != "f32" || x.Backend != "cpu":
			t.Errorf("row %d is %+v, want one of %s", i, x, lane)
		case lane == "emlx":
			if x.Value != nil || x.Error != "-: not installed" {
				t.Errorf("%s of an absent lane: %+v", x.Case, x)
			}
		case x.Error != "" || x.Value == nil || *x.Value <= 0 || len(x.Samples) != 1 || *x.Min > *x.Value || *x.Max < *x.Value:
			t.Errorf("%s %s: %+v", x.Lane, x.Case, x)
		case x.Roofline == nil || *x.Roofline <= 0:
			t.Errorf("%s %s has no share of the roofline", x.Lane, x.Case)
		case runtime.GOOS == "linux" && x.PeakRSS <= 0:
			t.Errorf("%s %s has no peak memory", x.Lane, x.Case)
		}
	}
	if len(seen) != 4 { // an absent lane does nothing
		t.Errorf("progress told of %v", seen)
	}
	if notes := strings.Join(r.Notes["1"], "\n"); !strings.Contains(notes, "exla (f32), add 256: another output") {
		t.Errorf("nothing tells of the peer's other output: %q", notes)
	}
	if p := r.Environment.Peers; len(p) != 2 || p[0].Version != "fake 1" || p[1].Absent == "" {
		t.Errorf("peers %+v", p)
	}
}

func TestPeersThatFail(t *testing.T) {
	c := testConfig(t, map[string]string{
		"exla": "refuses", "emlx": "fails", "torch": "killed", "torch-compile": "gone", "onnxruntime": "missing", "llama.cpp": "own", "ctranslate2": "babble",
	})
	c.Tiers = []string{"1"}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for lane, want := range map[string]string{
		"exla": "-: f32 only", "emlx": "ERR: ValueError: odd", "torch": "exit 137: killed, most likely for memory",
		"torch-compile": "exit 3: no module named gone", "onnxruntime": "-: gone is not installed", "llama.cpp-q8_0": "-: not installed",
		"ctranslate2": "ERR: starting env: invalid character 'W' looking for beginning of value",
	} {
		rows := find(r, lane)
		if len(rows) != 19 {
			t.Errorf("%s has %d rows", lane, len(rows))
		}
		for _, x := range rows {
			if x.Error != want || x.Value != nil {
				t.Errorf("%s %s: %q, want %q", lane, x.Case, x.Error, want)
				break
			}
		}
	}
	if own := find(r, "llama.cpp"); own[0].DType != "q8_0" || own[0].Value == nil || len(own[0].Samples) != 2 {
		t.Errorf("a peer with a dtype of its own: %+v", own[0])
	}
	if len(r.Wrong()) != 0 {
		t.Errorf("peers are called wrong: %+v", r.Wrong())
	}
}

// TestWrong replaces one of emily's lanes by a process with another result.
func TestWrong(t *testing.T) {
	c := testConfig(t, nil)
	c.Tiers, c.Lanes = []string{"1"}, []string{"eager", "fuse"}
	c.Self = func(lane, _ string) []string {
		if lane == "fuse" {
			return testLane(t, "peer", "counts")
		}
		return testLane(t, "emily", lane)
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := r.Wrong(); len(wrong) != 19 || wrong[0].Value != nil || !strings.Contains(wrong[0].Error, "instead of") {
		t.Errorf("%d rows are wrong, want 19: %+v", len(wrong), wrong)
	}
}

// TestModels runs the tiers that a tiny checkpoint of the repository serves.
func TestModels(t *testing.T) {
	for _, tt := range []struct{ tier, model, unit string }{
		{"2", "tiny-distilbert-qa", "us/call"},
		{"3", "tiny-qwen3", "tok/s"},
		{"4", "tiny-vit", "us/call"},
		{"5", "tiny-whisper", "us/call"},
		{"addendum", "tiny-qwen3", "tok/s"},
	} {
		c := testConfig(t, nil)
		c.Tiers, c.Lanes, c.DTypes, c.NewTokens, c.Runs = []string{tt.tier}, []string{"eager", "native", "fuse"}, []string{"f32", "bf16"}, 5, 1
		c.Model = filepath.Join("..", "testdata", "models", tt.model)
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Results) != 6 {
			t.Fatalf("tier %s: %d rows, want 6", tt.tier, len(r.Results))
		}
		for _, x := range r.Results {
			if x.Error != "" || x.Value == nil || x.Unit != tt.unit || x.Roofline == nil {
				t.Errorf("tier %s: %+v", tt.tier, x)
			}
		}
	}
}

func TestNoCheckpoint(t *testing.T) {
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	c := testConfig(t, nil)
	c.Tiers, c.Lanes = []string{"3"}, []string{"fuse"}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 1 || r.Results[0].Error != "-: no checkpoint" {
		t.Errorf("rows %+v", r.Results)
	}
	if note := strings.Join(r.Notes["3"], ""); !strings.Contains(note, "emily pull Qwen/Qwen3-0.6B") || !strings.Contains(note, "--random-weights") {
		t.Errorf("the note does not say how to get it: %q", note)
	}
}

func TestDoesNotFit(t *testing.T) {
	total, _, err := Memory()
	if err != nil {
		t.Skip(err)
	}
	run := &tierRun{runner: &runner{peers: map[string]Peer{}}, folder: "a folder", stored: 2 * total, parameter: total}
	run.Self = func(string, string) []string { return []string{"/no/such/program"} }
	m := run.open(t.Context(), entry{laneKind{name: "emily-fuse"}, "cpu", "f32"})
	if !strings.HasPrefix(m.failure, "ERR: does not fit: it needs about ") {
		t.Errorf("failure %q", m.failure)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Tiers = []string{"6"} }, `no tier "6"`},
		{func(c *Config) { c.Lanes = []string{"fuse,jax"} }, `no lane "jax"`},
		{func(c *Config) { c.DTypes = []string{"f64"} }, `no dtype "f64"`},
		{func(c *Config) { c.Runs = 0 }, "at least one run"},
		{func(c *Config) { c.Model = "x" }, "a model serves one tier"},
		{func(c *Config) { c.Model, c.Tiers, c.RandomWeights = "x", []string{"3"}, true }, "choose one"},
	} {
		c := testConfig(t, nil)
		tt.change(&c)
		_, err := Run(t.Context(), c)
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want a usage error with %q", err, tt.want)
		}
	}
}

func TestSmokeLeavesOutTheAddendum(t *testing.T) {
	c := testConfig(t, nil)
	c.Smoke = true
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1", "2", "3", "4", "5"}; !slices.Equal(c.Tiers, want) || c.Runs != 1 {
		t.Errorf("tiers %v, %d runs", c.Tiers, c.Runs)
	}
}

func TestClean(t *testing.T) {
	cache := t.TempDir()
	for _, name := range []string{"weights/qwen3-0.6b", "converted", "scripts", "peers/bin"} {
		if err := os.MkdirAll(filepath.Join(cache, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := Clean(cache); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].Name() != "peers" {
		t.Errorf("left are %v, want the peers alone", left)
	}
}
