package audio

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
)

// A Featurizer computes Whisper's input, the log-mel spectrogram, as transformers'
// WhisperFeatureExtractor does: frames of n_fft samples under a Hann window every hop_length
// samples, the signal reflected at both ends; power spectrum; mel bands; log10, not below the
// loudest value of the signal minus 8; (x+4)/4. It is immutable and may be used by several
// goroutines.
type Featurizer struct {
	hop, samples, frames int
	padding              float32
	window               []float64
	spectrum             *spectrum
	bank                 melBank
}

// LoadFeaturizer reads the contents of a preprocessor_config.json. Fields that are absent take
// the defaults of transformers.
func LoadFeaturizer(config []byte) (*Featurizer, error) {
	c := struct {
		Type         string  `json:"feature_extractor_type"`
		FeatureSize  int     `json:"feature_size"`
		SamplingRate int     `json:"sampling_rate"`
		HopLength    int     `json:"hop_length"`
		ChunkLength  int     `json:"chunk_length"`
		NFFT         int     `json:"n_fft"`
		MaxFrames    *int    `json:"nb_max_frames"`
		PaddingValue float32 `json:"padding_value"`
		Dither       float64 `json:"dither"`
		DoNormalize  bool    `json:"do_normalize"`
	}{Type: "WhisperFeatureExtractor", FeatureSize: 80, SamplingRate: Rate, HopLength: 160, ChunkLength: 30, NFFT: 400}
	fail := func(format string, a ...any) (*Featurizer, error) {
		return nil, fmt.Errorf("preprocessor_config.json: "+format, a...)
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return fail("%w", err)
	}
	switch {
	case c.Type != "WhisperFeatureExtractor":
		return fail("feature extractor %q is not supported: want WhisperFeatureExtractor", c.Type)
	case c.SamplingRate != Rate:
		return fail("sampling_rate is %d, want %d", c.SamplingRate, Rate)
	case c.FeatureSize < 1 || c.FeatureSize > 1024:
		return fail("feature_size is %d, want 1 to 1024", c.FeatureSize)
	case c.HopLength < 1 || c.HopLength >= c.NFFT/2:
		return fail("hop_length is %d, want 1 to %d (less than half of n_fft)", c.HopLength, c.NFFT/2-1)
	case c.ChunkLength < 1 || c.ChunkLength > 3600:
		return fail("chunk_length is %d, want 1 to 3600 seconds", c.ChunkLength)
	case c.Dither != 0 || c.DoNormalize:
		return fail("dither and do_normalize are not supported")
	}
	s, err := newSpectrum(c.NFFT)
	if err != nil {
		return fail("n_fft: %w", err)
	}
	f := &Featurizer{hop: c.HopLength, samples: c.ChunkLength * Rate, padding: c.PaddingValue, spectrum: s}
	f.frames = f.samples / f.hop
	if c.MaxFrames != nil && *c.MaxFrames != f.frames {
		return fail("nb_max_frames is %d, but chunk_length and hop_length give %d", *c.MaxFrames, f.frames)
	}
	f.bank = newMelBank(c.FeatureSize, c.NFFT/2+1, Rate)
	f.window = make([]float64, c.NFFT)
	for i := range f.window {
		f.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(c.NFFT))
	}
	return f, nil
}

// Shape returns the shape of one window of features, such as 80 mel bands by 3000 frames.
func (f *Featurizer) Shape() (mels, frames int) { return len(f.bank), f.frames }

// Samples returns the number of samples in one window, such as 480,000.
func (f *Featurizer) Samples() int { return f.samples }

// Hop returns the samples from one frame to the next.
func (f *Featurizer) Hop() int { return f.hop }

// Window computes the features of one window of 16 kHz samples, cut or padded at the end to
// Samples. dst is [mels, frames] in row-major order. This is what transformers feeds the
// encoder for sound that fits one window.
func (f *Featurizer) Window(dst, samples []float32) error {
	if err := f.check(dst); err != nil {
		return err
	}
	raw := make([]float32, len(dst))
	r := f.Frames(&paddedReader{samples[:min(len(samples), f.samples)], f.padding, f.samples})
	n, err := r.Read(raw)
	if err != nil {
		return err
	}
	f.normalize(dst, raw[:n*len(f.bank)], largest(raw))
	return nil
}

func (f *Featurizer) check(dst []float32) error {
	if want := len(f.bank) * f.frames; len(dst) != want {
		return fmt.Errorf("feature buffer has %d elements, want %d x %d", len(dst), len(f.bank), f.frames)
	}
	return nil
}

// normalize turns raw frames [n][mels] into features [mels, frames]. Frames that are missing
// are zeros, as transformers pads a window cut from longer features.
func (f *Featurizer) normalize(dst, raw []float32, peak float32) {
	mels := len(f.bank)
	floor := peak - 8
	for m := range mels {
		row := dst[m*f.frames : (m+1)*f.frames]
		t := 0
		for i := m; i < len(raw); i += mels {
			row[t] = (max(raw[i], floor) + 4) / 4
			t++
		}
		clear(row[t:])
	}
}

// largest returns the largest value, -Inf of none.
func largest(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// paddedReader yields samples and then padding until n values have been read.
type paddedReader struct {
	samples []float32
	padding float32
	n       int
}

func (p *paddedReader) Read(dst []float32) (int, error) {
	if p.n == 0 {
		return 0, io.EOF
	}
	dst = dst[:min(len(dst), p.n)]
	k := copy(dst, p.samples)
	p.samples = p.samples[k:]
	for i := k; i < len(dst); i++ {
		dst[i] = p.padding
	}
	p.n -= len(dst)
	return len(dst), nil
}
