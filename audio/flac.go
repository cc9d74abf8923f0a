package audio

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
)

// flacSource reads FLAC streams.
type flacSource struct {
	stream *flac.Stream
	i      Info
	bits   int
	block  []float32 // samples that were decoded and not yet read
	done   int64
	err    error
}

func (f *flacSource) info() Info { return f.i }

func openFLAC(r *bufio.Reader) (*flacSource, error) {
	stream, err := flac.New(r)
	if err != nil {
		return nil, fmt.Errorf("the FLAC file's head is truncated or damaged: %w", noEOF(err))
	}
	f := &flacSource{stream: stream, bits: int(stream.Info.BitsPerSample)}
	f.i = Info{
		Format:   "FLAC",
		Rate:     int(stream.Info.SampleRate),
		Channels: int(stream.Info.NChannels),
		Frames:   int64(stream.Info.NSamples),
	}
	if f.i.Frames == 0 {
		f.i.Frames = -1
	}
	return f, f.i.check()
}

// noEOF keeps an end of file from being taken for the normal end of the sound.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (f *flacSource) Read(dst []float32) (int, error) {
	for len(f.block) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.err = f.decode()
	}
	n := copy(dst, f.block)
	f.block = f.block[n:]
	f.done += int64(n)
	return n, nil
}

// decode reads the next block of the stream.
func (f *flacSource) decode() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = incomplete(f.i, f.done, "is damaged")
		}
	}()
	block, err := f.stream.ParseNext()
	switch {
	case err == nil:
		return f.mix(block)
	case err == io.EOF && f.done >= f.i.Frames:
		return io.EOF
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return incomplete(f.i, f.done, "ends")
	}
	return incomplete(f.i, f.done, fmt.Sprintf("is damaged (%v)", err))
}

// mix averages the channels of a block, which may be as many as its own header says.
func (f *flacSource) mix(block *frame.Frame) error {
	bits := int(block.BitsPerSample)
	if bits == 0 {
		bits = f.bits
	}
	channels := block.Subframes
	if len(channels) == 0 {
		return incomplete(f.i, f.done, "is damaged (a block without channels)")
	}
	n := len(channels[0].Samples)
	for _, c := range channels {
		n = min(n, len(c.Samples))
	}
	if cap(f.block) < n {
		f.block = make([]float32, n)
	}
	f.block = f.block[:n]
	unit := float32(int64(1) << max(bits-1, 0))
	for i := range f.block {
		sum := float32(0)
		for _, c := range channels {
			sum += float32(c.Samples[i]) / unit
		}
		f.block[i] = sum / float32(len(channels))
	}
	return nil
}
