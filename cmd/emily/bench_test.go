//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emily/bench"
)

func TestBenchUsage(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, tt := range []struct{ args, want string }{
		{"--tier 7", "no tier"},
		{"--lanes fast", "no lane"},
		{"--backend tpu", "choose cpu"},
		{"--dtype f64", "f32 or bf16"},
		{"--runs 0", "--runs"},
		{"--new-tokens 0", "--new-tokens"},
		{"--warmup -1", "--warmup"},
		{"--model x", "one tier"},
		{"more", "no arguments"},
	} {
		fails(t, exitUsage, []string{tt.want}, append([]string{"bench"}, strings.Fields(tt.args)...)...)
	}
	fails(t, exitFailed, []string{"no such file"}, "bench", "--compare", filepath.Join(t.TempDir(), "old.json"))
}

func TestBench(t *testing.T) {
	cache, dir := t.TempDir(), t.TempDir()
	t.Setenv("EMILY_TEST_MAIN", "1") // the lanes are processes of the test binary: see TestMain
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("EMILY_BENCH_PEERS", filepath.Join(dir, "none"))
	command := []string{"bench", "--tier", "3", "--lanes", "exla,native,fuse", "--model", models + "/tiny-qwen3", "--new-tokens", "3", "--runs", "1"}
	old := filepath.Join(dir, "old.json")
	text := succeed(t, "", append(command, "--out-json", old)...)
	for _, want := range []string{"# emily bench", "| emily-fuse (CPU) |", "exla (CPU): -: not installed: run ", "best emily lane vs EXLA"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	markdown := filepath.Join(dir, "report.md")
	figures := succeed(t, "", append(command, "--compare", old, "--markdown", markdown, "--out-json", "-")...)
	var report bench.Report
	if err := json.Unmarshal([]byte(figures), &report); err != nil {
		t.Fatalf("--out-json - writes more than JSON: %v", err)
	}
	if len(report.Results) != 3 || report.Results[2].Value == nil {
		t.Errorf("results %+v", report.Results)
	}
	written, err := os.ReadFile(markdown)
	if err != nil || !strings.Contains(string(written), "Compared with the older report") {
		t.Errorf("%v: the report with --compare is\n%s", err, written)
	}
	scripts := filepath.Join(cache, "emily", "bench", "scripts")
	if _, err := os.Stat(filepath.Join(scripts, "setup")); err != nil {
		t.Errorf("the peers' scripts were not written: %v", err)
	}
	succeed(t, "", "bench", "--clean")
	if _, err := os.Stat(scripts); !os.IsNotExist(err) {
		t.Errorf("--clean leaves the scripts: %v", err)
	}
}

// TestBenchNothing: without checkpoints the report says how to get them.
func TestBenchNothing(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	out, stderr, code := emily(t, "", "bench", "--tier", "2", "--lanes", "fuse")
	if code != exitFailed || !strings.Contains(out, "emily pull") || !strings.Contains(stderr, "nothing was measured") {
		t.Errorf("exit code %d, %s\n%s", code, stderr, out)
	}
}
