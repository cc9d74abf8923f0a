package audio

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// SampleReader yields mono samples; *Reader is one. As with io.Reader, samples may come
// together with an error.
type SampleReader interface {
	Read(dst []float32) (int, error)
}

// A FrameReader computes raw log-mel frames of a signal of any length in constant memory.
// Frame t is centred on sample t*hop; there are floor(samples/hop) frames.
type FrameReader struct {
	f        *Featurizer
	src      SampleReader
	spectrum *spectrum
	power    []float64

	buf   []float32 // samples base .. n-1
	base  int
	n     int       // samples read from src
	err   error     // what ended src, nil before
	next  int       // the frame that comes next
	edge  []float32 // a frame at either end of the signal
	empty int       // reads in a row that yielded nothing
}

// readSize is the number of samples that a FrameReader asks for at once.
const readSize = 8192

// Frames starts a pass over the sound that r yields.
func (f *Featurizer) Frames(r SampleReader) *FrameReader {
	n := len(f.window)
	return &FrameReader{
		f:        f,
		src:      r,
		spectrum: f.spectrum.clone(),
		power:    make([]float64, n/2+1),
		buf:      make([]float32, 0, n+readSize),
		edge:     make([]float32, n),
	}
}

// Read fills dst, [frames][mels], with log10 of the mel bands' power and returns the number of
// frames. After the last frame the error is what ended the reader of samples: io.EOF or, say,
// one that wraps ErrIncomplete.
func (r *FrameReader) Read(dst []float32) (frames int, err error) {
	for mels := len(r.f.bank); len(dst) >= mels; dst = dst[mels:] {
		samples := r.frame()
		if samples == nil {
			break
		}
		r.logMel(dst[:mels], samples)
		frames++
	}
	if frames == 0 {
		return 0, r.err
	}
	return frames, nil
}

func (r *FrameReader) logMel(dst, samples []float32) {
	if silent(samples) {
		for i := range dst {
			dst[i] = logFloor
		}
		return
	}
	r.spectrum.power(r.power, samples, r.f.window)
	r.f.bank.log10(dst, r.power)
}

// silent reports whether all samples are zero, as padding is.
func silent(samples []float32) bool {
	for _, v := range samples {
		if v != 0 {
			return false
		}
	}
	return true
}

// frame returns the samples of the next frame, nil after the last. Beyond its ends the signal
// is reflected, without repeating the first and the last sample.
func (r *FrameReader) frame() []float32 {
	size := len(r.f.window)
	start := r.next*r.f.hop - size/2
	for r.err == nil && r.n < max(start+size, size/2+1) {
		r.fill(max(start, 0))
	}
	if r.err != nil && r.next >= r.n/r.f.hop {
		return nil
	}
	r.next++
	if start >= 0 && start+size <= r.n {
		return r.buf[start-r.base:][:size]
	}
	for i := range r.edge {
		r.edge[i] = r.buf[bounce(start+i, r.n)-r.base]
	}
	return r.edge
}

// fill drops the samples before keep and reads more. At least half a frame stays, which the
// reflection at the end needs: a hop is shorter than that.
func (r *FrameReader) fill(keep int) {
	r.buf = append(r.buf[:0], r.buf[keep-r.base:]...)
	r.base = keep
	used := len(r.buf)
	k, err := r.src.Read(r.buf[used:cap(r.buf)])
	r.buf, r.n, r.err = r.buf[:used+k], r.n+k, err
	if r.empty++; k > 0 {
		r.empty = 0
	} else if r.empty > 100 && err == nil {
		r.err = io.ErrNoProgress
	}
}

// bounce maps an index outside 0 .. n-1 to the sample that it reflects.
func bounce(i, n int) int {
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	i = (i%period + period) % period
	return min(i, period-i)
}

// Peak makes a pass over the sound that r yields and returns its largest raw value, which
// Windows needs, and the number of frames. The error is nil at a normal end; otherwise the
// results describe what came before it.
func (f *Featurizer) Peak(r SampleReader) (peak float32, frames int, err error) {
	pass := f.Frames(r)
	raw := make([]float32, 64*len(f.bank))
	peak = float32(math.Inf(-1))
	for {
		n, err := pass.Read(raw)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return peak, frames, err
		}
		peak = max(peak, largest(raw[:n*len(f.bank)]))
		frames += n
	}
}

// Windows cuts windows of features out of sound that is longer than one window, in constant
// memory. As in transformers, features belong to the whole signal: frames see the samples on
// both sides of a window's edge, and quiet is measured from the loudest value of the whole
// signal.
type Windows struct {
	f      *Featurizer
	frames *FrameReader
	peak   float32
	raw    []float32 // frames first, first+1, ...
	first  int
}

// Windows starts a pass over the sound that r yields. The peak is what Peak found in an
// earlier pass over the same sound. Sound that can be read only once has no earlier pass: give
// -Inf, and the loudest value so far takes its place.
func (f *Featurizer) Windows(r SampleReader, peak float32) *Windows {
	return &Windows{
		f:      f,
		frames: f.Frames(r),
		peak:   peak,
		raw:    make([]float32, 0, f.frames*len(f.bank)),
	}
}

// At computes the window that starts at frame first, which must not be smaller than before.
// dst is [mels, frames] in row-major order. It returns the number of frames before the end of
// the sound; the rest of dst is zero. When there are none the error is what ended the sound,
// io.EOF at a normal end.
func (w *Windows) At(dst []float32, first int) (frames int, err error) {
	if err := w.f.check(dst); err != nil {
		return 0, err
	}
	if first < w.first {
		return 0, fmt.Errorf("window at frame %d after one at %d: windows only move forward", first, w.first)
	}
	mels := len(w.f.bank)
	for err == nil && w.first < first {
		have := len(w.raw) / mels
		if have == 0 {
			if have, err = w.read(); have == 0 {
				break
			}
		}
		drop := min(first-w.first, have)
		w.raw = append(w.raw[:0], w.raw[drop*mels:]...)
		w.first += drop
	}
	for err == nil && len(w.raw) < cap(w.raw) {
		_, err = w.read()
	}
	w.f.normalize(dst, w.raw, w.peak)
	if frames = len(w.raw) / mels; frames > 0 {
		err = nil
	}
	return frames, err
}

// read appends frames up to the capacity of w.raw.
func (w *Windows) read() (frames int, err error) {
	mels, used := len(w.f.bank), len(w.raw)
	frames, err = w.frames.Read(w.raw[used:cap(w.raw)])
	w.raw = w.raw[:used+frames*mels]
	w.peak = max(w.peak, largest(w.raw[used:]))
	return frames, err
}
