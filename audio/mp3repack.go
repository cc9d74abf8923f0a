package audio

import "bufio"

// An mp3Repacker rewrites MPEG 2 frames so that each holds its own data. Frames of layer III
// may begin their data in the frames before (the bit reservoir), and the
// decoder miscounts the size of frames with a padding byte at 22.05 kHz, which shifts
// what it finds there. Rewritten frames are of the highest bit rate, need
// no padding and refer to nothing.
type mp3Repacker struct {
	r         *bufio.Reader
	first     mp3Frame
	reservoir []byte // the end of the data of earlier frames
	out       []byte // rewritten and not yet read
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
		if err := m.next(); err != nil {
			return 0, err
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
	n := min(f.sideInfo(), len(body))
	side, data := append([]byte(nil), body[:n]...), body[n:]
	side = append(side, make([]byte, f.sideInfo()-n)...)

	back := int(side[0]) // main_data_begin
	if back <= len(m.reservoir) {
		side[0] = 0
	} else {
		back = 0
		clear(side) // the stream starts in the middle: this frame is silent
	}
	out := make([]byte, 0, mp3Header(head).size)
	out = append(append(out, head...), side...)
	out = append(out, m.reservoir[len(m.reservoir)-back:]...)
	out = append(out, data...)
	for len(out) < cap(out) {
		out = append(out, 0)
	}
	m.out = out[:mp3Header(head).size] // what is beyond belongs to the next frame

	m.reservoir = append(m.reservoir, data...)
	m.reservoir = append(m.reservoir[:0], m.reservoir[max(0, len(m.reservoir)-maxReservoir):]...)
}
