package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"emily/backend/cpu/kernel"
	"emily/bench/peers"
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
	for _, tt := range []struct{ kind, want string }{
		{"refuses", "-: f32 only"},
		{"fails", "ERR: ValueError: odd"},
		{"killed", "exit 137: killed, most likely for memory"},
		{"gone", "exit 3: no module named gone"},
		{"missing", "-: gone is not installed"},
		{"", "-: not installed"},
		{"babble", "ERR: starting env: invalid character 'W' looking for beginning of value"},
	} {
		c := testConfig(t, map[string]string{"torch": tt.kind, "exla": "own"})
		c.Tiers, c.Lanes = []string{"1"}, []string{"torch", "exla", "llama.cpp"}
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for lane, want := range map[string]string{"torch": tt.want, "exla": "", "llama.cpp": "-: no tier 1"} {
			rows := find(r, lane)
			if len(rows) != 19 {
				t.Errorf("%s has %d rows", lane, len(rows))
			}
			for _, x := range rows {
				if x.Error != want || (x.Value != nil) != (want == "") {
					t.Errorf("%s, a peer that is %q, %s: %q, want %q", lane, tt.kind, x.Case, x.Error, want)
					break
				}
			}
		}
		if own := find(r, "exla"); own[0].DType != "q8_0" || len(own[0].Samples) != 2 {
			t.Errorf("a peer with a dtype of its own: %+v", own[0])
		}
		if len(r.Wrong()) != 0 {
			t.Errorf("peers are called wrong: %+v", r.Wrong())
		}
		if slices.ContainsFunc(r.Environment.Peers, func(p Peer) bool { return p.Lane == "llama.cpp" }) {
			t.Error("the environment tells of llama.cpp, which nothing asked")
		}
	}
}

// TestRowLimit runs a peer that takes for ever over one op: that row fails
// alone, since the lane's process starts anew.
func TestRowLimit(t *testing.T) {
	c := testConfig(t, map[string]string{"torch": "stuck"})
	c.Tiers, c.Lanes, c.RowLimit = []string{"1"}, []string{"torch"}, time.Second
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Results {
		want := ""
		if x.Case == "exp 1024" {
			want = "ERR: slower than 1s: its calls were given up (--row-limit)"
		}
		if x.Error != want || (x.Value == nil) != (want != "") {
			t.Errorf("%s: %q, want %q", x.Case, x.Error, want)
		}
	}
}

// TestFewerSamples: what is left of a row's time does not do for another sample.
func TestFewerSamples(t *testing.T) {
	c := testConfig(t, map[string]string{"torch": "slow"})
	c.Tiers, c.Lanes, c.RowLimit, c.Runs, c.Smoke = []string{"1"}, []string{"torch"}, 500*time.Millisecond, 5, false
	run := &tierRun{runner: &runner{Config: c, peers: map[string]Peer{}}, tier: tiers(1, 64)["1"], reference: map[string]*output{}}
	run.runs, run.calls, run.warmup = 5, 1, 0
	run.cases = run.cases[:1]
	if err := run.group(t.Context(), run.entries(run.tier)); err != nil {
		t.Fatal(err)
	}
	x := run.results[0]
	if n := len(x.Samples); x.Value == nil || n < 1 || n > 2 { // of 200 ms, after a call of 200 ms
		t.Errorf("%d samples: %+v", n, x)
	}
	if note := strings.Join(run.report.Notes["1"], ""); !strings.Contains(note, "of 5 samples, since a row has 500ms") {
		t.Errorf("note %q", note)
	}
}

// TestPartial interrupts a run in its second tier, and looks at what it said after the first.
func TestPartial(t *testing.T) {
	c := testConfig(t, nil)
	c.Tiers, c.Lanes, c.NewTokens = []string{"1", "3"}, []string{"fuse"}, 3
	ctx, cancel := context.WithCancel(t.Context())
	var after string
	c.Finished = func(r *Report) error {
		after = r.Environment.Partial
		return nil
	}
	c.Progress = func(p Progress) {
		if p.Tier == "3" {
			cancel()
		}
	}
	r, err := Run(ctx, c)
	if !errors.Is(err, context.Canceled) || r == nil {
		t.Fatalf("%v, want a report and that it was cancelled", err)
	}
	if len(r.Results) != 19 || r.Results[18].Value == nil {
		t.Errorf("%d rows are left, want the 19 of tier 1", len(r.Results))
	}
	if want := "it ends after tier 1 (of 1, 3)"; after != want {
		t.Errorf("after tier 1 the report says %q, want %q", after, want)
	}
	if want := "it ends within tier 3 (of 1, 3)"; r.Environment.Partial != want {
		t.Errorf("the report says %q, want %q", r.Environment.Partial, want)
	}
	failure := errors.New("no disk")
	c.Progress, c.Finished = nil, func(*Report) error { return failure }
	if r, err = Run(t.Context(), c); !errors.Is(err, failure) || len(r.Results) != 19 {
		t.Errorf("a report that cannot be kept: %v", err)
	}
}

// TestInterruptedCase: rows of the case under way that have all samples stay, others go.
func TestInterruptedCase(t *testing.T) {
	c := testConfig(t, nil)
	c.Tiers, c.Lanes = []string{"1"}, []string{"eager", "fuse"}
	ctx, cancel := context.WithCancel(t.Context())
	c.Progress = func(p Progress) {
		if p.Case == "mul 256" && p.Lane == "emily-fuse" && p.Doing == "run 2 of 2" {
			cancel()
		}
	}
	r, err := Run(ctx, c)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n, last := len(r.Results), r.Results[len(r.Results)-1]; n != 3*2+1 || last.Lane != "emily-eager" || last.Case != "mul 256" {
		t.Errorf("%d rows are left, the last %+v", n, last)
	}
}

func TestGroups(t *testing.T) {
	const free = 64 << 30
	entries := []entry{
		{laneKind{name: "a"}, "cpu", "f32"}, {laneKind{name: "b"}, "cpu", "f32"}, {laneKind{name: "c"}, "cpu", "f32"},
		{laneKind{name: "idle", tiers: []string{"5"}}, "cpu", "f32"},
	}
	for _, tt := range []struct {
		name       string
		stored     int64
		sequential bool
		want       []int // lanes in each group
	}{
		{"all fit", 1 << 20, false, []int{4}},
		{"two fit", free * 2 / 5, false, []int{2, 2}},
		{"one fits", free * 2 / 3, false, []int{1, 1, 2}},
		{"none fits", free * 2, false, []int{1, 1, 1, 1}}, // and each says so when it is to start
		{"alone", 1 << 20, true, []int{1, 1, 1, 1}},
	} {
		run := &tierRun{runner: &runner{}, tier: tier{name: "3", model: &checkpoint{}, sequential: tt.sequential}, stored: tt.stored}
		var got []int
		for _, group := range run.groups(entries, free) {
			got = append(got, len(group))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: groups of %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestPeersHaveScripts holds the list of lanes against that of package peers.
func TestPeersHaveScripts(t *testing.T) {
	n := 0
	for _, k := range laneKinds {
		if !k.peer {
			continue
		}
		n++
		if command := peers.Command("python", "scripts", k.name); len(command) < 3 {
			t.Errorf("%s: %v", k.name, command)
		}
	}
	if want := len(peers.Lanes()); n != want {
		t.Errorf("%d peers, %d with scripts", n, want)
	}
}

func TestRefuses(t *testing.T) {
	for _, tt := range []struct{ lane, tier, dtype, want string }{
		{"onnxruntime", "2", "f32", ""},
		{"onnxruntime", "3", "f32", "no tier 3"},
		{"onnxruntime", "4", "bf16", "f32 only"},
		{"llama.cpp", "3", "bf16", ""},
		{"ctranslate2-int8", "5", "int8", ""},
		{"torch", "addendum", "bf16", ""},
		{"emily-fuse", "1", "f32", ""},
	} {
		i := slices.IndexFunc(laneKinds, func(k laneKind) bool { return k.name == tt.lane })
		if got := laneKinds[i].refuses(tt.tier, tt.dtype); got != tt.want {
			t.Errorf("%s in tier %s, %s: %q, want %q", tt.lane, tt.tier, tt.dtype, got, tt.want)
		}
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
		want := 6
		if tt.tier == "3" {
			want = 12 // decode and prefill
		}
		if len(r.Results) != want {
			t.Fatalf("tier %s: %d rows, want %d", tt.tier, len(r.Results), want)
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
	if len(r.Results) != 2 || r.Results[0].Error != "-: no checkpoint" {
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
	m := run.open(t.Context(), []entry{{laneKind{name: "emily-fuse"}, "cpu", "f32"}})
	if !strings.HasPrefix(m[0].failure, "ERR: does not fit: it needs about ") {
		t.Errorf("failure %q", m[0].failure)
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
		{func(c *Config) { c.RowLimit = -1 }, "a row needs time"},
		{func(c *Config) { c.Runs = 0 }, "at least one run"},
		{func(c *Config) { c.Tiers, c.Smoke = []string{"addendum"}, true }, "leaves the addendum out"},
		{func(c *Config) { c.Model = "x" }, "a model serves one tier"},
		{func(c *Config) { c.Model, c.Tiers = "x", []string{"1"} }, "tier 1 has no model"},
		{func(c *Config) { c.Model, c.Tiers, c.RandomWeights = "x", []string{"3"}, true }, "choose one"},
	} {
		c := testConfig(t, nil)
		tt.change(&c)
		_, err := Run(t.Context(), c)
		for _, err := range []error{err, c.Check()} {
			var usage *UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want a usage error with %q", err, tt.want)
			}
		}
	}
}

// TestShortText: a text that ends with the context is no measurement.
func TestShortText(t *testing.T) {
	c := testConfig(t, nil)
	c.Tiers, c.Lanes, c.Model, c.NewTokens, c.Runs = []string{"3"}, []string{"fuse"}, "../testdata/models/tiny-qwen3", 100_000, 1
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if row := r.Results[0]; row.Value != nil || !strings.Contains(row.Error, "of 100000 tokens") {
		t.Errorf("%+v", row)
	}
}

func TestSmokeLeavesOutTheAddendum(t *testing.T) {
	c := testConfig(t, nil)
	c.Smoke = true
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1", "2", "3", "4", "5"}; !slices.Equal(c.Tiers, want) || c.Runs != 1 {
		t.Errorf("tiers %v, %d runs", c.Tiers, c.Runs)
	}
	if slices.Contains(c.Lanes, "torch-compile") || len(c.Lanes) != len(LaneNames())-1 {
		t.Errorf("lanes %v", c.Lanes)
	}
	named := testConfig(t, nil)
	named.Smoke, named.Lanes = true, []string{"torch-compile"}
	if err := named.complete(); err != nil || len(named.Lanes) != 1 {
		t.Errorf("a lane that is named: %v, %v", named.Lanes, err)
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

// TestUnreadableModel ends before the limits are measured.
func TestUnreadableModel(t *testing.T) {
	for _, tt := range []struct{ name, model string }{
		{"no such path", filepath.Join(t.TempDir(), "none")},
		{"no checkpoint in it", t.TempDir()},
	} {
		c := testConfig(t, nil)
		c.Tiers, c.Model = []string{"3"}, tt.model
		c.Progress = func(p Progress) { t.Errorf("%s: the run begins: %+v", tt.name, p) }
		if r, err := Run(t.Context(), c); err == nil || r != nil || !strings.Contains(err.Error(), tt.model) {
			t.Errorf("%s: %v, want an error that names it", tt.name, err)
		}
	}
}

func TestPartialText(t *testing.T) {
	for _, tt := range []struct {
		tiers []string
		i     int
		err   error
		want  string
	}{
		{[]string{"1"}, 0, nil, ""},
		{[]string{"1"}, 0, context.Canceled, "it ends within tier 1"},
		{[]string{"1", "3"}, 0, nil, "it ends after tier 1 (of 1, 3)"},
		{[]string{"1", "3"}, 1, context.Canceled, "it ends within tier 3 (of 1, 3)"},
		{[]string{"1", "3"}, 1, nil, ""},
	} {
		if got := partial(tt.tiers, tt.i, tt.err); got != tt.want {
			t.Errorf("tier %d of %v, %v: %q, want %q", tt.i, tt.tiers, tt.err, got, tt.want)
		}
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1: "1ns", time.Second: "1s", 500 * time.Millisecond: "500ms", 10 * time.Second: "10s", 5 * time.Minute: "5m",
		90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Hour: "10h", time.Hour + time.Second: "1h0m1s", 20 * time.Minute: "20m",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%g s: %q, want %q", d.Seconds(), got, want)
		}
	}
}
