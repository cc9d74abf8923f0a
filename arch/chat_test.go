package arch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"emily/arch"
	_ "emily/arch/qwen3"
	"emily/backend/cpu"
	"emily/loader"
)

func load(t *testing.T, name string) *arch.Text {
	t.Helper()
	device, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	folder, err := loader.Find(t.Context(), "../testdata/models/"+name, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := arch.Load(t.Context(), folder, arch.Options{Backend: device, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	text, err := arch.NewText(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestChatKeepsItsCache compares each answer of a chat with one that a fresh
// sequence gives to the same prompt.
func TestChatKeepsItsCache(t *testing.T) {
	text := load(t, "tiny-llama")
	chat, err := text.NewChat("")
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	opt := arch.GenerateOptions{MaxTokens: 6}
	for _, turn := range []string{"one", "two", "three"} {
		before := slices.Clone(chat.Messages)
		got, err := chat.Say(t.Context(), turn, opt, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := text.ChatIDs(t.Context(), append(before, arch.Message{Role: "user", Content: turn}), nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := text.Generate(t.Context(), ids, opt, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Text != want.Text {
			t.Errorf("turn %q: %q with the kept cache, %q without", turn, got.Text, want.Text)
		}
		if len(before) > 0 && got.PromptTokens >= len(ids) {
			t.Errorf("turn %q ran %d of %d tokens: nothing was kept", turn, got.PromptTokens, len(ids))
		}
	}
}

// TestGrowth extends a sequence past its first capacities and compares with
// one prompt of the same tokens.
func TestGrowth(t *testing.T) {
	text := load(t, "tiny-qwen3")
	ids := make([]int32, 500)
	for i := range ids {
		ids[i] = int32(i*37%400 + 1)
	}
	grown, err := text.NewSequence()
	if err != nil {
		t.Fatal(err)
	}
	defer grown.Close()
	whole, err := text.NewSequence()
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	var last []float32
	for _, piece := range [][]int32{ids[:3], ids[3:4], ids[4:250], ids[250:270], ids[270:499], ids[499:]} {
		if last, err = grown.Logits(t.Context(), piece, false); err != nil {
			t.Fatal(err)
		}
	}
	want, err := whole.Logits(t.Context(), ids, false)
	if err != nil {
		t.Fatal(err)
	}
	if small, large := grown.Bytes(), whole.Bytes(); small != large || grown.Length() != 500 {
		t.Errorf("the grown cache has %d bytes for %d tokens, want %d", small, grown.Length(), large)
	}
	span := slices.Max(want) - slices.Min(want)
	for i := range want {
		if d := last[i] - want[i]; d > 1e-5*span || -d > 1e-5*span {
			t.Fatalf("logit %d is %v after growing, %v at once", i, last[i], want[i])
		}
	}
	if _, err := grown.Logits(t.Context(), ids[:13], false); err == nil || !strings.Contains(err.Error(), "512") || !strings.Contains(err.Error(), "513") {
		t.Errorf("past the context: %v", err)
	}
}

// TestTruncate forgets tokens and runs others in their place.
func TestTruncate(t *testing.T) {
	text := load(t, "tiny-qwen3")
	run := func(pieces ...[]int32) []float32 {
		seq, err := text.NewSequence()
		if err != nil {
			t.Fatal(err)
		}
		defer seq.Close()
		var logits []float32
		for i, p := range pieces {
			if i > 0 {
				seq.Truncate(2)
			}
			if logits, err = seq.Logits(t.Context(), p, false); err != nil {
				t.Fatal(err)
			}
		}
		return slices.Clone(logits)
	}
	if got, want := run([]int32{5, 6, 7, 8}, []int32{9, 10}), run([]int32{5, 6}, []int32{9, 10}); !slices.Equal(got, want) {
		t.Error("truncated tokens still matter")
	}
}

// TestSampledCandidates checks that the k best of the device give the tokens
// that all logits give.
func TestSampledCandidates(t *testing.T) {
	text := load(t, "tiny-llama")
	prompt, err := text.PromptIDs("once upon a time")
	if err != nil {
		t.Fatal(err)
	}
	opt := arch.GenerateOptions{MaxTokens: 30, IgnoreEOS: true}
	opt.Sampling.Temperature, opt.Sampling.TopK, opt.Sampling.Seed = 1.2, 40, 5
	few, err := text.Generate(t.Context(), prompt, opt, nil)
	if err != nil {
		t.Fatal(err)
	}
	opt.Sampling.PresencePenalty = 1e-30 // needs all logits, changes none
	all, err := text.Generate(t.Context(), prompt, opt, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(few.Tokens, all.Tokens) {
		t.Errorf("%v from candidates, %v from all logits", few.Tokens, all.Tokens)
	}
}

func TestCloseWhileRunning(t *testing.T) {
	text := load(t, "tiny-llama")
	prompt, err := text.PromptIDs("once")
	if err != nil {
		t.Fatal(err)
	}
	first, done := make(chan bool, 1), make(chan error)
	go func() {
		_, err := text.Generate(context.Background(), prompt, arch.GenerateOptions{MaxTokens: 400, IgnoreEOS: true}, func(string) bool {
			select {
			case first <- true:
			default:
			}
			return true
		})
		done <- err
	}()
	<-first
	if err := text.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && !errors.Is(err, arch.ErrClosed) {
		t.Error(err)
	}
	if _, err := text.Generate(t.Context(), prompt, arch.GenerateOptions{MaxTokens: 1}, nil); !errors.Is(err, arch.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestStreamIsText checks that no piece splits a code point and that the
// pieces are the text.
func TestStreamIsText(t *testing.T) {
	text := load(t, "tiny-qwen3")
	prompt, err := text.PromptIDs("héllo 世界")
	if err != nil {
		t.Fatal(err)
	}
	var pieces []string
	got, err := text.Generate(t.Context(), prompt, arch.GenerateOptions{MaxTokens: 100, IgnoreEOS: true}, func(s string) bool {
		pieces = append(pieces, s)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		if !utf8.ValidString(p) {
			t.Errorf("the piece %q is not text", p)
		}
	}
	if strings.Join(pieces, "") != got.Text || text.Tokenizer.Decode(got.Tokens, true) != got.Text {
		t.Errorf("the pieces are not the text %q", got.Text)
	}
}

func TestRotary(t *testing.T) {
	for _, tt := range []struct {
		name  string
		r     arch.Rotary
		error string
	}{
		{"default", arch.Rotary{}, ""},
		{"unknown", arch.Rotary{RopeScaling: &arch.RotaryScaling{Type: "spiral"}}, "spiral"},
		{"no factor", arch.Rotary{RopeScaling: &arch.RotaryScaling{RopeType: "linear"}}, "factor"},
		{"negative theta", arch.Rotary{RopeTheta: -1}, "rope_theta"},
		{"both forms", arch.Rotary{RopeScaling: &arch.RotaryScaling{RopeType: "spiral"}, RopeParameters: &arch.RotaryScaling{RopeType: "default"}}, "spiral"},
		{"yarn without a factor", arch.Rotary{OriginalMax: 512, RopeScaling: &arch.RotaryScaling{RopeType: "yarn"}}, ""},
	} {
		inverse, _, err := tt.r.Frequencies(64, 2048)
		if tt.error == "" && (err != nil || len(inverse) == 0 || inverse[0] != 1) {
			t.Errorf("%s: %v, %v", tt.name, inverse, err)
		}
		if tt.error != "" && (err == nil || !strings.Contains(err.Error(), tt.error)) {
			t.Errorf("%s: %v does not say %q", tt.name, err, tt.error)
		}
	}
}
