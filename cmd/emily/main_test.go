package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/cpu"
	"emily/backend/gpu/cuda"
	"emily/backend/gpu/emu"
)

const (
	models = "../../testdata/models"
	tiny   = "../../testdata/tiny"
)

// emily runs a command line in this process.
func emily(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), append([]string{"emily"}, args...), stdio{strings.NewReader(stdin), &out, &err})
	return out.String(), err.String(), code
}

// succeed runs a command line that must end with exit code 0.
func succeed(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, stderr, code := emily(t, stdin, args...)
	if code != exitOK {
		t.Fatalf("emily %s: exit code %d, %s", strings.Join(args, " "), code, stderr)
	}
	return out
}

// fails runs a command line that must end with a code and one line that has each text.
func fails(t *testing.T, want int, texts []string, args ...string) {
	t.Helper()
	out, stderr, code := emily(t, "", args...)
	if code != want {
		t.Errorf("emily %s: exit code %d, want %d (%s)", strings.Join(args, " "), code, want, stderr)
	}
	if lines := strings.Count(stderr, "\n"); lines != 1 || !strings.HasPrefix(stderr, "emily: ") {
		t.Errorf("emily %s: want one line on stderr, got %q", strings.Join(args, " "), stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stderr, text) {
			t.Errorf("emily %s: %q does not say %q", strings.Join(args, " "), stderr, text)
		}
	}
	if want == exitFailed && out != "" {
		t.Errorf("emily %s: wrote %q to stdout before it failed", strings.Join(args, " "), out)
	}
}

func TestOneLine(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"two\n  lines", "two; lines"},
		{"\x1b[2Jclears\x07", "\ufffd[2Jclears\ufffd"},
		{"turned\u202e round", "turned\ufffd round"},
		{"日本語 naïve", "日本語 naïve"},
	} {
		if got := oneLine(tt.text); got != tt.want {
			t.Errorf("%q becomes %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		texts []string
	}{
		{"unknown command", []string{"genrate", "x"}, []string{"genrate", "generate"}},
		{"unknown flag", []string{"generate", "x", "--modle", "m"}, []string{"modle", "emily generate --help"}},
		{"no prompt", []string{"generate", "--model", models + "/tiny-qwen3"}, []string{"no text"}},
		{"no model", []string{"embed", "x"}, []string{"--model"}},
		{"a flag without its value", []string{"generate", "hi", "--stop"}, []string{"needs an argument"}},
		{"not a number", []string{"generate", "x", "--top-k", "many"}, []string{"many"}},
		{"unknown lane", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--lane", "fast"}, []string{"eager, native or fuse"}},
		{"unknown packing", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--pack", "zip"}, []string{"auto or off"}},
		{"unknown dtype", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--dtype", "f64"}, []string{"f32 or bf16"}},
		{"unknown backend", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--backend", "tpu"}, []string{"tpu"}},
		{"too many threads", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--threads", "100000"}, []string{"between 0 and 1024"}},
		{"threads of a GPU", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--backend", "emu", "--threads", "2"}, []string{"--threads is for the CPU"}},
		{"two models", []string{"info", "--model", models + "/tiny-qwen3", models + "/tiny-llama"}, []string{"one model"}},
		{"verify nothing", []string{"verify", "--model", models + "/tiny-qwen3"}, []string{"reference"}},
		{"raw template argument", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--raw", "--template-arg", "thinking=1"}, []string{"--template-arg", "--raw"}},
		{"raw system", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--raw", "--system", "be brief"}, []string{"--system", "--raw"}},
		{"bad template argument", []string{"generate", "x", "--model", models + "/tiny-qwen3", "--template-arg", "thinking"}, []string{"NAME=VALUE"}},
	} {
		t.Run(tt.name, func(t *testing.T) { fails(t, exitUsage, tt.texts, tt.args...) })
	}
}

func TestParseDevice(t *testing.T) {
	for _, tt := range []struct {
		backend string
		chosen  bool
		device  string
		want    string
		index   int
		fails   bool
	}{
		{"cpu", false, "", "cpu", 0, false},
		{"cuda", true, "", "cuda", 0, false},
		{"cpu", false, "cuda:1", "cuda", 1, false},
		{"cpu", false, "cuda", "cuda", 0, false},
		{"cuda", true, "2", "cuda", 2, false},
		{"cpu", true, "cuda:1", "", 0, true},
		{"cpu", false, "cuda:x", "", 0, true},
		{"cpu", false, "cuda:-1", "", 0, true},
		{"cpu", true, "1", "", 0, true},
	} {
		name, index, err := parseDevice(tt.backend, tt.chosen, tt.device)
		if (err != nil) != tt.fails || name != tt.want || index != tt.index {
			t.Errorf("%+v: got %s:%d, %v", tt, name, index, err)
		}
	}
}

// TestDefaultBackend runs a command that names no device where there is no GPU.
func TestDefaultBackend(t *testing.T) {
	if _, err := cuda.Probe(); err == nil {
		t.Skip("there is an NVIDIA GPU")
	}
	model := []string{"generate", "once upon", "--model", models + "/tiny-llama", "--raw", "-n", "2"}
	for _, tt := range []struct {
		name, env string
		args      []string
		want      int // lines that say that it falls back to the CPU
	}{
		{"by default", "", model, 1},
		{"asked for", "", append(model, "--backend", "cpu"), 0},
		{"asked for in the environment", "cpu", model, 0},
		{"threads are the CPU's", "", append(model, "--threads", "1"), 0},
		{"threads are the CPU's whatever the environment", "cuda", append(model, "--threads", "1"), 0},
		{"built-in models need no GPU", "", []string{"generate", "once upon", "-n", "2"}, 0},
	} {
		t.Setenv("EMILY_BACKEND", tt.env)
		_, stderr, code := emily(t, "", tt.args...)
		if n := strings.Count(stderr, "computing on the CPU"); code != exitOK || n != tt.want {
			t.Errorf("%s: exit code %d, %d such lines, want %d: %q", tt.name, code, n, tt.want, stderr)
		}
	}
	t.Setenv("EMILY_BACKEND", "abacus")
	fails(t, exitUsage, []string{`"abacus"`, "cuda"}, model...)
}

// TestEmulator runs the commands on the emulated GPU.
func TestEmulator(t *testing.T) {
	if _, err := emu.Probe(); err != nil {
		t.Skip(err)
	}
	cpu := succeed(t, "", "generate", "once upon", "--model", models+"/tiny-llama", "--raw", "-n", "6")
	if got := succeed(t, "", "generate", "once upon", "--model", models+"/tiny-llama", "--raw", "-n", "6", "--backend", "emu"); got != cpu {
		t.Errorf("the emulator says %q, the CPU %q", got, cpu)
	}
	succeed(t, "", "verify", "--model", models+"/tiny-vit", tiny+"/tiny-vit.json", "--backend", "emu")
}

func TestFlagsAfterArguments(t *testing.T) {
	before := succeed(t, "", "generate", "--model", models+"/tiny-qwen3", "--raw", "--temperature", "0", "-n", "5", "one two")
	after := succeed(t, "", "generate", "one", "two", "-n", "5", "--temperature=0", "--raw", "--model", models+"/tiny-qwen3")
	if before != after {
		t.Errorf("flags before the prompt give %q, after it %q", before, after)
	}
	dashed := succeed(t, "", "tokenize", "--model", models+"/tiny-qwen3", "--json", "--", "--json")
	if !strings.Contains(dashed, `"ids"`) {
		t.Errorf("a text after -- gives %q", dashed)
	}
}

func TestPermute(t *testing.T) {
	app := newApp(stdio{strings.NewReader(""), io.Discard, io.Discard})
	for _, tt := range []struct{ in, want string }{
		{"emily generate hello --raw --model m", "emily generate --raw --model m -- hello"},
		{"emily generate --stop a,b x --stop c", "emily generate --stop a,b --stop c -- x"},
		{"emily generate x --temperature -1", "emily generate --temperature -1 -- x"},
		{"emily generate - --raw", "emily generate --raw -- -"},
		{"emily generate -- --raw", "emily generate -- --raw"},
		{"emily --version", "emily --version"},
		{"emily doctor", "emily doctor"},
		{"emily nonsense --x y", "emily nonsense --x y"},
		{"emily generate hi --stop", "emily generate --stop"},
		{"emily generate hi -m", "emily generate -m"},
		{"emily help", "emily --help"},
		{"emily help generate", "emily generate --help"},
		{"emily generate help", "emily generate -- help"},
	} {
		if got := strings.Join(permute(app, strings.Fields(tt.in)), " "); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestGenerate(t *testing.T) {
	for _, name := range []string{"tiny-qwen3", "tiny-llama"} {
		var ref struct {
			Cases []struct {
				Text   string  `json:"text"`
				Greedy string  `json:"greedy_text"`
				IDs    []int32 `json:"greedy_ids"`
			} `json:"cases"`
		}
		readJSON(t, filepath.Join(tiny, name+".json"), &ref)
		c := ref.Cases[0]
		for _, lane := range []string{"eager", "native", "fuse"} {
			out := succeed(t, c.Text, "generate", "-", "--model", filepath.Join(models, name), "--raw", "--lane", lane, "--max-tokens", "16", "--json")
			var got struct {
				Text         string  `json:"text"`
				Tokens       []int32 `json:"tokens"`
				PromptTokens int     `json:"prompt_tokens"`
				FinishReason string  `json:"finish_reason"`
				Timings      map[string]float64
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatal(err)
			}
			for i, id := range got.Tokens {
				if id != c.IDs[i] {
					t.Fatalf("%s %s: token %d is %d, want %d", name, lane, i, id, c.IDs[i])
				}
			}
			if got.FinishReason == "length" && len(got.Tokens) != 16 {
				t.Errorf("%s %s: %d tokens", name, lane, len(got.Tokens))
			}
			if got.PromptTokens == 0 || len(got.Timings) == 0 {
				t.Errorf("%s %s: the JSON lacks fields: %s", name, lane, out)
			}
		}
	}
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

func TestSeed(t *testing.T) {
	sampled := func(seed string) string {
		return succeed(t, "", "generate", "once upon", "--model", models+"/tiny-llama", "--raw", "--temperature", "1.5", "--top-k", "0", "-n", "12", "--seed", seed)
	}
	if a, b := sampled("7"), sampled("7"); a != b {
		t.Errorf("one seed gives %q and %q", a, b)
	}
	if a, b := sampled("7"), sampled("8"); a == b {
		t.Errorf("two seeds give the same text %q", a)
	}
}

// TestStop ends a text before a piece of what it would be otherwise.
func TestStop(t *testing.T) {
	args := []string{"generate", "once upon", "--model", models + "/tiny-llama", "--raw", "-n", "30"}
	whole := strings.TrimSuffix(succeed(t, "", args...), "\n")
	if len(whole) < 10 {
		t.Fatalf("the text %q is too short for the test", whole)
	}
	runes := []rune(whole)
	stop := string(runes[4:7])
	got := strings.TrimSuffix(succeed(t, "", append(args, "--stop", stop)...), "\n")
	if want := whole[:strings.Index(whole, stop)]; got != want {
		t.Errorf("--stop %q gives %q, want %q", stop, got, want)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out, stderr bytes.Buffer
	first := writerFunc(func(p []byte) (int, error) {
		cancel() // after the first piece of text
		return out.Write(p)
	})
	code := run(ctx, []string{"emily", "generate", "x", "--model", models + "/tiny-llama", "--raw", "--max-tokens", "400"}, stdio{strings.NewReader(""), first, &stderr})
	if code != exitInterrupted || out.Len() == 0 {
		t.Errorf("exit code %d after %q (%s)", code, out.String(), stderr.String())
	}
}

// TestClosedOutput is `emily ... | head -c 0`.
func TestClosedOutput(t *testing.T) {
	var stderr bytes.Buffer
	closed := writerFunc(func([]byte) (int, error) { return 0, errors.New("broken pipe") })
	code := run(t.Context(), []string{"emily", "generate", "x", "--model", models + "/tiny-llama", "--raw"}, stdio{strings.NewReader(""), closed, &stderr})
	if code != exitFailed || strings.Count(stderr.String(), "\n") != 1 || !strings.Contains(stderr.String(), "closed") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestVerifyCommand(t *testing.T) {
	for _, name := range []string{"tiny-qwen3", "tiny-qwen3-untied", "tiny-llama", "tiny-llama3", "tiny-llama-bias", "tiny-qwen2-yarn", "tiny-mistral", "tiny-qwen3-dynamic"} {
		args := []string{"verify", "--model", filepath.Join(models, name), filepath.Join(tiny, name+".json")}
		if out := succeed(t, "", args...); !strings.Contains(out, "0.logits") || !strings.Contains(out, "0.hidden.1") || !strings.Contains(out, "64/64") {
			t.Errorf("%s: the table lacks outputs:\n%s", name, out)
		}
		var report struct {
			Pass    bool
			Results []struct {
				Output string
				Share  *float64 `json:"share_of_range"`
			}
		}
		if err := json.Unmarshal([]byte(succeed(t, "", append(args, "--json")...)), &report); err != nil || !report.Pass {
			t.Errorf("%s: %v, pass %t", name, err, report.Pass)
		}
		if _, stderr, code := emily(t, "", append(args, "--tolerance", "0")...); code != exitFailed || !strings.Contains(stderr, "tolerance") {
			t.Errorf("%s: with tolerance 0: exit code %d, %s", name, code, stderr)
		}
	}
	fails(t, exitFailed, []string{"cannot be read"}, "verify", "--model", models+"/tiny-llama", "nothing.json")
	// Another model's reference fails.
	if _, _, code := emily(t, "", "verify", "--model", models+"/tiny-llama", tiny+"/tiny-qwen3.json"); code != exitFailed {
		t.Errorf("another model's reference: exit code %d", code)
	}
}

func TestTokenizeCommand(t *testing.T) {
	model := models + "/tiny-qwen3"
	const text = "Hé<|im_end|>"
	var got tokens
	if err := json.Unmarshal([]byte(succeed(t, "", "tokenize", text, "--model", model, "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.IDs); n == 0 || len(got.Tokens) != n || len(got.Offsets) != n || got.IDs[n-1] != 511 || got.Offsets[n-1] != [2]int{2, 12} {
		t.Errorf("got %+v", got)
	}
	ids, _ := json.Marshal(got.IDs)
	if back := succeed(t, "", "tokenize", "--decode", string(ids), "--model", model); back != text+"\n" {
		t.Errorf("decoded %q, want %q", back, text)
	}
	if back := succeed(t, string(ids), "tokenize", "--decode", "--no-special", "-", "--model", model); back != "Hé\n" {
		t.Errorf("decoded without special tokens: %q", back)
	}
	lines := succeed(t, "\"a\"\n\"\"\n\n\"b\\nc\"", "tokenize", "--jsonl", "--model", model)
	if n := strings.Count(lines, "\n"); n != 3 {
		t.Errorf("3 strings give %d lines: %s", n, lines)
	}
	if out, stderr, code := emily(t, "\"a\"\nnull\n", "tokenize", "--jsonl", "--model", model); code != exitFailed || strings.Count(out, "\n") != 1 || !strings.Contains(stderr, "line 2") {
		t.Errorf("null is no text: exit code %d, %q, %q", code, out, stderr)
	}
	fails(t, exitFailed, []string{"x", "token id"}, "tokenize", "--decode", "1 x", "--model", model)
	fails(t, exitFailed, []string{"no token 99999"}, "tokenize", "--decode", "1 99999", "--model", model)
	fails(t, exitFailed, []string{"no token -5"}, "tokenize", "--decode", "--model", model, "--", "-5")
	fails(t, exitFailed, []string{"UTF-8"}, "tokenize", "caf\xe9", "--model", model)
}

func TestTokenizeMessages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.json")
	if err := os.WriteFile(path, []byte(`[{"role":"user","content":"<hi> & \"é\""}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Text string
		IDs  []int32
	}
	if err := json.Unmarshal([]byte(succeed(t, "", "tokenize", "--messages", path, "--model", models+"/tiny-qwen3")), &got); err != nil {
		t.Fatal(err)
	}
	if want := "<|im_start|>user\n<hi> & \"é\"<|im_end|>\n<|im_start|>assistant\n"; got.Text != want || len(got.IDs) == 0 {
		t.Errorf("got %q and %d ids, want %q", got.Text, len(got.IDs), want)
	}
}

func TestInfoCommand(t *testing.T) {
	out := succeed(t, "", "info", models+"/tiny-qwen3-untied", "--tensors")
	for _, want := range []string{"Qwen3ForCausalLM", "emily generate", "2 file(s)", "lm_head.weight", "layers"} {
		if !strings.Contains(out, want) {
			t.Errorf("info does not say %q:\n%s", want, out)
		}
	}
	t.Setenv("EMILY_MODEL", models+"/tiny-qwen3")
	succeed(t, "", "info", models+"/tiny-llama")
	var info modelInfo
	if err := json.Unmarshal([]byte(succeed(t, "", "info", "--json", "--model", models+"/tiny-llama")), &info); err != nil || info.Parameters == 0 || info.Task != "generate" {
		t.Errorf("%v: %+v", err, info)
	}
}

func TestDoctor(t *testing.T) {
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	out := succeed(t, "", "doctor")
	for _, name := range []string{"kernels", "threads", "memory", "limits", "GB/s", "Qwen3-0.6B in bf16 can decode at most", "cache", "cuda", "metal"} {
		if !strings.Contains(out, name) {
			t.Errorf("doctor does not check %s:\n%s", name, out)
		}
	}
	t.Setenv("EMILY_BACKEND", "abacus")
	if out, _, code := emily(t, "", "doctor"); code != exitFailed || !strings.Contains(out, "unset EMILY_BACKEND") {
		t.Errorf("an unknown EMILY_BACKEND: exit code %d\n%s", code, out)
	}
	t.Setenv("EMILY_BACKEND", "")
	t.Setenv("EMILY_CPU", "abacus")
	if out, _, code := emily(t, "", "doctor"); code != exitFailed || !strings.Contains(out, "error") || !strings.Contains(out, "abacus") {
		t.Errorf("an unknown EMILY_CPU: exit code %d\n%s", code, out)
	}
}

// TestSelfTest: a device that computes passes, one that does not is told of.
func TestSelfTest(t *testing.T) {
	out := succeed(t, "", "doctor", "--backend", "cpu")
	for _, name := range []string{"attention", "graphs in three lanes", "same 48 tokens", "GB/s"} {
		if !strings.Contains(out, name) {
			t.Errorf("the self-test does not tell of %s:\n%s", name, out)
		}
	}
	if strings.Contains(out, "error") {
		t.Error(out)
	}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for _, g := range backendtest.Groups() {
		if k := checkGroup(g, broken{device}); k.Status != "error" || !strings.Contains(k.Detail, "it is broken") {
			t.Errorf("%s: a broken device gives %+v", g.Name, k)
		}
	}
	if k := checkStory(t.Context(), broken{device}); k.Status != "error" || !strings.Contains(k.Detail, "it is broken") {
		t.Errorf("a broken device gives %+v", k)
	}
}

// TestDoctorUsage: flags that name no device are usage errors, not failed checks.
func TestDoctorUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--backend", "foo"}, {"--backend", ""}, {"--device", "foo"}, {"--backend", "cpu", "--threads", "-1"}, {"--threads", "3"}, {"extra"},
	} {
		if out, stderr, code := emily(t, "", append([]string{"doctor"}, args...)...); code != exitUsage || out != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("doctor %s: exit code %d, %q, %q", args, code, out, stderr)
		}
	}
}

type broken struct{ backend.Backend }

func (broken) Compile(*backend.Plan) (backend.Program, error) { return nil, errors.New("it is broken") }

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o", "zsh": "#compdef emily", "fish": "complete -c emily"} {
		if out := succeed(t, "", "completion", shell); !strings.Contains(out, want) {
			t.Errorf("%s: %s", shell, out)
		}
	}
	if out := succeed(t, "", "--generate-bash-completion"); !strings.Contains(out, "generate") {
		t.Errorf("commands are not completed: %q", out)
	}
	if out := succeed(t, "", "generate", "--to", "--generate-bash-completion"); !strings.Contains(out, "--top-k") {
		t.Errorf("flags are not completed: %q", out)
	}
}

func TestChatPipe(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "chat.json")
	out := succeed(t, "hello\n/save "+saved+"\nand then?\n/reset\n/exit\nnever\n", "chat", "--model", models+"/tiny-llama", "-n", "8", "--system", "be brief")
	if strings.Count(out, "\n") < 2 {
		t.Errorf("two turns gave %q", out)
	}
	var got struct {
		Messages []struct{ Role, Content string }
	}
	readJSON(t, saved, &got)
	if len(got.Messages) != 3 || got.Messages[0].Role != "system" || got.Messages[2].Role != "assistant" {
		t.Errorf("saved %+v", got)
	}
}

// TestThreadsOf: a quota is rounded up, and never gives more threads than there are processors.
func TestThreadsOf(t *testing.T) {
	for quota, want := range map[float64]int{0.1: 1, 1: 1, 1.5: min(2, runtime.GOMAXPROCS(0)), 1000: runtime.GOMAXPROCS(0)} {
		if got := threadsOf(quota); got != want {
			t.Errorf("quota %g: %d threads, want %d", quota, got, want)
		}
	}
}
