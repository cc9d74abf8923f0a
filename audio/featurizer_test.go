package audio

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

// A featureCase is a list of files, joined, and the features that transformers computes from
// them: of one window, or of the whole signal.
type featureCase struct {
	Files                []string
	Config               json.RawMessage
	Whole                bool
	Mels, Frames, Offset int

	samples []float32
	want    []float32 // [mels, frames]
}

func featureCases(t *testing.T) []featureCase {
	t.Helper()
	var cases []featureCase
	if err := json.Unmarshal(read(t, "features.json"), &cases); err != nil {
		t.Fatal(err)
	}
	all := inflate(t, "features.f32")
	for i := range cases {
		c := &cases[i]
		for _, name := range c.Files {
			x, _, err := readFile(read(t, name))
			if err != io.EOF {
				t.Fatal(err)
			}
			c.samples = append(c.samples, x...)
		}
		c.want = make([]float32, c.Mels*c.Frames)
		for k := range c.want {
			c.want[k] = math.Float32frombits(binary.LittleEndian.Uint32(all[(c.Offset+k)*4:]))
		}
	}
	return cases
}

// tolerance allows for f32 in transformers and for the rounding of the stored values to 2^-16.
const tolerance = 4e-5

func TestWindowAsTransformers(t *testing.T) {
	tested := 0
	for _, c := range featureCases(t) {
		if c.Whole {
			continue
		}
		tested++
		f, err := LoadFeaturizer(c.Config)
		if err != nil {
			t.Fatal(err)
		}
		mels, frames := f.Shape()
		if mels != c.Mels || frames != c.Frames {
			t.Fatalf("%s: shape %d x %d, want %d x %d", c.Config, mels, frames, c.Mels, c.Frames)
		}
		got := make([]float32, mels*frames)
		if err := f.Window(got, c.samples); err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for i, v := range got {
			worst = max(worst, math.Abs(float64(v-c.want[i])))
		}
		t.Logf("%v %s: largest difference %.2g", c.Files, c.Config, worst)
		if !(worst <= tolerance) {
			t.Errorf("%v %s: largest difference %g, want at most %g", c.Files, c.Config, worst, tolerance)
		}
	}
	if tested < 4 {
		t.Errorf("%d cases", tested)
	}
}

// TestWindowsAsTransformers cuts windows out of sound longer than a window, at all kinds of
// steps, and compares with slices of the whole signal's features.
func TestWindowsAsTransformers(t *testing.T) {
	for _, c := range featureCases(t) {
		if !c.Whole {
			continue
		}
		f, err := LoadFeaturizer(c.Config)
		if err != nil {
			t.Fatal(err)
		}
		mels, length := f.Shape()
		peak, total, err := f.Peak(&slice{x: c.samples, piece: 1111, err: io.EOF})
		if err != nil || total != c.Frames || total <= 2*length {
			t.Fatalf("%d frames, want %d; error %v", total, c.Frames, err)
		}
		for _, step := range []int{1, 7, 100, 299, 300, 301, 413, 700, total, total + 5} {
			w := f.Windows(&slice{x: c.samples, err: io.EOF}, peak)
			got := make([]float32, mels*length)
			worst, first := 0.0, 0
			for ; ; first += step {
				n, err := w.At(got, first)
				if want := max(0, min(length, total-first)); n != want {
					t.Fatalf("window at %d: %d frames, want %d", first, n, want)
				}
				if n == 0 {
					if err != io.EOF {
						t.Errorf("after the end: error %v", err)
					}
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for m := range mels {
					for i := range length {
						want := float32(0)
						if i < n {
							want = c.want[m*total+first+i]
						}
						worst = max(worst, math.Abs(float64(got[m*length+i]-want)))
					}
				}
			}
			if !(worst <= tolerance) {
				t.Errorf("steps of %d: largest difference %g, want at most %g", step, worst, tolerance)
			}
		}
	}
}

// TestWindowsRunningPeak checks that without a first pass the loudest value so far counts.
func TestWindowsRunningPeak(t *testing.T) {
	f, err := LoadFeaturizer([]byte(`{"chunk_length": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	quiet, loud := sine(16000, 1000, Rate), sine(16000, 1000, Rate)
	for i := range quiet {
		quiet[i] /= 1 << 10
	}
	x := append(append(quiet, loud...), quiet...)
	w := f.Windows(&slice{x: x, err: io.EOF}, float32(math.Inf(-1)))
	got := make([]float32, 80*100)
	lowest := make([]float32, 3)
	for i := range lowest {
		if _, err := w.At(got, 100*i); err != nil {
			t.Fatal(err)
		}
		lowest[i] = got[0]
		for _, v := range got {
			lowest[i] = min(lowest[i], v)
		}
	}
	if !(lowest[0] < lowest[1]) || lowest[1] != lowest[2] {
		t.Errorf("lowest values %v: want the second above the first, and kept", lowest)
	}
	if _, err := w.At(got, 0); err == nil || !strings.Contains(err.Error(), "only move forward") {
		t.Errorf("backwards: error %v", err)
	}
}

// TestFrameReaderEnds checks counts and errors at the end, and signals too short to reflect.
func TestFrameReaderEnds(t *testing.T) {
	f, err := LoadFeaturizer([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	cut := fmt.Errorf("cut: %w", ErrIncomplete)
	for _, n := range []int{0, 1, 159, 160, 161, 200, 201, 319, 320, 400, 5000, 20000} {
		r := f.Frames(&slice{x: sine(n, 440, Rate), piece: 97, err: cut})
		raw := make([]float32, 80*7)
		total := 0
		for {
			k, err := r.Read(raw)
			if err != nil {
				if !errors.Is(err, ErrIncomplete) {
					t.Errorf("%d samples: error %v", n, err)
				}
				break
			}
			total += k
			for _, v := range raw[:k*80] {
				if !(v >= logFloor && v < 5) {
					t.Fatalf("%d samples: value %g", n, v)
				}
			}
		}
		if total != n/160 {
			t.Errorf("%d samples: %d frames, want %d", n, total, n/160)
		}
	}
	if _, err := f.Frames(&slice{}).Read(make([]float32, 80)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reader that yields nothing: error %v", err)
	}
}

func TestLoadFeaturizerErrors(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{`x`, "preprocessor_config.json: "},
		{`{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}`, `"Wav2Vec2FeatureExtractor" is not supported`},
		{`{"sampling_rate": 8000}`, "sampling_rate is 8000, want 16000"},
		{`{"feature_size": 0}`, "feature_size is 0"},
		{`{"hop_length": 200}`, "hop_length is 200"},
		{`{"n_fft": 402}`, "n_fft"},
		{`{"chunk_length": -1}`, "chunk_length is -1"},
		{`{"nb_max_frames": 5}`, "nb_max_frames is 5"},
		{`{"dither": 0.1}`, "dither"},
	} {
		if _, err := LoadFeaturizer([]byte(c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.config, err, c.want)
		}
	}
	f, err := LoadFeaturizer([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Window(make([]float32, 5), nil); err == nil {
		t.Error("small buffer: no error")
	}
}

// TestStreamingMemory checks that sound of any length takes constant memory.
func TestStreamingMemory(t *testing.T) {
	f, err := LoadFeaturizer([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	const seconds = 600
	head := wavFile{tag: 1, channels: 2, rate: 8000, bits: 16, dataSize: 4 * 8000 * seconds, riffSize: 100}.bytes()
	r, err := Open(io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, 4*8000*seconds)))
	if err != nil {
		t.Fatal(err)
	}
	frames := f.Frames(r)
	raw := make([]float32, 80*100)
	read := func() { frames.Read(raw) }
	read()
	if n := testing.AllocsPerRun(100, read); n > 0 {
		t.Errorf("%g allocations for a second of sound", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func BenchmarkWindow(b *testing.B) {
	f, err := LoadFeaturizer([]byte("{}"))
	if err != nil {
		b.Fatal(err)
	}
	mels, frames := f.Shape()
	dst, x := make([]float32, mels*frames), sine(f.Samples(), 440, Rate)
	for i := range x {
		x[i] += float32(i%97) / 1000
	}
	for b.Loop() {
		if err := f.Window(dst, x); err != nil {
			b.Fatal(err)
		}
	}
}
