package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"emily/arch"
	"emily/arch/whisper"
	"emily/audio"
	"emily/sample"
)

// speechCase is a case of a Whisper reference: of a tiny model (Prefix, Plain,
// Suppressed) or of a real one (IDs, Text, Segments).
type speechCase struct {
	WAV        string  `json:"wav"`
	Prefix     []int32 `json:"prefix"`
	Plain      struct{ IDs []int32 }
	Suppressed struct{ IDs []int32 }
	Language   string  `json:"language"`
	IDs        []int32 `json:"ids"`
	Text       *string `json:"text"`
	Segments   []struct {
		Start, End float64
		Text       string
	} `json:"segments"`
}

// speech compares features, encoder, decoder and what is transcribed. Decoding
// is greedy, without fallback, as the reference's.
func (c *comparison) speech(ctx context.Context, m *whisper.Model) error {
	var ref struct {
		Cases []speechCase `json:"cases"`
	}
	if err := c.ref.decode(&ref); err != nil {
		return err
	}
	for i := range ref.Cases {
		if err := c.speechCase(ctx, m, i, &ref.Cases[i]); err != nil {
			return fmt.Errorf("%s, case %d: %w", c.ref.Name, i, err)
		}
	}
	return nil
}

func (c *comparison) speechCase(ctx context.Context, m *whisper.Model, i int, k *speechCase) error {
	name := func(s string) string { return fmt.Sprintf("%d.%s", i, s) }
	if k.WAV == "" {
		return errors.New(`it names no sound file as "wav"`)
	}
	path, err := c.ref.file(k.WAV)
	if err != nil {
		return err
	}
	if c.ref.has(name("features")) {
		if err := c.window(ctx, m, name, path, k); err != nil {
			return err
		}
	}
	if k.Text != nil {
		if err := c.transcript(ctx, m, name("text"), path, k, true); err != nil {
			return err
		}
	}
	if len(k.Segments) > 0 {
		return c.transcript(ctx, m, name("segments"), path, k, false)
	}
	return nil
}

// window compares one window, stage by stage, each on the reference's input.
func (c *comparison) window(ctx context.Context, m *whisper.Model, name func(string) string, path string, k *speechCase) error {
	features, _ := c.ref.tensor(name("features"))
	if err := c.features(m, name("features"), path, features); err != nil {
		return err
	}
	w, err := m.NewWindow()
	if err != nil {
		return err
	}
	defer w.Close()
	states, err := w.TapEncoder(ctx, features)
	if err != nil {
		return err
	}
	last := states[len(states)-1]
	for j, h := range states[1 : len(states)-1] {
		c.values(name(fmt.Sprintf("encoder_hidden.%d", j+1)), h)
	}
	c.values(name("encoder"), last)
	if output := name("encoder_every_50th_row"); c.ref.has(output) {
		_, width := c.ref.tensor(output)
		var rows []float32
		for r := 0; r*width < len(last); r += 50 {
			rows = append(rows, last[r*width:(r+1)*width]...)
		}
		c.values(output, rows)
	}
	if len(k.Prefix) == 0 {
		return nil
	}
	if err := w.Encode(ctx, features); err != nil {
		return err
	}
	states, logits, err := w.Tap(ctx, k.Prefix)
	if err != nil {
		return err
	}
	for j, h := range states[1:] {
		c.values(name(fmt.Sprintf("decoder_hidden.%d", j+1)), h)
	}
	c.values(name("prefix_logits"), logits)
	return errors.Join(c.tokens(ctx, m, w, name("plain"), k.Prefix, k.Plain.IDs, false), c.tokens(ctx, m, w, name("suppressed"), k.Prefix, k.Suppressed.IDs, true))
}

// featureError is the largest absolute error of log-mel features.
const featureError = 1e-4

func (c *comparison) features(m *whisper.Model, output, path string, want []float32) error {
	f, err := m.Featurizer()
	if err != nil {
		return err
	}
	samples, err := readSound(path)
	if err != nil {
		return err
	}
	got := make([]float32, len(want))
	if err := f.Window(got, samples); err != nil {
		return err
	}
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
	}
	c.add(Result{Output: output, MaxError: &worst, Pass: worst <= featureError})
	return nil
}

func readSound(path string) ([]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := audio.Open(f)
	if err != nil {
		return nil, err
	}
	var samples []float32
	buf := make([]float32, 1<<14)
	for {
		n, err := r.Read(buf)
		samples = append(samples, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// tokens decodes greedily after the prefix, with or without the suppressed tokens.
func (c *comparison) tokens(ctx context.Context, m *whisper.Model, w *whisper.Window, output string, prefix, want []int32, suppress bool) error {
	if len(want) == 0 {
		return nil
	}
	w.Truncate(0)
	result := Result{Output: output, Total: len(want), Pass: true}
	s, next := sample.New(sample.Params{}), prefix
	for step, id := range want {
		logits, err := w.Extend(ctx, next)
		if err != nil {
			return err
		}
		logits = slices.Clone(logits)
		if suppress {
			m.Suppress(logits, step == 0)
		}
		got, err := s.Next(logits)
		if err != nil {
			return err
		}
		if got != id {
			gap := float64(logits[got] - logits[id])
			result.Pass = gap < TieGap
			result.Note = fmt.Sprintf("token %d differs by %.2g in our logits", step, gap)
			break
		}
		result.Equal++
		next = []int32{id}
	}
	c.add(result)
	return nil
}

// timeError is the largest error of a timestamp in seconds, two steps of the model's clock.
const timeError = 0.04

// transcript transcribes a file, in one text or in segments, and compares.
func (c *comparison) transcript(ctx context.Context, m *whisper.Model, output, path string, k *speechCase, plain bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	featurizer, err := m.Featurizer()
	if err != nil {
		return err
	}
	opt := arch.TranscribeOptions{NoTimestamps: plain, Language: strings.Trim(k.Language, "<|>")}
	for pass := range 2 {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		sound, err := audio.Open(f)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if pass == 0 {
			peak, _, err := featurizer.Peak(sound)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			opt.Peak = &peak
			continue
		}
		got, err := m.Transcribe(ctx, sound, opt, nil)
		if err != nil {
			return err
		}
		exact := sound.Info().Rate == audio.Rate // other rates go through another resampler than the reference's
		if plain {
			c.text(output, got.Text, *k.Text, exact)
		} else {
			c.segments(output, got.Segments, k, exact)
		}
	}
	return nil
}

// text compares words: all of them, or nine of ten of a resampled sound.
func (c *comparison) text(output, got, want string, exact bool) {
	g, w := strings.Fields(got), strings.Fields(want)
	wrong := wordErrors(g, w)
	r := Result{Output: output, Equal: max(0, len(w)-wrong), Total: len(w), Pass: wrong == 0 || (!exact && float64(wrong) < 0.1*float64(len(w)))}
	if wrong > 0 {
		r.Note = fmt.Sprintf("%d of %d words differ: %q", wrong, len(w), got)
	}
	c.add(r)
}

func (c *comparison) segments(output string, got []arch.Segment, k *speechCase, exact bool) {
	var text, want []string
	for _, s := range got {
		text = append(text, s.Text)
	}
	worst := 0.0
	for i, s := range k.Segments {
		want = append(want, s.Text)
		if i < len(got) {
			worst = max(worst, math.Abs(got[i].Start-s.Start), math.Abs(got[i].End-s.End))
		}
	}
	c.text(output, strings.Join(text, " "), strings.Join(want, " "), exact)
	r := &c.Results[len(c.Results)-1]
	r.MaxError = &worst
	if exact && (len(got) != len(k.Segments) || worst > timeError+1e-6) {
		r.Pass, c.Pass = false, false
		r.Note = strings.TrimPrefix(fmt.Sprintf("%s; %d segments, the reference has %d; times differ by up to %.2f s", r.Note, len(got), len(k.Segments), worst), "; ")
	}
}

// wordErrors is the Levenshtein distance of two texts in words.
func wordErrors(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			above, change := row[j+1], diagonal
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
