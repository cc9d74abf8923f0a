package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"emily/bench/roofline"
)

var update = flag.Bool("update", false, "write testdata/report.md anew")

func ptr(v float64) *float64 { return &v }

// sample is a row that was measured.
func sample(tier, name, lane, unit string, value, min, max float64) Result {
	return Result{Tier: tier, Case: name, Lane: lane, Backend: "cpu", DType: "f32", Value: ptr(value), Unit: unit,
		Min: ptr(min), Max: ptr(max), Samples: []float64{min, value, max}, Roofline: ptr(0.5), PeakRSS: 1_500_000_000}
}

// failed is a row that was not.
func failed(tier, name, lane, unit, why string) Result {
	return Result{Tier: tier, Case: name, Lane: lane, Backend: "cpu", DType: "f32", Unit: unit, Error: why}
}

// in is a row in another precision.
func in(dtype string, x Result) Result {
	x.DType = dtype
	return x
}

// sampleReport has a row of every kind.
func sampleReport() *Report {
	limit := func(v float64) *roofline.Limit { return &roofline.Limit{Value: v, Min: 0.9 * v, Max: 1.1 * v} }
	const decode, prefill, large = "Qwen3-0.6B decode", "prefill 512", "Qwen3-4B decode"
	return &Report{
		Environment: Environment{
			Date: "2026-01-02 03:04", Host: Host{Name: "box", CPU: "A processor", Cores: 8, Memory: 32e9, GPU: "none", OS: "An OS"},
			Go: "go1.26", Emily: "1.0", Threads: 4, NewTokens: 48, RandomWeights: true, Partial: "it ends within tier 4 (of 1, 3, 4)",
			Peers:  []Peer{{Lane: "exla", Version: "jax 1", Settings: "jit"}, {Lane: "emlx", Absent: "not installed: run setup"}},
			Limits: roofline.Limits{Threads: 4, Kernels: "avx2", ReadOne: limit(20e9), ReadAll: limit(40e9), F32One: limit(100e9), F32All: limit(400e9)},
		},
		Results: []Result{
			sample("1", "add 256", "exla", microseconds, 100, 90, 110), failed("1", "add 256", "emlx", microseconds, "-: not installed"),
			sample("1", "add 256", "emily-eager", microseconds, 60, 50, 70), sample("1", "add 256", "emily-fuse", microseconds, 25, 20, 30),
			sample("1", "matmul 128", "exla", microseconds, 100, 90, 110), failed("1", "matmul 128", "emlx", microseconds, "-: not installed"),
			failed("1", "matmul 128", "emily-eager", microseconds, "WRONG: 2 instead of 1"), sample("1", "matmul 128", "emily-fuse", microseconds, 150, 140, 160),
			sample("3", decode, "exla", tokensRate, 20, 19, 21), failed("3", decode, "emlx", tokensRate, "ERR: out of luck"),
			sample("3", decode, "emily-fuse", tokensRate, 50, 49, 51), sample("3", decode, "torch", tokensRate, 10, 9, 11),
			sample("3", prefill, "exla", tokensRate, 200, 190, 210), failed("3", prefill, "emlx", tokensRate, "ERR: slower than 5m"),
			sample("3", prefill, "emily-fuse", tokensRate, 300, 290, 310), in("bf16", sample("3", prefill, "emily-fuse", tokensRate, 500, 490, 510)),
			in("bf16", sample("3", prefill, "torch", tokensRate, 250, 240, 260)),
			sample("4", "ViT-base image classification", "exla", microseconds, 50000, 40000, 60000),
			sample("4", "ViT-base image classification", "emily-native", microseconds, 25000, 24000, 26000),
			failed("addendum", large, "exla", tokensRate, "exit 137: killed, most likely for memory"),
			sample("addendum", large, "emlx", tokensRate, 4, 3, 5), sample("addendum", large, "emily-fuse", tokensRate, 8, 7, 9),
		},
		Notes: map[string][]string{"3": {"The checkpoint has no tokenizer: the ids of the text are fixed."}},
	}
}

func TestMarkdown(t *testing.T) {
	var got bytes.Buffer
	if err := sampleReport().WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.md"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		a, b := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("line %d of the report is\n%s\nwant\n%s\n(go test -update writes it anew)", i+1, a[i], append(b, make([]string, len(a))...)[i])
			}
		}
		t.Fatal("the report ends early")
	}
}

// TestJSON holds the names that other programs read.
func TestJSON(t *testing.T) {
	report := sampleReport()
	var text bytes.Buffer
	if err := report.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	back, err := ReadReport(bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(report, back) {
		t.Errorf("the report changed on its way through JSON:\n%+v\n%+v", report, back)
	}
	var plain struct {
		Environment map[string]any
		Results     []map[string]any
	}
	if err := json.Unmarshal(text.Bytes(), &plain); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tier", "case", "lane", "backend", "dtype", "value", "unit", "min", "max", "samples", "roofline", "peak_rss"} {
		for i, row := range plain.Results {
			if _, ok := row[name]; !ok {
				t.Errorf("row %d has no %s", i, name)
			}
		}
	}
	for _, name := range []string{"date", "host", "cpu", "cores", "memory", "gpu", "os", "go", "emily", "threads", "new_tokens", "smoke", "random_weights", "peers", "limits"} {
		if _, ok := plain.Environment[name]; !ok {
			t.Errorf("the environment has no %s", name)
		}
	}
	if row := plain.Results[1]; row["error"] != "-: not installed" || row["value"] != nil {
		t.Errorf("a row without a value is %v", row)
	}
}

func TestReadReportRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", "{}", `{"results": 3}`, "# emily bench"} {
		if _, err := ReadReport(strings.NewReader(text)); err == nil {
			t.Errorf("%q is taken for a report", text)
		}
	}
}

func TestCompare(t *testing.T) {
	before := &Report{Results: []Result{
		sample("1", "add 256", "emily-fuse", microseconds, 100, 90, 110),
		sample("1", "exp 256", "emily-fuse", microseconds, 100, 90, 110),
		sample("3", "Qwen3-0.6B decode", "emily-fuse", tokensRate, 50, 49, 51),
		failed("4", "ViT-base image classification", "emily-fuse", microseconds, "ERR: x"),
	}}
	after := &Report{Results: []Result{
		sample("1", "add 256", "emily-fuse", microseconds, 50, 40, 60),
		sample("1", "exp 256", "emily-fuse", microseconds, 104, 95, 120),
		sample("3", "Qwen3-0.6B decode", "emily-fuse", tokensRate, 25, 24, 26),
		sample("4", "ViT-base image classification", "emily-fuse", microseconds, 50, 40, 60),
		sample("5", "Whisper-tiny transcription", "emily-fuse", microseconds, 50, 40, 60),
	}}
	list := Compare(before, after)
	for i, want := range []struct {
		ratio   float64
		outside bool
	}{{2, true}, {100.0 / 104, false}, {0.5, true}, {0, false}, {0, false}} {
		if c := list[i]; c.Ratio != want.ratio || c.Outside != want.outside {
			t.Errorf("%s: ratio %g, outside %v, want %+v", c.Case, c.Ratio, c.Outside, want)
		}
	}
	var text bytes.Buffer
	if err := WriteComparison(&text, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 1 | add 256 | emily-fuse (CPU) | f32 | 100.0 | 50.0 us/call | 2.00x | faster |",
		"| 1 | exp 256 | emily-fuse (CPU) | f32 | 100.0 | 104.0 us/call | 0.96x |  |",
		"| 3 | Qwen3-0.6B decode | emily-fuse (CPU) | f32 | 50.00 | 25.00 tok/s | 0.50x | SLOWER |",
		"| 4 | ViT-base image classification | emily-fuse (CPU) | f32 | ERR | 50.0 us/call | — |  |",
		"| 5 | Whisper-tiny transcription | emily-fuse (CPU) | f32 | - | 50.0 us/call | — |  |",
	} {
		if !strings.Contains(text.String(), want+"\n") {
			t.Errorf("there is no line\n%s\nin\n%s", want, &text)
		}
	}
}

func TestTiers(t *testing.T) {
	list := tiers(defaultTokens, 1)
	if len(list) != len(tierNames) {
		t.Errorf("%d tiers, %d names", len(list), len(tierNames))
	}
	if n := len(list["1"].cases); n != 19 {
		t.Errorf("tier 1 has %d cases, want 19", n)
	}
	if j := list["3"].cases[0].job; len(j.IDs) != 10 || j.NewTokens != 48 {
		t.Errorf("tier 3 runs %d + %d tokens", len(j.IDs), j.NewTokens)
	}
	if n := len(list["2"].cases[0].job.IDs); n != 40 {
		t.Errorf("tier 2 has %d ids", n)
	}
	x := opInput(4, 2)
	if len(x) != 16 || x[14] < 0.8414 || x[14] > 0.8415 { // sin(16/16)
		t.Errorf("inputs %v", x)
	}
}

func TestRatio(t *testing.T) {
	fast, slow := sample("4", "", "", microseconds, 10, 10, 10), sample("4", "", "", microseconds, 20, 20, 20)
	few, many := sample("3", "", "", tokensRate, 10, 10, 10), sample("3", "", "", tokensRate, 20, 20, 20)
	op, op2 := sample("1", "", "", microseconds, 10, 10, 10), sample("1", "", "", microseconds, 20, 20, 20)
	none := failed("4", "", "", microseconds, "ERR: x")
	for _, tt := range []struct {
		name string
		a, b *Result
		want float64
	}{
		{"faster", &fast, &slow, 2}, {"slower", &slow, &fast, 0.5}, {"more tokens", &many, &few, 2},
		{"ops are time over time", &op, &op2, 0.5}, {"no value", &none, &fast, 0}, {"no row", nil, &fast, 0},
	} {
		if got := ratio(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}
