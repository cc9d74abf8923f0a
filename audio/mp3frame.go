package audio

import (
	"bytes"
	"encoding/binary"
)

// An mp3Frame is what the four bytes at the head of a layer III frame say (ISO 11172-3,
// 2.4.1.3, and 13818-3).
type mp3Frame struct {
	version  int
	rate     int
	channels int
	samples  int // of each channel
	size     int // bytes, head included
}

// The versions as the header codes them.
const (
	mpeg25 = 0
	mpeg2  = 2
	mpeg1  = 3
)

var (
	mp3Bitrates = [2][15]int{ // kbit/s
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	}
	mp3Rates = [3]int{44100, 48000, 32000}
)

// mp3Header decodes the head of a frame; size is 0 where b does not start with one.
func mp3Header(b []byte) (f mp3Frame) {
	if len(b) < 4 || b[0] != 0xff || b[1]&0xe6 != 0xe2 { // sync, layer III
		return f
	}
	version, bitrate, rate := int(b[1]>>3&3), int(b[2]>>4), int(b[2]>>2&3)
	if version == 1 || bitrate == 0 || bitrate == 15 || rate == 3 || b[3]&3 == 2 {
		return f
	}
	f = mp3Frame{version: version, rate: mp3Rates[rate], channels: 2, samples: 1152}
	table := 0
	if version != mpeg1 {
		table, f.samples = 1, 576
		f.rate /= 2
	}
	if version == mpeg25 {
		f.rate /= 2
	}
	if b[3]>>6 == 3 {
		f.channels = 1
	}
	f.size = f.samples/8*1000*mp3Bitrates[table][bitrate]/f.rate + int(b[2]>>1&1)
	return f
}

// sideInfo returns the bytes between the header and the frame's data.
func (f mp3Frame) sideInfo() int {
	switch {
	case f.version == mpeg1 && f.channels == 2:
		return 32
	case f.version == mpeg1 || f.channels == 2:
		return 17
	}
	return 9
}

// findMP3 returns where the first frame starts that others of its kind follow.
func findMP3(b []byte) (at int, ok bool) {
	const others = 2
	for at = range b {
		first := mp3Header(b[at:])
		f, next := first, at
		for n := 0; f.size > 0 && f.version == first.version && f.rate == first.rate; n++ {
			if next += f.size; n == others || next >= len(b) && next > at && at == 0 {
				return at, true
			}
			if next >= len(b) {
				break
			}
			f = mp3Header(b[next:])
		}
	}
	return 0, false
}

// xing reads the information that encoders put into a first frame without sound: the number of
// frames that follow, and the samples that the encoder added before and after the sound (the
// Xing/Info header with LAME's extension). Zero stands for unknown.
func (f mp3Frame) xing(b []byte) (frames, delay, padding int64, ok bool) {
	b = b[:min(len(b), f.size)]
	b = b[min(len(b), 4+f.sideInfo()):]
	if len(b) < 8 || !bytes.HasPrefix(b, []byte("Xing")) && !bytes.HasPrefix(b, []byte("Info")) {
		return 0, 0, 0, false
	}
	flags := binary.BigEndian.Uint32(b[4:])
	b = b[8:]
	for _, field := range []struct {
		flag uint32
		size int
	}{{1, 4}, {2, 4}, {4, 100}, {8, 4}} { // frames, bytes, table of contents, quality
		if flags&field.flag == 0 {
			continue
		}
		if len(b) < field.size {
			return frames, 0, 0, true
		}
		if field.flag == 1 {
			frames = int64(binary.BigEndian.Uint32(b))
		}
		b = b[field.size:]
	}
	if len(b) >= 24 && (bytes.HasPrefix(b, []byte("LAME")) || bytes.HasPrefix(b, []byte("Lav"))) {
		both := int64(b[21])<<16 | int64(b[22])<<8 | int64(b[23]) // 12 bits each
		delay, padding = both>>12, both&0xfff
	}
	return frames, delay, padding, true
}
