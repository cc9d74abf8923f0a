package vision

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// expectation is one image of testdata as Pillow decodes it: offset is the place of its pixels
// in decoded.rgb.
type expectation struct{ Width, Height, Offset int }

func expectations(t testing.TB) (map[string]expectation, []byte) {
	t.Helper()
	var all map[string]expectation
	if err := json.Unmarshal(read(t, "decoded.json"), &all); err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(read(t, "decoded.rgb")))
	if err != nil {
		t.Fatal(err)
	}
	pix, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return all, pix
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDecodeAsPillow compares all formats with Pillow's convert("RGB"). JPEG's inverse
// transform is not specified to the bit: where luma and chroma are both off by one step, a
// colour is off by 1 + 1.772.
func TestDecodeAsPillow(t *testing.T) {
	all, pix := expectations(t)
	if len(all) < 40 {
		t.Fatalf("only %d images", len(all))
	}
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			m, err := Decode(bytes.NewReader(read(t, name)), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if m.Width != want.Width || m.Height != want.Height {
				t.Fatalf("%d x %d pixels, want %d x %d", m.Width, m.Height, want.Width, want.Height)
			}
			worst, sum := 0, 0
			for i, v := range m.Pix {
				d := int(v) - int(pix[want.Offset+i])
				worst, sum = max(worst, d, -d), sum+max(d, -d)
			}
			t.Logf("largest difference %d, mean %.4f", worst, float64(sum)/float64(len(m.Pix)))
			allowed, mean := 0, 0.0
			if strings.HasSuffix(name, ".jpg") {
				allowed, mean = 3, 0.15
			}
			if worst > allowed || float64(sum) > mean*float64(len(m.Pix)) {
				t.Errorf("want at most %d, mean %g", allowed, mean)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	whole := func(name string) string { return string(read(t, name)) }
	patch := func(name string, at int, with string) string {
		b := read(t, name)
		copy(b[at:], with)
		return string(b)
	}
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "empty (0 bytes)"},
		{"text", "Dear Sir,\nplease find", "a text file: convert it to PNG or JPEG"},
		{"cut character", "na\xc3\xafve \xe2\x82", "a text file"},
		{"svg", "<?xml version='1.0'?>\n<svg xmlns=''>", "an SVG drawing"},
		{"html", "<!DOCTYPE html><html>", "an HTML page"},
		{"pdf", "%PDF-1.7\n", "a PDF document"},
		{"heic", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "a HEIC image: convert it to PNG or JPEG"},
		{"avif", "\x00\x00\x00\x18ftypavif\x00\x00\x00\x00", "an AVIF image"},
		{"mp4", "\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "an MP4"},
		{"tiff", "II*\x00\x08\x00\x00\x00", "a TIFF image"},
		{"wav", "RIFF\x00\x00\x00\x00WAVEfmt ", "a RIFF file"},
		{"zeros", "\x00\x00\x00\x00", "not recognised"},
		{"truncated png", whole("rgb.png")[:700], "the png image is truncated or damaged"},
		{"truncated jpeg", whole("420.jpg")[:700], "the jpeg image is truncated or damaged"},
		{"truncated webp", whole("lossy.webp")[:300], "the webp image is truncated or damaged"},
		{"truncated gif", whole("palette.gif")[:200], "the gif image is truncated or damaged"},
		{"png of no width", withIHDR(0, 5), "the png image is truncated or damaged: png: invalid format: non-positive dimension"},
		{"jpeg of no height", patch("444.jpg", strings.Index(whole("444.jpg"), "\xff\xc0")+5, "\x00\x00"), "jpeg image"},
		{"wide", withIHDR(100000, 10), "the image is 100000 x 10 pixels, over the limit of 65535 a side"},
		{"large", withIHDR(60000, 60000), "the image is 60000 x 60000 pixels, over the limit of 134217728 pixels in all"},
		{"animated webp", "RIFF\x20\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00", "an animated WebP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(strings.NewReader(c.data), Limits{})
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q", err, c.want)
			}
		})
	}
}

// withIHDR returns a PNG that claims a size.
func withIHDR(width, height uint32) string {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	ihdr = binary.BigEndian.AppendUint32(ihdr, height)
	ihdr = append(ihdr, 8, 2, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), ihdr...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(ihdr)))
}

func TestDecodeLimits(t *testing.T) {
	data := read(t, "rgb.png") // 31 x 22
	for _, c := range []struct {
		limits Limits
		want   string
	}{
		{Limits{MaxSide: 30}, "31 x 22 pixels, over the limit of 30 a side"},
		{Limits{MaxPixels: 681}, "31 x 22 pixels, over the limit of 681 pixels"},
		{Limits{MaxBytes: 100}, "larger than the limit of 100 bytes"},
	} {
		if _, err := Decode(bytes.NewReader(data), c.limits); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.limits, err, c.want)
		}
	}
	if _, err := Decode(bytes.NewReader(data), Limits{MaxSide: 31, MaxPixels: 682, MaxBytes: len(data)}); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	if _, err := Decode(iotest.ErrReader(io.ErrClosedPipe), Limits{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v, want the reader's", err)
	}
}

func FuzzDecode(f *testing.F) {
	all, _ := expectations(f)
	for name := range all {
		f.Add(read(f, name))
	}
	f.Add([]byte(withIHDR(60000, 2000)))
	limits := Limits{MaxPixels: 1 << 16, MaxBytes: 1 << 16}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(bytes.NewReader(data), limits)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		if err := m.valid(); err != nil || m.Width*m.Height > limits.MaxPixels {
			t.Errorf("%d x %d: %v", m.Width, m.Height, err)
		}
	})
}
