//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"emily/arch"
	"emily/backend/cpu"
	"emily/loader"
)

// TestMain lets the tests run the program as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("EMILY_TEST_MAIN") != "" {
		code := start()
		if path := os.Getenv("EMILY_TEST_STATUS"); path != "" {
			status, _ := os.ReadFile("/proc/self/status")
			if err := os.WriteFile(path, status, 0o600); err != nil {
				code = exitFailed
			}
		}
		os.Exit(code)
	}
	os.Setenv("EMILY_BACKEND", "cpu") // what is here should not matter
	os.Exit(m.Run())
}

// process runs a command line in a new process and returns its peak memory,
// which the process itself reads: what the system tells of an ended child
// starts from the memory of this one. It is 0 where there is no /proc.
func process(t *testing.T, args ...string) (stdout, stderr string, peak int64) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	status := filepath.Join(t.TempDir(), "status")
	cmd.Env = append(os.Environ(), "EMILY_TEST_MAIN=1", "EMILY_TEST_STATUS="+status)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("emily %s: %v\n%s", strings.Join(args, " "), err, &complaints)
	}
	text, err := os.ReadFile(status)
	if err != nil {
		t.Fatal(err)
	}
	if _, line, ok := strings.Cut(string(text), "VmHWM:"); ok {
		if _, err := fmt.Sscanf(line, "%d kB", &peak); err != nil {
			t.Fatal(err)
		}
	}
	return string(out), complaints.String(), peak << 10
}

// realModel returns a folder of real weights.
func realModel(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("EMILY_REAL")
	if dir == "" {
		t.Skip("set EMILY_REAL to a folder made by tools/realmodels/fetch")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%v: tools/realmodels/fetch and tools/randommodel make it", err)
	}
	return path
}

// TestRealGreedy compares SmolLM2's greedy tokens with transformers'.
func TestRealGreedy(t *testing.T) {
	model := realModel(t, "smollm2-135m-instruct")
	for _, lane := range []string{"eager", "native", "fuse"} {
		out := succeed(t, "", "verify", "--model", model, "--lane", lane, "../../testdata/real/smollm2-135m-instruct.json")
		if n := strings.Count(out, "48/48"); n != 7 {
			t.Errorf("%s: %d of 7 texts are equal:\n%s", lane, n, out)
		}
	}
}

// TestRealChat asks for a fact and for something said before.
func TestRealChat(t *testing.T) {
	model := realModel(t, "smollm2-135m-instruct")
	out := succeed(t, "What is the capital of France?\nAnd in which country is it?\n", "chat", "--model", model, "-n", "60", "--temperature", "0")
	if !strings.Contains(out, "Paris") || !strings.Contains(out, "France") {
		t.Errorf("the chat says %q", out)
	}
}

// TestRealSize loads a checkpoint of Qwen3-0.6B's exact shape: the weights stay where they are mapped.
func TestRealSize(t *testing.T) {
	model := realModel(t, "qwen3-0.6b-random")
	weights, err := os.Stat(filepath.Join(model, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}

	device, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	folder, err := loader.Find(t.Context(), model, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m, err := arch.Load(t.Context(), folder, arch.Options{Backend: device})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 50<<20 {
		t.Errorf("loading grew the heap by %d MB", grown>>20)
	}

	out, _, peak := process(t, "generate", "--model", model, "--pack", "off", "--raw", "--json", "-n", "48", "--temperature", "0", "The quick brown fox jumps over the lazy dog.")
	var got struct{ Tokens []int32 }
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Tokens) == 0 {
		t.Errorf("%v, %d tokens", err, len(got.Tokens))
	}
	const cache = 256 * 2 * 28 * 8 * 128 * 4
	if limit := weights.Size() + cache + 150e6; peak > limit {
		t.Errorf("peak memory is %d MB, more than weights, cache and 150 MB: %d MB", peak/1e6, limit/1e6)
	}
}

// TestRealPacked has weights packed while a text is generated, then read from
// the cache folder; the tokens and the memory stay the same.
func TestRealPacked(t *testing.T) {
	model := realModel(t, "smollm2-135m-instruct")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	generate := func(pack string) (tokens []int32, stderr string, peak int64) {
		out, stderr, peak := process(t, "generate", "--model", model, "--pack", pack, "--json", "-n", "400", "--temperature", "0", "Tell me a long story of a fox.")
		var got struct{ Tokens []int32 }
		if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Tokens) == 0 {
			t.Fatalf("%v: %s", err, out)
		}
		return got.Tokens, stderr, peak
	}
	want, _, plain := generate("off")
	for i := range 3 {
		got, told, peak := generate("auto")
		if !slices.Equal(got, want) {
			t.Errorf("run %d: tokens %v, unpacked %v", i, got, want)
		}
		if packed := strings.Contains(told, "packed "); packed != (i == 0) {
			t.Errorf("run %d tells %q", i, told)
		}
		if i > 0 && plain > 0 && peak >= plain {
			t.Errorf("run %d: peak memory is %d MB, unpacked %d MB", i, peak>>20, plain>>20)
		}
	}
}
