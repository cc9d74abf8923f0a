package whisper

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/internal/golden"
	"emily/sample"
)

// reference is testdata/tiny/tiny-whisper: features and outputs of transformers.
type reference struct {
	Cases []struct {
		WAV        string
		Prefix     []int32
		Plain      struct{ IDs []int32 }
		Suppressed struct{ IDs []int32 }
	}
	golden.Tensors `json:"-"`
}

func readReference(t *testing.T) *reference {
	t.Helper()
	r := &reference{Tensors: golden.OpenTensors(t, golden.Path("tiny", "tiny-whisper.safetensors"))}
	golden.ReadJSON(t, golden.Path("tiny", "tiny-whisper.json"), r)
	return r
}

func loadTiny(t testing.TB, b backend.Backend, lane backend.Lane) *Model {
	t.Helper()
	return golden.Load(t, b, "tiny-whisper", lane).Model.(*Model)
}

func newWindow(t testing.TB, m *Model) *Window {
	t.Helper()
	w, err := m.NewWindow()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestReference compares hidden states, logits and greedy tokens with transformers in f32.
func TestReference(t *testing.T) {
	b, want := golden.Backend(t), readReference(t)
	for _, lane := range golden.Lanes {
		t.Run(lane.String(), func(t *testing.T) {
			m := loadTiny(t, b, lane)
			w := newWindow(t, m)
			for i, c := range want.Cases {
				name := func(s string) string { return fmt.Sprintf("%d.%s", i, s) }
				features := want.Get(t, name("features"))
				encoder, err := w.TapEncoder(t.Context(), features)
				if err != nil {
					t.Fatal(err)
				}
				want.Check(t, name("encoder"), encoder[len(encoder)-1])
				if err := w.Encode(t.Context(), features); err != nil {
					t.Fatal(err)
				}
				decoder, logits, err := w.Tap(t.Context(), c.Prefix)
				if err != nil {
					t.Fatal(err)
				}
				want.Check(t, name("prefix_logits"), logits)
				if i == 0 {
					for j := 1; j <= m.config.EncoderLayers; j++ {
						want.Check(t, fmt.Sprintf("0.encoder_hidden.%d", j), encoder[j])
					}
					for j := 1; j <= m.config.DecoderLayers; j++ {
						want.Check(t, fmt.Sprintf("0.decoder_hidden.%d", j), decoder[j])
					}
				}
				if got := greedy(t, w, c.Prefix, len(c.Plain.IDs), nil); !slices.Equal(got, c.Plain.IDs) {
					t.Errorf("case %d: greedy tokens\n%v, want\n%v", i, got, c.Plain.IDs)
				}
				if got := suppressed(t, m, w, c.Prefix, len(c.Suppressed.IDs)); !slices.Equal(got, c.Suppressed.IDs) {
					t.Errorf("case %d: suppressed tokens\n%v, want\n%v", i, got, c.Suppressed.IDs)
				}
			}
		})
	}
}

// greedy extends the window's text by n arg-max tokens after apply changed the logits.
func greedy(t *testing.T, w *Window, ids []int32, n int, apply func(logits []float32, text []int32)) []int32 {
	t.Helper()
	w.Truncate(0)
	sampler := sample.New(sample.Params{})
	var text []int32
	for range n {
		logits, err := w.Extend(context.Background(), ids)
		if err != nil {
			t.Fatal(err)
		}
		if apply != nil {
			apply(logits, text)
		}
		id, err := sampler.Next(logits)
		if err != nil {
			t.Fatal(err)
		}
		text, ids = append(text, id), []int32{id}
	}
	return text
}

// suppressed is greedy with the rules that the tokens' lists make.
func suppressed(t *testing.T, m *Model, w *Window, ids []int32, n int) []int32 {
	t.Helper()
	s, err := m.speech()
	if err != nil {
		t.Fatal(err)
	}
	r := rules{tokens: &s.tokens, generation: &m.generation}
	return greedy(t, w, ids, n, r.apply)
}

// TestWindow checks that a window refuses what does not fit and says why.
func TestWindow(t *testing.T) {
	w := newWindow(t, loadTiny(t, golden.Backend(t), backend.Fuse))
	extend := func(ids ...int32) error { _, err := w.Extend(t.Context(), ids); return err }
	for _, c := range []struct {
		err  error
		want string
	}{
		{w.Encode(t.Context(), make([]float32, 7)), "7 feature values, want 80 x 300"},
		{extend(), "there is no token to run"},
		{extend(600), "token id 600 is outside the model's vocabulary of 600"},
		{extend(make([]int32, 97)...), "the text has 97 tokens, more than the model's 96"},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("got %v, want %s", c.err, c.want)
		}
	}
}

// TestBF16 compares logits computed and cached in bf16. The weights of the tiny
// model are so wide that transformers' own bf16 is off by 0.0586 of the range here.
func TestBF16(t *testing.T) {
	const computed = 0.0586
	want, b := readReference(t), golden.Backend(t)
	for _, opt := range []arch.Options{
		{Lane: backend.Eager, DType: backend.BF16}, {Lane: backend.Native, DType: backend.BF16}, {Lane: backend.Fuse, DType: backend.BF16},
		{Lane: backend.Eager, KV: backend.BF16}, {Lane: backend.Native, KV: backend.BF16}, {Lane: backend.Fuse, KV: backend.BF16},
	} {
		opt.Backend = b
		m := golden.LoadOptions(t, golden.Path("models", "tiny-whisper"), opt).Model.(*Model)
		w := newWindow(t, m)
		if err := w.Encode(t.Context(), want.Get(t, "0.features")); err != nil {
			t.Fatal(err)
		}
		_, logits, err := w.Tap(t.Context(), want.Cases[0].Prefix)
		if err != nil {
			t.Fatal(err)
		}
		tolerance := golden.BF16Tolerance
		if opt.DType == backend.BF16 {
			tolerance = computed
		}
		golden.CompareWithin(t, fmt.Sprint(opt.Lane, " ", opt.DType, " ", opt.KV), logits, want.Get(t, "0.prefix_logits"), tolerance)
	}
}

// TestConfig checks that a config.json that cannot be is refused with the reason.
func TestConfig(t *testing.T) {
	b := golden.Backend(t)
	for _, c := range []struct{ fields, want string }{
		{`{"encoder_layers": 1000000}`, "encoder_layers is 1000000, which is not between 1 and 4096"},
		{`{"decoder_attention_heads": 5}`, "a hidden size of 64 does not divide into 5 heads"},
		{`{"max_target_positions": 1000000}`, "has shape [96 64], the configuration asks for [1000000 64]"},
		{`{"vocab_size": 400}`, "is to be suppressed but outside the vocabulary of 400"},
		{`{"scale_embedding": true}`, "scale_embedding is set"},
		{`{"alignment_heads": [[2, 0]]}`, "alignment head [2 0] does not exist"},
		{`{"median_filter_width": 4}`, "median_filter_width 4 is not a small odd number"},
	} {
		golden.CheckConfig(t, b, "tiny-whisper", c.fields, c.want)
	}
}
