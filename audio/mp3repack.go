package audio

import "bufio"

// An mp3Repacker rewrites MPEG 2 frames at the highest bit rate, where they need no padding
// byte: the decoder miscounts the size of padded frames at 22.05 kHz. That matters since
// frames of layer III may begin their data in earlier frames (the bit reservoir). The data of
// a rewritten frame begins in the free end of the frame before, so that there is room even in
// streams of the highest bit rate.
type mp3Repacker struct {
	r         *bufio.Reader
	first     mp3Frame
	reservoir []byte // the end of the data of earlier frames
	last      []byte // the frame that was rewritten last
	free      int    // bytes at its end
	out       []byte // rewritten and not yet read
	err       error
}

const (
	maxReservoir   = 255      // what main_data_begin can reach back in MPEG 2
	highestBitrate = 14 << 4  // 160 kbit/s, as the header codes it
	bitrateMask    = 0xf << 4 // in byte 2, as is
	paddingBit     = 1 << 1   // and in byte 1
	noChecksum     = 1
)

func (m *mp3Repacker) Read(p []byte) (int, error) {
	for len(m.out) == 0 {
		if m.err != nil {
			return 0, m.err
		}
		if m.err = m.next(); m.err != nil {
			m.out, m.last = m.last, nil
		}
	}
	n := copy(p, m.out)
	m.out = m.out[n:]
	return n, nil
}

// next rewrites one frame, or skips a byte that begins none.
func (m *mp3Repacker) next() error {
	head, err := m.r.Peek(4)
	if err != nil {
		return err
	}
	f := mp3Header(head)
	if f.size == 0 || f.version != m.first.version || f.rate != m.first.rate {
		_, err := m.r.Discard(1)
		return err
	}
	frame, err := m.r.Peek(f.size)
	if err != nil {
		return noEOF(err)
	}
	m.rewrite(f, frame)
	_, err = m.r.Discard(f.size)
	return err
}

func (m *mp3Repacker) rewrite(f mp3Frame, frame []byte) {
	head := append([]byte(nil), frame[:4]...)
	body := frame[4:]
	if head[1]&noChecksum == 0 {
		body = body[min(2, len(body)):]
	}
	head[1] |= noChecksum
	head[2] = head[2]&^(bitrateMask|paddingBit) | highestBitrate
	side := make([]byte, f.sideInfo())
	own := body[copy(side, body):]

	data := m.reservoir
	if back := int(side[0]); back <= len(data) { // main_data_begin
		data = append(data[len(data)-back:len(data):len(data)], own...)
	} else {
		data = nil
		clear(side) // the stream starts in the middle: this frame is silent
	}
	data = data[:min(len(data), f.dataSize(side))]
	m.reservoir = append(m.reservoir, own...)
	m.reservoir = append([]byte(nil), m.reservoir[max(0, len(m.reservoir)-maxReservoir):]...)

	out := make([]byte, mp3Header(head).size)
	slot := out[copy(out, head)+copy(out[len(head):], side):]
	early := min(len(data), m.free, maxReservoir)
	copy(m.last[len(m.last)-early:], data[:early])
	out[len(head)] = byte(early)
	m.out, m.last = m.last, out
	m.free = len(slot) - copy(slot, data[early:])
}

// dataSize returns the bytes of data that an MPEG 2 frame's side information counts: a number
// of 12 bits (part2_3_length) every 63 bits, one for each channel.
func (f mp3Frame) dataSize(side []byte) int {
	total := 0
	for ch := range f.channels {
		at := 8 + f.channels + 63*ch
		for bit := at; bit < at+12; bit++ {
			total += int(side[bit/8]>>(7-bit%8)&1) << (11 - (bit - at))
		}
	}
	return (total + 7) / 8
}
