package whisper

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"emily/arch"
	"emily/audio"
	"emily/backend"
	"emily/internal/golden"
)

// openAudio opens a file below testdata.
func openAudio(t testing.TB, name string) audio.SampleReader {
	t.Helper()
	f, err := os.Open(golden.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := audio.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// peak makes the pass over a sound that long ones need.
func peak(t testing.TB, m *Model, name string) *float32 {
	t.Helper()
	f, err := m.Featurizer()
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := f.Peak(openAudio(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// TestRealLanes compares a short sound's text in every lane.
func TestRealLanes(t *testing.T) {
	b := golden.Backend(t)
	for _, lane := range golden.Lanes {
		m := golden.LoadFolder(t, b, golden.Real(t, "whisper-tiny.en"), lane).Model.(*Model)
		got, err := m.Transcribe(t.Context(), openAudio(t, "audio/goforward.flac"), arch.TranscribeOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := "Go forward 10 meters."; got.Text != want {
			t.Errorf("%s: %q, want %q", lane, got.Text, want)
		}
	}
}

// TestReal compares texts, tokens and timestamps with what transformers makes
// of the same sounds: greedy, without fallback, no text carried on.
func TestReal(t *testing.T) {
	for _, name := range []string{"whisper-tiny.en", "whisper-base"} {
		t.Run(name, func(t *testing.T) {
			m := golden.LoadFolder(t, golden.Backend(t), golden.Real(t, name), backend.Fuse).Model.(*Model)
			var file struct {
				Cases []struct {
					WAV, Language string
					Text          *string
					IDs           []int32
					Segments      []struct {
						Start, End float64
						IDs        []int32
						Text       string
					}
				}
			}
			golden.ReadJSON(t, golden.Path("real", name+".json"), &file)
			for _, c := range file.Cases {
				if c.Text != nil {
					got, err := m.Transcribe(t.Context(), openAudio(t, c.WAV), arch.TranscribeOptions{NoTimestamps: true}, nil)
					if err != nil {
						t.Fatal(err)
					}
					if len(got.Segments) != 1 || got.Segments[0].Text != *c.Text || !slices.Equal(got.Segments[0].Tokens, c.IDs) {
						t.Errorf("%s: got %v, want %s", c.WAV, got.Segments, *c.Text)
					}
					if language := fmt.Sprintf("<|%s|>", got.Language); c.Language != "" && language != c.Language {
						t.Errorf("%s: the language is %s, want %s", c.WAV, language, c.Language)
					}
				}
				got, err := m.Transcribe(t.Context(), openAudio(t, c.WAV), arch.TranscribeOptions{Peak: peak(t, m, c.WAV)}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Segments) != len(c.Segments) {
					t.Fatalf("%s: %d segments, want %d: %v", c.WAV, len(got.Segments), len(c.Segments), got.Segments)
				}
				for i, want := range c.Segments {
					s := got.Segments[i]
					if s.Text != want.Text || math.Abs(s.Start-want.Start) > 0.04 || math.Abs(s.End-want.End) > 0.04 {
						t.Errorf("%s: segment %d is %.2f-%.2f %q, want %.2f-%.2f %q", c.WAV, i, s.Start, s.End, s.Text, want.Start, want.End, want.Text)
					}
				}
			}
		})
	}
}
