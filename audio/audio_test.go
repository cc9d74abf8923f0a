package audio

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func inflate(t testing.TB, name string) []byte {
	t.Helper()
	z, err := zlib.NewReader(bytes.NewReader(read(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readNative decodes a file at its own rate.
func readNative(t testing.TB, name string) ([]float32, Info, error) {
	t.Helper()
	src, err := open(bufio.NewReaderSize(bytes.NewReader(read(t, name)), peekSize))
	if err != nil {
		t.Fatal(err)
	}
	x, err := readAll(src, 777)
	return x, src.info(), err
}

// TestDecoders compares with the samples that ffmpeg decodes (libopus for Opus). FLAC is
// lossless; MP3 decoders differ by rounding, here to 16 bits, as do Opus decoders within their
// arithmetic.
func TestDecoders(t *testing.T) {
	for _, c := range []struct {
		name           string
		rate, channels int
		known          bool
		tolerance      float64
	}{
		{"sweep16.flac", 44100, 2, true, 0},
		{"sweep24.flac", 48000, 2, true, 1.0 / (1 << 24)},
		{"mono.flac", 44100, 1, true, 0},
		{"stereo44100.mp3", 44100, 2, true, 1e-4},
		{"vbr44100.mp3", 44100, 2, true, 1e-4},
		{"plain44100.mp3", 44100, 1, false, 1e-4},
		{"mono16000.mp3", 16000, 1, true, 1e-4},
		{"mono22050.mp3", 22050, 1, true, 1e-4},
		{"vbr22050.mp3", 22050, 2, true, 1e-4},
		{"mono24000.mp3", 24000, 1, true, 1e-4},
		{"stereo.opus", 48000, 2, false, 1e-4},
		{"speech.opus", 48000, 1, false, 1e-3},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, info, err := readNative(t, c.name)
			if err != io.EOF {
				t.Fatal(err)
			}
			if info.Rate != c.rate || info.Channels != c.channels || (info.Frames >= 0) != c.known {
				t.Errorf("info %+v", info)
			}
			want := inflate(t, c.name+".pcm")
			if len(x) != len(want)/4 || c.known && info.Frames != int64(len(x)) {
				t.Fatalf("%d samples, want %d; the header says %d", len(x), len(want)/4, info.Frames)
			}
			worst := 0.0
			for i, v := range x {
				w := float64(int32(binary.LittleEndian.Uint32(want[4*i:]))) / (1 << 23)
				worst = max(worst, math.Abs(float64(v)-w))
			}
			t.Logf("largest difference %.2g", worst)
			if worst > c.tolerance {
				t.Errorf("largest difference %g, want at most %g", worst, c.tolerance)
			}
		})
	}
}

// TestOpenResamples checks that a file at another rate comes out at 16 kHz, equal to
// resampling its decoded samples.
func TestOpenResamples(t *testing.T) {
	native, _, _ := readNative(t, "sweep16.flac")
	want := resample(t, native, 44100, Rate)
	for _, name := range []string{"sweep16.flac", "sweep.wav"} {
		got, info, err := readFile(read(t, name))
		if err != io.EOF || len(got) != 4000 || len(want) != 4000 {
			t.Fatalf("%s: %d samples, want 4000; error %v", name, len(got), err)
		}
		if seconds, known := info.Seconds(); !known || seconds != 0.25 {
			t.Errorf("%s: %g s", name, seconds)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%s: sample %d is %g, want %g", name, i, got[i], want[i])
			}
		}
	}
}

// TestOpenTagged checks tags before the sound, on formats they do not belong to as well.
func TestOpenTagged(t *testing.T) {
	const size = 100_000
	tag := append([]byte("ID3\x04\x00\x00"), size>>21&127, size>>14&127, size>>7&127, size&127)
	tag = append(tag, bytes.Repeat([]byte("\xff\xfb\x90\x00"), size/4)...) // looks like frames
	for _, name := range []string{"stereo44100.mp3", "mono.flac", "tiny-0.wav"} {
		want, _, _ := readFile(read(t, name))
		got, _, err := readFile(append(append(tag[:len(tag):len(tag)], tag...), read(t, name)...))
		if err != io.EOF || len(got) != len(want) {
			t.Errorf("%s: %d samples, want %d; error %v", name, len(got), len(want), err)
		}
	}
}

// TestMP3Joined checks that the length in the first file's head does not end joined files, and
// that what follows the last frame is no error.
func TestMP3Joined(t *testing.T) {
	data := read(t, "stereo44100.mp3")
	once, _, err := readFile(append(data[:len(data):len(data)], "TAG"+strings.Repeat("\xff\xfb\x90\x44", 40)...))
	if err != io.EOF || len(once) < 4000 {
		t.Errorf("with a tag: %d samples, error %v, want 4000", len(once), err)
	}
	twice, _, err := readFile(append(data[:len(data):len(data)], data...))
	if err != io.EOF || len(twice) < 8000 || len(twice) > 9254 {
		t.Errorf("joined: %d samples, error %v, want 8000 and at most three frames of silence", len(twice), err)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "empty (0 bytes)"},
		{"text", "Dear Sir,\nplease listen", "a text file: convert it to WAV"},
		{"opus", "OggS\x00\x02" + strings.Repeat("\x00", 22) + "OpusHead", "Opus file's head is truncated or damaged"},
		{"vorbis", "OggS\x00\x02" + strings.Repeat("\x00", 22) + "\x01vorbis", "an Ogg Vorbis file: convert it to WAV, such as with: ffmpeg"},
		{"m4a", "\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00", "an M4A file"},
		{"mp4", "\x00\x00\x00\x20ftypisom\x00\x00\x00\x00", "an MP4 file"},
		{"aac", strings.Repeat("\xff\xf1\x50\x80\x01\x1f\xfc\x00", 3), "an AAC stream"},
		{"aiff", "FORM\x00\x00\x00\x00AIFF", "an AIFF sound file"},
		{"webm", "\x1a\x45\xdf\xa3\x00\x00", "a Matroska or WebM file"},
		{"png", "\x89PNG\r\n\x1a\n", "a PNG image"},
		{"avi", "RIFF\x00\x00\x00\x00AVI LIST", "an AVI video"},
		{"zeros", strings.Repeat("\x00", 100), "not recognised"},
		{"only a tag", "ID3\x04\x00\x00\x00\x00\x01\x00", "ends within its ID3 tag"},
		{"flac head", string(read(t, "mono.flac")[:30]), "FLAC file's head is truncated or damaged"},
		{"mpeg 2.5", string(read(t, "mpeg25.mp3")), "MPEG 2.5 (11025 Hz)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := readFile([]byte(c.data))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
		})
	}
	if _, err := Open(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v, want the reader's", err)
	}
}

// TestIncomplete checks that cut and damaged files deliver what comes before the damage.
func TestIncomplete(t *testing.T) {
	for _, c := range []struct {
		name  string
		keep  float64
		spoil bool
		least int // samples at 16 kHz, of 4000
		want  string
	}{
		{"sweep16.flac", 0.85, false, 1500, "FLAC file ends after"},
		{"sweep16.flac", 0.85, true, 1500, "FLAC file is damaged"},
		{"stereo44100.mp3", 0.6, false, 1500, "MP3 file ends after"},
		{"mono22050.mp3", 0.6, false, 1000, "MP3 file ends after"},
		{"stereo.opus", 0.9, true, 0, "Opus file is damaged"},
	} {
		data := read(t, c.name)
		at := int(float64(len(data)) * c.keep)
		if c.spoil {
			copy(data[at:], "spoiled")
		} else {
			data = data[:at]
		}
		x, _, err := readFile(data)
		if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if len(x) < c.least || len(x) >= 4000 {
			t.Errorf("%s: %d samples, want %d to 3999", c.name, len(x), c.least)
		}
	}
}

// fuzz reads a file to its end, or for a while, since a small file can stand for hours of silence.
func fuzz(f *testing.F, names ...string) {
	for _, name := range names {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Open(bytes.NewReader(data))
		buf := make([]float32, 4096)
		for i := 0; i < 20 && err == nil; i++ {
			var n int
			if n, err = r.Read(buf); n == 0 && err == nil {
				t.Fatal("neither samples nor an error")
			}
			for _, v := range buf[:n] {
				if v != v {
					t.Fatal("a sample is not a number")
				}
			}
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %q", err)
		}
	})
}

func FuzzWAV(f *testing.F) {
	f.Add(wavFile{tag: 3, channels: 3, rate: 1000, bits: 64, extensible: true, data: make([]byte, 100)}.bytes())
	f.Add(wavFile{tag: 7, channels: 64, rate: 1_000_000, bits: 8, data: make([]byte, 100)}.bytes())
	fuzz(f, "pipe.wav", "pcm_alaw.wav")
}

func FuzzFLAC(f *testing.F) { fuzz(f, "mono.flac", "sweep24.flac") }

func FuzzMP3(f *testing.F) {
	fuzz(f, "stereo44100.mp3", "vbr44100.mp3", "mono22050.mp3", "vbr22050.mp3", "plain44100.mp3")
}

func FuzzOpus(f *testing.F) { fuzz(f, "stereo.opus", "speech.opus") }

func BenchmarkOpen(b *testing.B) {
	for _, name := range []string{"sweep.wav", "sweep16.flac", "stereo44100.mp3", "mono22050.mp3"} {
		b.Run(name, func(b *testing.B) {
			data := read(b, name)
			samples := 0
			for b.Loop() {
				x, _, err := readFile(data)
				if err != io.EOF {
					b.Fatal(err)
				}
				samples += len(x)
			}
			b.ReportMetric(float64(samples)/Rate/b.Elapsed().Seconds(), "x-real-time")
		})
	}
}
