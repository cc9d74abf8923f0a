package whisper

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"emily/arch"
	"emily/audio"
	"emily/backend"
	"emily/internal/golden"
)

// tone yields n samples of a quiet sawtooth, then err.
type tone struct {
	n, at int
	err   error
}

func (s *tone) Read(dst []float32) (int, error) {
	n := min(len(dst), s.n-s.at)
	for i := range n {
		dst[i] = float32((s.at+i)%97)/970 - 0.05
	}
	if s.at += n; n == 0 {
		return 0, s.err
	}
	return n, nil
}

// TestTranscribe checks that the tokens are those of the same features decoded by hand.
func TestTranscribe(t *testing.T) {
	want := readReference(t)
	c := want.Cases[0]
	m := loadTiny(t, golden.Backend(t), backend.Fuse)
	got, err := m.Transcribe(t.Context(), openAudio(t, "../audio/testdata/tiny-0.wav"), arch.TranscribeOptions{Language: "en", NoTimestamps: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Segments) != 1 || len(got.Segments[0].Tokens) < len(c.Suppressed.IDs) {
		t.Fatalf("got %+v", got)
	}
	if ids := got.Segments[0].Tokens[:len(c.Suppressed.IDs)]; !slices.Equal(ids, c.Suppressed.IDs) {
		t.Errorf("tokens\n%v, want\n%v", ids, c.Suppressed.IDs)
	}
	if got.Language != "en" || got.Text == "" || got.Text != strings.TrimSpace(got.Segments[0].Text) {
		t.Errorf("language %q, text %q", got.Language, got.Text)
	}
}

// TestLong checks that windows of a long sound follow each other to its end,
// with and without what may change a window's text.
func TestLong(t *testing.T) {
	m := loadTiny(t, golden.Backend(t), backend.Fuse)
	const seconds = 10
	for name, opt := range map[string]arch.TranscribeOptions{
		"timestamps": {}, "none": {NoTimestamps: true}, "words": {Words: true, Language: "de"},
		"fallback": {Fallback: arch.DefaultFallback(), Seed: 7}, "prompt": {Prompt: "walked along", ContinueText: true, Translate: true},
	} {
		t.Run(name, func(t *testing.T) {
			var told []arch.Segment
			got, err := m.Transcribe(t.Context(), &tone{n: seconds * audio.Rate, err: io.EOF}, opt, func(s arch.Segment) bool {
				told = append(told, s)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Duration != seconds || len(told) != len(got.Segments) {
				t.Errorf("%v seconds, %d segments, told of %d", got.Duration, len(got.Segments), len(told))
			}
			if opt.Language != "" && got.Language != opt.Language {
				t.Errorf("language %s", got.Language)
			}
			last := 0.0
			for _, s := range got.Segments {
				if s.Start < last-1e-9 || s.End < s.Start || s.End > seconds+3 {
					t.Errorf("segment from %v to %v after %v", s.Start, s.End, last)
				}
				last = s.Start
				if (s.Quality != nil) != (opt.Fallback != nil) || (opt.Words && len(s.Words) == 0) {
					t.Errorf("segment %+v", s)
				}
				text := ""
				for _, w := range s.Words {
					text += w.Text
				}
				if opt.Words && text != s.Text {
					t.Errorf("words %q of %q", text, s.Text)
				}
			}
		})
	}
}

// TestTranscribeErrors checks bad options, a sound that breaks off, and that
// what came before is kept.
func TestTranscribeErrors(t *testing.T) {
	m := loadTiny(t, golden.Backend(t), backend.Fuse)
	_, err := m.Transcribe(t.Context(), &tone{err: io.EOF}, arch.TranscribeOptions{Language: "xx"}, nil)
	if err == nil || err.Error() != `language "xx" is unknown to the model; it knows de, en, fr` {
		t.Error(err)
	}
	got, err := m.Transcribe(t.Context(), &tone{err: io.EOF}, arch.TranscribeOptions{}, nil)
	if err != nil || len(got.Segments) != 0 || got.Cut {
		t.Errorf("an empty sound: %+v, %v", got, err)
	}
	for _, seconds := range []int{2, 8} {
		broken := errors.New("broken")
		got, err = m.Transcribe(t.Context(), &tone{n: seconds * audio.Rate, err: broken}, arch.TranscribeOptions{NoTimestamps: true}, nil)
		if !errors.Is(err, broken) || len(got.Segments) == 0 || !got.Cut {
			t.Errorf("a sound that breaks off after %d s: %d segments, cut %v, %v", seconds, len(got.Segments), got.Cut, err)
		}
	}
	got, err = m.Transcribe(t.Context(), &tone{n: 8 * audio.Rate, err: io.EOF}, arch.TranscribeOptions{NoTimestamps: true}, func(arch.Segment) bool { return false })
	if err != nil || len(got.Segments) != 1 {
		t.Errorf("stopped: %d segments, %v", len(got.Segments), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got, err = m.Transcribe(ctx, &tone{n: 8 * audio.Rate, err: io.EOF}, arch.TranscribeOptions{NoTimestamps: true}, func(arch.Segment) bool {
		cancel()
		return true
	})
	if !errors.Is(err, context.Canceled) || len(got.Segments) == 0 || !got.Cut {
		t.Errorf("cancelled: %d segments, cut %v, %v", len(got.Segments), got.Cut, err)
	}
}
