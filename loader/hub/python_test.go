package hub

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emily/loader/hub/hubtest"
)

// pythonCommand returns a program with huggingface_hub, connected to a test hub
// and a cache. EMILY_PYTHON names an interpreter that has the package.
func pythonCommand(t *testing.T, s *hubtest.Server, cache, program string) *exec.Cmd {
	t.Helper()
	interpreter := os.Getenv("EMILY_PYTHON")
	if interpreter == "" {
		t.Skip("set EMILY_PYTHON to a python with huggingface_hub to compare with it")
	}
	if out, err := exec.Command(interpreter, "-c", "import huggingface_hub").CombinedOutput(); err != nil {
		t.Skipf("%s has no huggingface_hub: %s", interpreter, out)
	}
	cmd := exec.Command(interpreter, "-c", program)
	env := s.Env(cache)
	cmd.Env = []string{"HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_UPDATE_CHECK=1", "HOME=" + cache, "PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"HF_ENDPOINT", "HF_HUB_CACHE", "HF_HOME"} {
		cmd.Env = append(cmd.Env, name+"="+env(name))
	}
	return cmd
}

// python runs a program and returns what it prints.
func python(t *testing.T, s *hubtest.Server, cache, program string) string {
	t.Helper()
	var failure strings.Builder
	cmd := pythonCommand(t, s, cache, program)
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python: %v\n%s", err, failure.String())
	}
	return strings.TrimSpace(string(out))
}

// TestPythonReads lets Python's huggingface_hub use what was pulled.
func TestPythonReads(t *testing.T) {
	s := hubtest.New(t)
	commit := s.Add("org/name", sample)
	c := client(t, s, t.TempDir())
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	before := s.Total()
	out := python(t, s, c.cache.Dir, `
import huggingface_hub as h
print(h.snapshot_download("org/name", local_files_only=True))
print(h.hf_hub_download("org/name", "sub folder/1_Pooling.json", local_files_only=True))
print(h.try_to_load_from_cache("org/name", "tokenizer.json") is h._CACHED_NO_EXIST)
print(h.snapshot_download("org/name"))
scan = h.scan_cache_dir()
print(len(scan.warnings), [r.repo_id for r in scan.repos], [r.commit_hash for x in scan.repos for r in x.revisions], sorted(f.file_name for x in scan.repos for r in x.revisions for f in r.files))
`)
	want := strings.Join([]string{
		r.Path(), filepath.Join(r.Path(), "sub folder", "1_Pooling.json"), "True", r.Path(),
		fmt.Sprintf("0 ['org/name'] ['%s'] ['1_Pooling.json', 'config.json', 'config.json', 'empty.json', 'model.safetensors']", commit),
	}, "\n")
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if s.Total() != before {
		t.Errorf("Python transferred %d bytes again", s.Total()-before)
	}
}

// TestPythonWrites pulls what Python's huggingface_hub has downloaded.
func TestPythonWrites(t *testing.T) {
	s := hubtest.New(t)
	commit := s.Add("org/name", sample)
	c := client(t, s, t.TempDir())
	out := python(t, s, c.cache.Dir, `
import huggingface_hub as h
print(h.snapshot_download("org/name"))
`)
	if filepath.Base(out) != commit {
		t.Fatalf("Python downloaded to %s", out)
	}
	before := s.Total()
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, r, sample)
	if r.Path() != out || s.Total() != before {
		t.Errorf("in %s, %d bytes were transferred again", r.Path(), s.Total()-before)
	}
	models, err := c.cache.Models()
	if err != nil || len(models) != 1 || models[0].Name != "org/name" || strings.Join(models[0].Revisions, " ") != "main" {
		t.Errorf("%+v, %v", models, err)
	}
}

// TestPythonLock pulls a file while Python holds its lock: the pull waits.
func TestPythonLock(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	c := client(t, s, t.TempDir())
	lock := c.cache.lockPath("org/name", filepath.Base(blobFile(t, s, c, bigFile, "")))
	cmd := pythonCommand(t, s, c.cache.Dir, fmt.Sprintf(`
import os, time
from huggingface_hub.utils import WeakFileLock
os.makedirs(%q, exist_ok=True)
with WeakFileLock(%q):
    print("held", flush=True)
    time.sleep(0.5)
    print(time.time(), flush=True)
`, filepath.Dir(lock), lock))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var held string
	if _, err := fmt.Fscan(out, &held); err != nil || held != "held" {
		t.Fatal(held, err)
	}
	if _, err := pull(t.Context(), c, "org/name"); err != nil {
		t.Fatal(err)
	}
	end := float64(time.Now().UnixNano()) / 1e9
	var released float64
	if _, err := fmt.Fscan(out, &released); err != nil || end < released {
		t.Errorf("the pull ended at %f, Python released the lock at %f; %v", end, released, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
