package audio

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// wav reads RIFF WAVE files, and RF64 and BW64 beyond 4 GB, as a stream: pipes are the usual
// source of sound for a command, and the existing Go readers want to seek.
type wav struct {
	r       io.Reader
	i       Info
	size    int // bytes of a sample
	convert func(dst []float32, src []byte)
	left    int64 // bytes of sound to come, or
	endless bool  // the header does not know: read to the end of the file
	done    int64 // frames read
	raw     []byte
	frames  []float32
}

func (w *wav) info() Info { return w.i }

// The format tags of WAVE (RFC 2361).
const (
	wavPCM        = 1
	wavFloat      = 3
	wavALaw       = 6
	wavMuLaw      = 7
	wavExtensible = 0xfffe
)

// unknownSize is where the sizes start that programs write to a pipe since they cannot know
// better: 0xffffffff, 0x80000000 or somewhat below.
const unknownSize = 0x7ffff000

// openWAV reads the chunks before the sound.
func openWAV(r *bufio.Reader) (*wav, error) {
	w := &wav{r: r}
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, wavHeadError(err)
	}
	riff := int64(binary.LittleEndian.Uint32(head[4:]))
	read, large := int64(4), int64(-1)
	for {
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, wavHeadError(err)
		}
		id, size := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		read += 8
		if id == "data" {
			return w, w.start(size, large, riff <= read)
		}
		body := make([]byte, min(size, 64))
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, wavHeadError(err)
		}
		if rest := size + size&1 - int64(len(body)); rest > 0 { // chunks are padded to even sizes
			if _, err := io.CopyN(io.Discard, r, rest); err != nil {
				return nil, wavHeadError(err)
			}
		}
		read += size + size&1
		switch {
		case id == "fmt ":
			if err := w.format(body); err != nil {
				return nil, err
			}
		case id == "ds64" && len(body) >= 16:
			large = int64(binary.LittleEndian.Uint64(body[8:]))
		}
	}
}

func wavHeadError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the WAV file ends before its sound (no data chunk): %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read WAV file: %w", err)
}

// format reads the fmt chunk.
func (w *wav) format(b []byte) error {
	if len(b) < 16 {
		return fmt.Errorf("the WAV file has a format chunk of %d bytes, want at least 16", len(b))
	}
	tag := int(binary.LittleEndian.Uint16(b))
	w.i = Info{
		Format:   "WAV",
		Channels: int(binary.LittleEndian.Uint16(b[2:])),
		Rate:     int(min(binary.LittleEndian.Uint32(b[4:]), math.MaxInt32)),
	}
	bits := int(binary.LittleEndian.Uint16(b[14:]))
	if tag == wavExtensible && len(b) >= 26 {
		tag = int(binary.LittleEndian.Uint16(b[24:])) // the head of a GUID
	}
	w.size = (bits + 7) / 8 // samples of, say, 20 bits fill the upper part of 24
	if w.convert = wavConverter(tag, w.size); w.convert == nil {
		return fmt.Errorf("the WAV file holds %d-bit sound of format 0x%04x, want PCM of 8 to 32 bits, float, A-law or mu-law: convert it with: ffmpeg -i FILE -c:a pcm_s16le out.wav", bits, tag)
	}
	return w.i.check()
}

// start notes how much sound the data chunk holds. A size of 0 with nothing after it in the
// RIFF chunk is what a recorder leaves that was cut off.
func (w *wav) start(size, large int64, last bool) error {
	if w.convert == nil {
		return errors.New("the WAV file has no format chunk before its sound")
	}
	if size == math.MaxUint32 && large > 0 {
		size = large
	}
	w.left = size
	w.endless = size >= unknownSize && large <= 0 || size == 0 && last
	frame := int64(w.size * w.i.Channels)
	w.i.Frames = size / frame
	if w.endless {
		w.i.Frames, w.left = -1, math.MaxInt64
	}
	w.raw = make([]byte, readSize/w.i.Channels*w.size*w.i.Channels)
	w.frames = make([]float32, len(w.raw)/w.size)
	return nil
}

func (w *wav) Read(dst []float32) (int, error) {
	frame := w.size * w.i.Channels
	if w.left < int64(frame) {
		return 0, io.EOF
	}
	want := min(len(dst), len(w.raw)/frame, int(min(w.left/int64(frame), readSize)))
	k, err := io.ReadFull(w.r, w.raw[:want*frame])
	n := k / frame
	w.left -= int64(n * frame)
	w.done += int64(n)
	w.convert(w.frames[:n*w.i.Channels], w.raw)
	mix(dst[:n], w.frames, w.i.Channels)
	switch {
	case err == nil:
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		err = fmt.Errorf("read WAV file: %w", err)
	case w.endless:
		err = io.EOF
	default:
		err = incomplete(w.i, w.done, "ends")
	}
	return n, err
}

// wavConverter returns a function that turns len(dst) samples into floats, nil where the
// format is not known. Integers are divided by the size of their negative range.
func wavConverter(tag, size int) func(dst []float32, src []byte) {
	switch {
	case tag == wavPCM && size == 1:
		return func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = (float32(src[i]) - 128) / 128
			}
		}
	case tag == wavPCM && size == 2:
		return func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = float32(int16(binary.LittleEndian.Uint16(src[2*i:]))) / (1 << 15)
			}
		}
	case tag == wavPCM && size == 3:
		return func(dst []float32, src []byte) {
			for i := range dst {
				b := src[3*i : 3*i+3]
				dst[i] = float32(int32(b[0])<<8|int32(b[1])<<16|int32(b[2])<<24) / (1 << 31)
			}
		}
	case tag == wavPCM && size == 4:
		return func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = float32(int32(binary.LittleEndian.Uint32(src[4*i:]))) / (1 << 31)
			}
		}
	case tag == wavFloat && size == 4:
		return func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = finite(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
			}
		}
	case tag == wavFloat && size == 8:
		return func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = finite(float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))))
			}
		}
	case tag == wavALaw && size == 1, tag == wavMuLaw && size == 1:
		table := lawTable(tag == wavALaw)
		return func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = table[src[i]]
			}
		}
	}
	return nil
}

// finite replaces what is not a number by silence and limits what no recording reaches, so
// that one bad sample does not spoil the whole spectrum.
func finite(x float32) float32 {
	const limit = 1 << 10
	if x != x {
		return 0
	}
	return max(-limit, min(x, limit))
}

// lawTable expands the logarithmic 8-bit codes of telephony (ITU-T G.711).
func lawTable(aLaw bool) (table [256]float32) {
	for i := range table {
		code := ^i // mu-law is stored inverted
		if aLaw {
			code = i ^ 0x55
		}
		exponent, mantissa := code>>4&7, code&15
		var v int
		switch {
		case !aLaw:
			v = (2*mantissa+33)<<exponent<<2 - 132
		case exponent == 0:
			v = mantissa<<4 + 8
		default:
			v = (mantissa<<4 + 0x108) << (exponent - 1)
		}
		if (code&0x80 == 0) == aLaw { // the sign bit means opposite things
			v = -v
		}
		table[i] = float32(v) / (1 << 15)
	}
	return table
}
