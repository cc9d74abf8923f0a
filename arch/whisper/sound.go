package whisper

import (
	"errors"
	"io"

	"emily/audio"
)

const sampleRate = audio.Rate

// sound cuts windows of features out of what a reader yields. A sound that
// fits one window is padded with silence before its features are computed, a
// longer one is not, as in transformers.
type sound struct {
	featurizer *audio.Featurizer
	reader     *counter
	short      []float32 // features of the only window
	long       *audio.Windows
	frames     int   // of a short sound
	err        error // that ended a short sound, nil at a normal end
}

// openSound reads one window of samples to learn whether there are more.
func openSound(f *audio.Featurizer, r audio.SampleReader, peak *float32) (*sound, error) {
	s := &sound{featurizer: f, reader: &counter{SampleReader: r}}
	head := make([]float32, f.Samples()+1)
	n, err := readFull(s.reader, head)
	if err == nil {
		loudest := negativeInfinity
		if peak != nil {
			loudest = *peak
		}
		s.long = f.Windows(&prefixed{head, s.reader}, loudest)
		return s, nil
	}
	if !errors.Is(err, io.EOF) {
		s.err = err
	}
	mels, frames := f.Shape()
	s.short, s.frames = make([]float32, mels*frames), n/f.Hop()
	return s, f.Window(s.short, head[:n])
}

// at computes the window that starts at a frame into dst, [mels, frames], and
// returns the frames of sound in it. When there are none, the error is what
// ended the sound, nil at a normal end.
func (s *sound) at(dst []float32, first int) (int, error) {
	if s.long != nil {
		n, err := s.long.At(dst, first)
		if n > 0 || errors.Is(err, io.EOF) {
			err = nil
		}
		return n, err
	}
	if first >= s.frames {
		return 0, s.err
	}
	mels, frames := s.featurizer.Shape()
	clear(dst)
	for m := range mels {
		copy(dst[m*frames:(m+1)*frames], s.short[m*frames+first:(m+1)*frames])
	}
	return s.frames - first, nil
}

// seconds is the length of what was read.
func (s *sound) seconds() float64 { return float64(s.reader.samples) / sampleRate }

// counter counts samples.
type counter struct {
	audio.SampleReader
	samples int64
}

func (c *counter) Read(dst []float32) (int, error) {
	n, err := c.SampleReader.Read(dst)
	c.samples += int64(n)
	return n, err
}

// prefixed yields samples that were read before, then the rest.
type prefixed struct {
	head []float32
	rest audio.SampleReader
}

func (p *prefixed) Read(dst []float32) (int, error) {
	if len(p.head) == 0 {
		return p.rest.Read(dst)
	}
	n := copy(dst, p.head)
	p.head = p.head[n:]
	return n, nil
}

// readFull fills dst, or returns how much it got and the error that ended it.
func readFull(r audio.SampleReader, dst []float32) (n int, err error) {
	for n < len(dst) && err == nil {
		var k int
		k, err = r.Read(dst[n:])
		n += k
	}
	if n == len(dst) {
		err = nil
	}
	return n, err
}
