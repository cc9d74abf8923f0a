// Package audio turns sound files into the input of speech models: it decodes WAV, FLAC, MP3
// and Ogg Opus, resamples to 16 kHz mono, and computes Whisper's log-mel features. Everything
// streams: an hour of sound takes the memory of a second.
package audio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Rate is the sample rate, in Hz, of everything that this package yields.
const Rate = 16000

// ErrIncomplete is wrapped by the error that follows the last sample of a file that ends early
// or is damaged. The samples before it are good.
var ErrIncomplete = errors.New("the sound is incomplete")

// A source decodes a file to mono samples at the file's own rate: channels are averaged.
type source interface {
	info() Info
	SampleReader
}

// Info describes a sound file.
type Info struct {
	Format   string // "WAV", "FLAC", "MP3" or "Opus"
	Rate     int    // Hz
	Channels int
	Frames   int64 // samples of each channel, -1 where the file does not say
}

// Seconds returns the duration, false where the file does not say.
func (i Info) Seconds() (float64, bool) {
	if i.Frames < 0 {
		return 0, false
	}
	return float64(i.Frames) / float64(i.Rate), true
}

// Open reads the head of a WAV, FLAC, MP3 or Ogg Opus file. The format is found by content,
// not by name; r need not seek. Errors are one line and say what was found.
func Open(r io.Reader) (*Reader, error) {
	src, err := open(bufio.NewReaderSize(r, peekSize))
	if err != nil {
		return nil, err
	}
	reader := &Reader{info: src.info(), src: src}
	if err := reader.info.check(); err != nil {
		return nil, err
	}
	if reader.info.Rate != Rate {
		if reader.src, err = Resample(src, reader.info.Rate, Rate); err != nil {
			return nil, err
		}
	}
	return reader, nil
}

// open finds the format and reads the head. A panic of a decoder becomes an error.
func open(r *bufio.Reader) (src source, err error) {
	defer recoverDamage(&err)
	if err := skipID3(r); err != nil {
		return nil, err
	}
	kind, err := identify(r)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "WAV":
		return openWAV(r)
	case "FLAC":
		return openFLAC(r)
	case "MP3":
		return openMP3(r)
	case "Opus":
		return openOpus(r)
	default:
		return nil, fmt.Errorf("the file is %s: convert it to WAV, such as with: ffmpeg -i FILE -ac 1 -ar 16000 out.wav", kind)
	}
}

// recoverDamage turns a decoder's panic into an error.
func recoverDamage(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: the decoder failed (%v)", ErrIncomplete, p)
	}
}

// maxChannels bounds what a header may ask for.
const maxChannels = 64

// check refuses what no recording has.
func (i Info) check() error {
	if i.Channels < 1 || i.Channels > maxChannels {
		return fmt.Errorf("the %s file claims %d channels, want 1 to %d", i.Format, i.Channels, maxChannels)
	}
	if i.Rate < minRate || i.Rate > maxRate {
		return fmt.Errorf("the %s file claims a sample rate of %d Hz, want %d to %d", i.Format, i.Rate, minRate, maxRate)
	}
	return nil
}

// A Reader yields a sound file as mono samples at 16 kHz, between -1 and 1, in constant
// memory. It is a SampleReader.
type Reader struct {
	info Info
	src  SampleReader
	err  error
}

// Info describes the file.
func (r *Reader) Info() Info { return r.info }

// Seconds returns the duration, false where the file does not say.
func (r *Reader) Seconds() (float64, bool) { return r.info.Seconds() }

// Read fills dst and returns the number of samples. At the end of the sound it returns 0 and
// io.EOF; where the file ends early or is damaged, all samples before that come first and then
// an error that wraps ErrIncomplete.
func (r *Reader) Read(dst []float32) (n int, err error) {
	for n < len(dst) && r.err == nil {
		var k int
		k, r.err = r.src.Read(dst[n:])
		n += k
	}
	if n > 0 || len(dst) == 0 {
		return n, nil
	}
	return 0, r.err
}

// mix averages frames of interleaved channels. dst and frames may be the same memory.
func mix(dst, frames []float32, channels int) {
	if channels == 1 {
		copy(dst, frames)
		return
	}
	for i := range dst {
		sum := float32(0)
		for _, v := range frames[i*channels : (i+1)*channels] {
			sum += v
		}
		dst[i] = sum / float32(channels)
	}
}

// incomplete words the error for a file that ends or breaks after some frames.
func incomplete(i Info, frames int64, cause string) error {
	at := float64(frames) / float64(i.Rate)
	if total, ok := i.Seconds(); ok {
		return fmt.Errorf("%w: the %s file %s after %.2f of %.2f s", ErrIncomplete, i.Format, cause, at, total)
	}
	return fmt.Errorf("%w: the %s file %s after %.2f s", ErrIncomplete, i.Format, cause, at)
}
