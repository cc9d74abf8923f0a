//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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
		{"--row-limit 0s", "--row-limit"},
		{"--model x", "one tier"},
		{"--model x --tier 1", "tier 1 has no model"},
		{"--clean --tier 99", "no tier"},
		{"--out-json same --markdown same", "name the same file, same"},
		{"more", "no arguments"},
	} {
		fails(t, exitUsage, []string{tt.want}, append([]string{"bench"}, strings.Fields(tt.args)...)...)
	}
	none := filepath.Join(t.TempDir(), "none")
	fails(t, exitFailed, []string{"no such file"}, "bench", "--compare", none)
	fails(t, exitFailed, []string{none}, "bench", "--model", none, "--tier", "3")
	if help := succeed(t, "", "bench", "--help"); !strings.Contains(help, strings.Join(backendNames, ", ")) {
		t.Errorf("the help does not list %v:\n%s", backendNames, help)
	}
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
	if len(report.Results) != 6 || report.Results[2].Value == nil || report.Environment.Partial != "" { // decode and prefill
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

// fakePeer puts a peer into dir that runs a command when it gets tier 3's second case.
func fakePeer(t *testing.T, dir, command string) {
	t.Helper()
	script := fmt.Sprintf(`#!/bin/sh
echo '{"version": "fake"}'
while read line; do
  case $line in *prompt_tokens*) %s;; esac
  echo '{"output": {"tokens": [1, 1, 1, 1, 1, 1, 1, 1]}}'
done
`, command)
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "python"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestBenchInterrupted sends what Ctrl-C sends while a peer works on tier 3's
// second case: the rows of the first are kept.
func TestBenchInterrupted(t *testing.T) {
	dir := t.TempDir()
	figures, markdown, hangs := filepath.Join(dir, "figures.json"), filepath.Join(dir, "report.md"), filepath.Join(dir, "hangs")
	fakePeer(t, dir, fmt.Sprintf("touch %s; sleep 60", hangs))
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "bench", "--tier", "3", "--lanes", "fuse,torch", "--model", models+"/tiny-qwen3", "--smoke", "--out-json", figures, "--markdown", markdown)
	cmd.Env = append(os.Environ(), "EMILY_TEST_MAIN=1", "XDG_CACHE_HOME="+dir, "EMILY_BENCH_PEERS="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(hangs); err == nil {
			break
		}
	}
	cmd.Process.Signal(syscall.SIGINT)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("%v, want exit code %d", err, exitInterrupted)
	}
	report, err := readReport(figures)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		if r.Case != "Qwen3-0.6B decode" || r.Value == nil {
			t.Errorf("a row is %+v", r)
		}
	}
	if len(report.Results) != 2 {
		t.Errorf("%d rows were kept, want 2", len(report.Results))
	}
	text, err := os.ReadFile(markdown)
	if want := "This report is partial: it ends within tier 3."; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%v: %q is not in\n%s", err, want, text)
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

// TestBenchNoCache: emily's lanes need no cache folder; what does says so.
func TestBenchNoCache(t *testing.T) {
	t.Setenv("EMILY_TEST_MAIN", "1")
	t.Setenv("XDG_CACHE_HOME", "relative") // which is no cache folder
	command := []string{"bench", "--tier", "3", "--lanes", "fuse", "--new-tokens", "2", "--runs", "1"}
	out := succeed(t, "", append(command, "--model", models+"/tiny-qwen3")...)
	if strings.Contains(out, "XDG_CACHE_HOME") {
		t.Errorf("a cache that nothing needs is missed:\n%s", out)
	}
	const advice = "set XDG_CACHE_HOME to a folder that can be written"
	fails(t, exitFailed, []string{advice}, append(command, "--random-weights")...)
	fails(t, exitFailed, []string{advice}, "bench", "--clean")
}
