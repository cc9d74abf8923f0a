package audio

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/hajimehoshi/go-mp3"
)

// mp3Source reads MPEG layer III streams. The decoder yields 16-bit stereo, whatever the file
// holds.
type mp3Source struct {
	dec  *mp3.Decoder
	i    Info
	skip int64 // frames to drop: what encoder and decoder put before and after the sound
	left int64 // frames to come before those after the sound, -1 where unknown
	tail int64 // their number
	all  bool  // as many frames came as the file says
	done int64
	raw  [4096]byte
}

func (m *mp3Source) info() Info { return m.i }

// openMP3 starts at the first frame. A frame with encoder information is not sound: it says
// how much sound there is, and where it starts within the first frames.
func openMP3(r *bufio.Reader) (src *mp3Source, err error) {
	head, _ := r.Peek(peekSize) // an error comes again
	at, ok := findMP3(head)
	if !ok {
		return nil, fmt.Errorf("the MP3 file has no frames")
	}
	first := mp3Header(head[at:])
	m := &mp3Source{left: -1, i: Info{Format: "MP3", Rate: first.rate, Channels: first.channels, Frames: -1}}
	if first.version == mpeg25 {
		return nil, fmt.Errorf("the MP3 file is MPEG 2.5 (%d Hz), which is not supported: convert it to WAV, such as with: ffmpeg -i FILE out.wav", first.rate)
	}
	if frames, delay, padding, ok := first.xing(head[at:]); ok {
		at += first.size
		const decoderDelay = 529
		if frames > 0 {
			m.i.Frames = frames * int64(first.samples)
		}
		if delay > 0 {
			m.skip = delay + decoderDelay
			m.tail = max(0, padding-decoderDelay)
			if m.i.Frames >= 0 {
				m.i.Frames = max(0, m.i.Frames-delay-padding)
			}
		}
		m.left = m.i.Frames
	}
	if _, err := r.Discard(at); err != nil {
		return nil, fmt.Errorf("the MP3 file is truncated: %w", noEOF(err))
	}
	frames := io.Reader(onlyReader{r})
	if first.version == mpeg2 && first.rate == 22050 {
		frames = &mp3Repacker{r: r, first: first}
	}
	if m.dec, err = mp3.NewDecoder(frames); err != nil {
		return nil, fmt.Errorf("the MP3 file is truncated or damaged: %w", noEOF(err))
	}
	return m, nil
}

// onlyReader hides other methods: the decoder scans a whole file that can seek.
type onlyReader struct{ io.Reader }

func (m *mp3Source) Read(dst []float32) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, incomplete(m.i, m.done, "is damaged")
		}
	}()
	for {
		if m.left == 0 {
			// More may follow: files are joined without correcting the first one's head.
			m.skip, m.left, m.all = m.skip+m.tail, -1, true
		}
		want := min(int64(len(dst)), int64(len(m.raw)/4))
		if m.skip > 0 {
			want = min(m.skip, int64(len(m.raw)/4))
		} else if m.left > 0 {
			want = min(want, m.left)
		}
		k, err := io.ReadFull(m.dec, m.raw[:want*4])
		k /= 4
		if m.skip > 0 {
			if m.skip -= int64(k); err != nil {
				return 0, m.end(err)
			}
			continue
		}
		for i := range k {
			l, r := binary.LittleEndian.Uint16(m.raw[4*i:]), binary.LittleEndian.Uint16(m.raw[4*i+2:])
			dst[i] = (float32(int16(l)) + float32(int16(r))) / (1 << 16)
		}
		m.done += int64(k)
		if m.left > 0 {
			m.left -= int64(k)
		}
		return k, m.end(err)
	}
}

// end words what the decoder's error means for the sound.
func (m *mp3Source) end(err error) error {
	switch {
	case err == nil:
		return nil
	case m.all: // what follows the sound may be tags
		return io.EOF
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return incomplete(m.i, m.done, fmt.Sprintf("is damaged (%v)", err))
	case m.left > 0:
		return incomplete(m.i, m.done, "ends")
	}
	return io.EOF
}
