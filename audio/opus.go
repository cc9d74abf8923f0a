package audio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/pion/opus"
	"github.com/pion/opus/pkg/oggreader"
)

// opusRate is the clock of Opus; decoders yield it whatever was encoded.
const opusRate = 48000

// opusSource reads Ogg Opus files of one or two channels (RFC 7845).
type opusSource struct {
	pages *oggreader.OggReader
	dec   opus.Decoder
	i     Info
	gain  float32
	skip  int    // frames of the encoder's delay to come
	total uint64 // frames decoded, the delay included
	block []float32
	pcm   []float32
	done  int64
	err   error
}

func (o *opusSource) info() Info { return o.i }

func openOpus(r *bufio.Reader) (*opusSource, error) {
	pages, head, err := oggreader.NewWith(r)
	if err != nil {
		return nil, fmt.Errorf("the Opus file's head is truncated or damaged: %w", noEOF(err))
	}
	if head.ChannelMap != 0 || head.Channels < 1 || head.Channels > 2 {
		return nil, fmt.Errorf("the Opus file has %d channels (mapping family %d), want 1 or 2: convert it to WAV, such as with: ffmpeg -i FILE -ac 1 out.wav", head.Channels, head.ChannelMap)
	}
	const longest = opusRate * 120 / 1000 // frames in a packet
	o := &opusSource{
		pages: pages,
		i:     Info{Format: "Opus", Rate: opusRate, Channels: int(head.Channels), Frames: -1},
		gain:  float32(math.Pow(10, float64(int16(head.OutputGain))/256/20)),
		skip:  int(head.PreSkip),
		pcm:   make([]float32, longest*int(head.Channels)),
	}
	if o.dec, err = opus.NewDecoderWithOutput(opusRate, o.i.Channels); err != nil {
		return nil, fmt.Errorf("the Opus file cannot be decoded: %w", err)
	}
	return o, nil
}

func (o *opusSource) Read(dst []float32) (int, error) {
	for len(o.block) == 0 {
		if o.err != nil {
			return 0, o.err
		}
		o.err = o.decode()
	}
	n := copy(dst, o.block)
	o.block = o.block[n:]
	o.done += int64(n)
	return n, nil
}

// decode turns the next packet into a block of mono samples.
func (o *opusSource) decode() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = incomplete(o.i, o.done, "is damaged")
		}
	}()
	packet, page, err := o.pages.ParseNextPacket()
	switch {
	case err == io.EOF:
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return incomplete(o.i, o.done, "ends")
	case err != nil:
		return incomplete(o.i, o.done, fmt.Sprintf("is damaged (%v)", err))
	case bytes.HasPrefix(packet, []byte("OpusTags")):
		return nil
	case bytes.HasPrefix(packet, []byte("OpusHead")):
		return incomplete(o.i, o.done, "goes over to another stream")
	}
	n, err := o.dec.DecodeToFloat32(packet, o.pcm)
	if err != nil {
		return incomplete(o.i, o.done, fmt.Sprintf("is damaged (%v)", err))
	}
	// A page says how many frames there are up to its end: the last packet may be longer.
	o.total += uint64(n)
	if end := page.GranulePosition; o.total > end {
		n = max(0, n-int(min(o.total-end, uint64(n))))
	}
	from := min(n, o.skip)
	o.skip -= from
	o.block = o.pcm[from*o.i.Channels : n*o.i.Channels]
	mix(o.block[:n-from], o.block, o.i.Channels)
	o.block = o.block[:n-from]
	for i := range o.block {
		o.block[i] = finite(o.block[i] * o.gain)
	}
	return nil
}
