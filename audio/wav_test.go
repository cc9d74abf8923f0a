package audio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

// wavFile builds WAV files.
type wavFile struct {
	tag, channels, rate, bits int
	extensible                bool
	before, after             string // raw chunks around the sound
	data                      []byte
	riffSize, dataSize        uint32 // 0: the true sizes
	zero                      bool   // sizes of zero
	id                        string
}

func (w wavFile) bytes() []byte {
	le := binary.LittleEndian
	f := le.AppendUint16(nil, uint16(w.tag))
	if w.extensible {
		f = le.AppendUint16(nil, wavExtensible)
	}
	size := (w.bits + 7) / 8
	f = le.AppendUint16(f, uint16(w.channels))
	f = le.AppendUint32(f, uint32(w.rate))
	f = le.AppendUint32(f, uint32(w.rate*w.channels*size))
	f = le.AppendUint16(f, uint16(w.channels*size))
	f = le.AppendUint16(f, uint16(w.bits))
	if w.extensible {
		f = le.AppendUint16(f, 22)
		f = le.AppendUint16(f, uint16(w.bits))
		f = le.AppendUint32(f, 0)
		f = le.AppendUint16(f, uint16(w.tag))
		f = append(f, "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"...)
	}
	body := append([]byte("WAVE"), w.before...)
	body = append(body, "fmt "...)
	body = append(le.AppendUint32(body, uint32(len(f))), f...)
	body = append(body, "data"...)
	riff, size32 := uint32(len(body)+4+len(w.data)+len(w.after)), uint32(len(w.data))
	if w.dataSize != 0 || w.zero {
		riff, size32 = w.riffSize, w.dataSize
	}
	body = append(le.AppendUint32(body, size32), w.data...)
	body = append(body, w.after...)
	id := "RIFF"
	if w.id != "" {
		id = w.id
	}
	return append(le.AppendUint32([]byte(id), riff), body...)
}

func readFile(b []byte) ([]float32, Info, error) {
	r, err := Open(bytes.NewReader(b))
	if err != nil {
		return nil, Info{}, err
	}
	x, err := readAll(r, 1000)
	return x, r.Info(), err
}

func pcm16(values ...int16) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

func float64s(values ...float64) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

func float32s(values ...float32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func TestWAVFormats(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name string
		file wavFile
		want []float32
	}{
		{"8 bits", wavFile{tag: 1, channels: 1, bits: 8, data: []byte{0, 128, 255}}, []float32{-1, 0, 127.0 / 128}},
		{"16 bits", wavFile{tag: 1, channels: 1, bits: 16, data: pcm16(-32768, 0, 16384)}, []float32{-1, 0, 0.5}},
		{"24 bits", wavFile{tag: 1, channels: 1, bits: 24, data: []byte{0, 0, 0x80, 1, 0, 0, 0xff, 0xff, 0xff}}, []float32{-1, 1.0 / (1 << 23), -1.0 / (1 << 23)}},
		{"20 bits in 24", wavFile{tag: 1, channels: 1, bits: 20, data: []byte{0, 0, 0x40}}, []float32{0.5}},
		{"32 bits", wavFile{tag: 1, channels: 1, bits: 32, data: []byte{0, 0, 0, 0x80, 0, 0, 0, 0x20}}, []float32{-1, 0.25}},
		{"float", wavFile{tag: 3, channels: 1, bits: 32, data: float32s(0.25, -1.5, nan, inf)}, []float32{0.25, -1.5, 0, 1024}},
		{"double", wavFile{tag: 3, channels: 1, bits: 64, data: float64s(0.25, -1.5, 1e300)}, []float32{0.25, -1.5, 1024}},
		{"stereo", wavFile{tag: 1, channels: 2, bits: 16, data: pcm16(8192, 16384, -8192, 8192)}, []float32{0.375, 0}},
		{"five channels", wavFile{tag: 1, channels: 5, bits: 16, data: pcm16(32000, 0, 0, 0, 0)}, []float32{32000.0 / 32768 / 5}},
		{"extensible", wavFile{tag: 3, channels: 1, bits: 32, extensible: true, data: float32s(0.5)}, []float32{0.5}},
		{"odd chunks", wavFile{tag: 1, channels: 1, bits: 8, before: "LIST\x03\x00\x00\x00abc\x00", data: []byte{64, 192, 128}, after: "\x00LIST\x01\x00\x00\x00a\x00"}, []float32{-0.5, 0.5, 0}},
		{"large unknown chunk", wavFile{tag: 1, channels: 1, bits: 8, before: "junk\x00\x02\x00\x00" + strings.Repeat("x", 512), data: []byte{64}}, []float32{-0.5}},
		{"part of a frame at the end", wavFile{tag: 1, channels: 2, bits: 16, data: append(pcm16(16384, 16384), 9, 9)}, []float32{0.5}},
		{"pipe", wavFile{tag: 1, channels: 1, bits: 16, data: pcm16(16384), riffSize: math.MaxUint32, dataSize: math.MaxUint32}, []float32{0.5}},
		{"pipe of sox", wavFile{tag: 1, channels: 1, bits: 16, data: pcm16(16384), riffSize: 0x7ffff024, dataSize: 0x7ffff000}, []float32{0.5}},
		{"unfinished", wavFile{tag: 1, channels: 1, bits: 16, data: pcm16(16384), riffSize: 36, zero: true}, []float32{0.5}},
		{"RF64", wavFile{tag: 1, channels: 1, bits: 16, id: "RF64", before: "ds64\x1c\x00\x00\x00" + strings.Repeat("\xff", 8) + "\x04\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 12), data: pcm16(16384, 0, 9, 9), riffSize: math.MaxUint32, dataSize: math.MaxUint32}, []float32{0.5, 0}},
		{"no sound", wavFile{tag: 1, channels: 1, bits: 16}, nil},
		{"no sound, more chunks", wavFile{tag: 1, channels: 1, bits: 16, after: "LIST\x04\x00\x00\x00abcd"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.file.rate = Rate
			got, info, err := readFile(c.file.bytes())
			if err != io.EOF {
				t.Fatalf("error %v, want the end", err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("%v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%v, want %v", got, c.want)
				}
			}
			if info.Frames >= 0 && int(info.Frames) != len(c.want) {
				t.Errorf("header says %d frames, want %d", info.Frames, len(c.want))
			}
			if unknown := c.file.riffSize != 0 && c.file.id == "" || c.name == "no sound"; unknown != (info.Frames < 0) {
				t.Errorf("header says %d frames", info.Frames)
			}
		})
	}
}

func TestWAVErrors(t *testing.T) {
	good := wavFile{tag: 1, channels: 2, rate: Rate, bits: 16, data: pcm16(1, 2, 3, 4)}
	with := func(change func(*wavFile)) []byte {
		w := good
		change(&w)
		return w.bytes()
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"cut head", good.bytes()[:30], "ends before its sound"},
		{"no data", good.bytes()[:36], "ends before its sound"},
		{"no format", append([]byte("RIFF\x20\x00\x00\x00WAVE"), good.bytes()[36:]...), "no format chunk"},
		{"zero rate", with(func(w *wavFile) { w.rate = 0 }), "sample rate of 0 Hz"},
		{"absurd rate", with(func(w *wavFile) { w.rate = 2_000_000_000 }), "sample rate of 2000000000 Hz"},
		{"no channels", with(func(w *wavFile) { w.channels = 0 }), "0 channels"},
		{"absurd channels", with(func(w *wavFile) { w.channels = 65535 }), "65535 channels"},
		{"ADPCM", with(func(w *wavFile) { w.tag, w.bits = 0x11, 4 }), "4-bit sound of format 0x0011"},
		{"48 bits", with(func(w *wavFile) { w.bits = 48 }), "48-bit sound of format 0x0001"},
	} {
		_, _, err := readFile(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", c.name, err, c.want)
		}
	}
}

// TestWAVTruncated checks that all samples of a cut file are delivered before the error.
func TestWAVTruncated(t *testing.T) {
	data := read(t, "tiny-0.wav")
	x, info, err := readFile(data[:44+2*5001+1])
	if len(x) != 5001 || info.Frames != 20800 {
		t.Errorf("%d of %d samples, want 5001 of 20800", len(x), info.Frames)
	}
	if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "WAV file ends after 0.31 of 1.30 s") {
		t.Errorf("error %v", err)
	}
	broken := io.MultiReader(bytes.NewReader(data[:1044]), iotest.ErrReader(io.ErrClosedPipe))
	r, err := Open(broken)
	if err != nil {
		t.Fatal(err)
	}
	if x, err := readAll(r, 100); len(x) != 500 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%d samples, error %v, want 500 and the reader's error", len(x), err)
	}
}

func TestWAVPipe(t *testing.T) {
	r, err := Open(iotest.OneByteReader(bytes.NewReader(read(t, "pipe.wav"))))
	if err != nil {
		t.Fatal(err)
	}
	if _, known := r.Seconds(); known || r.Info().Channels != 2 || r.Info().Rate != 44100 {
		t.Errorf("info %+v, want 2 channels, 44100 Hz, unknown length", r.Info())
	}
	if x, err := readAll(r, 64); len(x) != 320 || err != io.EOF {
		t.Errorf("%d samples, error %v, want 320 (20 ms)", len(x), err)
	}
}

func TestWAVLaws(t *testing.T) {
	for _, name := range []string{"pcm_alaw", "pcm_mulaw"} {
		x, _, err := readNative(t, name+".wav")
		if err != io.EOF {
			t.Fatal(err)
		}
		want := read(t, name+".s16")
		if len(x) != len(want)/2 || len(x) == 0 {
			t.Fatalf("%s: %d samples, want %d", name, len(x), len(want)/2)
		}
		for i, v := range x {
			if w := float32(int16(binary.LittleEndian.Uint16(want[2*i:]))) / (1 << 15); v != w {
				t.Fatalf("%s: sample %d is %g, want %g", name, i, v, w)
			}
		}
	}
}
