//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// TestBenchInterrupted sends what Ctrl-C sends while a peer works on tier 3's
// second case: the rows of the first are kept.
func TestBenchInterrupted(t *testing.T) {
	dir := t.TempDir()
	figures, markdown, hangs := filepath.Join(dir, "figures.json"), filepath.Join(dir, "report.md"), filepath.Join(dir, "hangs")
	peer := fmt.Sprintf(`#!/bin/sh
echo '{"version": "fake"}'
while read line; do
  case $line in *prompt_tokens*) touch %s; sleep 60;; esac
  echo '{"output": {"tokens": [1]}}'
done
`, hangs)
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "python"), []byte(peer), 0o755); err != nil {
		t.Fatal(err)
	}
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

// TestReplaceFile: a writer that fails leaves what was there.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "report"), filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	text := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			io.WriteString(w, s)
			return err
		}
	}
	for _, tt := range []struct {
		path, text string
		err        error
		want       string
	}{
		{path, "one", nil, "one"},
		{link, "two", nil, "two"},
		{path, "half", errors.New("no disk"), "two"},
		{os.DevNull, "away", nil, "two"},
	} {
		if err := replaceFile(tt.path, text(tt.text, tt.err)); !errors.Is(err, tt.err) {
			t.Errorf("writing %q: %v, want %v", tt.text, err, tt.err)
		}
		if got, err := os.ReadFile(path); string(got) != tt.want {
			t.Errorf("after writing %q the file is %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left are %v", left)
	}
	if err := replaceFile(filepath.Join(dir, "none", "report"), text("x", nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
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
