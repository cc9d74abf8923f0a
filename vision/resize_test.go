package vision

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"
)

// TestResizeAsPillow compares checksums: results must be equal to the bit.
func TestResizeAsPillow(t *testing.T) {
	var cases []struct {
		Filter        Filter
		Width, Height int
		CRC           uint32
	}
	if err := json.Unmarshal(read(t, "resize.json"), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 60 {
		t.Fatalf("only %d cases", len(cases))
	}
	src, err := Decode(bytes.NewReader(read(t, "resize.png")), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		m, err := Resize(src, c.Width, c.Height, c.Filter)
		if err != nil {
			t.Fatal(err)
		}
		if m.Width != c.Width || m.Height != c.Height {
			t.Errorf("%v: %d x %d pixels, want %d x %d", c.Filter, m.Width, m.Height, c.Width, c.Height)
		}
		if got := crc32.ChecksumIEEE(m.Pix); got != c.CRC {
			t.Errorf("%v to %d x %d: pixels differ from Pillow's", c.Filter, c.Width, c.Height)
		}
	}
}

func TestResizeErrors(t *testing.T) {
	m := NewImage(3, 2)
	for _, c := range []struct {
		m             *Image
		width, height int
		f             Filter
	}{
		{m, 0, 1, Box}, {m, 1, -1, Box}, {m, 1, 1, 6}, {m, 1, 1, -1},
		{&Image{}, 1, 1, Box}, {&Image{Width: 2, Height: 2, Pix: make([]uint8, 3)}, 1, 1, Box},
	} {
		if _, err := Resize(c.m, c.width, c.height, c.f); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

func noise(width, height int) *Image {
	m := NewImage(width, height)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Uint32())
	}
	return m
}

func BenchmarkResize(b *testing.B) {
	m := noise(4000, 3000)
	for f := range Filter(len(filters)) {
		b.Run(f.String(), func(b *testing.B) {
			b.SetBytes(int64(len(m.Pix)))
			for b.Loop() {
				if _, err := Resize(m, 224, 224, f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeJPEG(b *testing.B) {
	data := encodeJPEG(b, 4000, 3000)
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(data), Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStandardJPEG is package image/jpeg alone, for comparison.
func BenchmarkStandardJPEG(b *testing.B) {
	data := encodeJPEG(b, 4000, 3000)
	for b.Loop() {
		if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

// encodeJPEG returns a photograph-like image: smooth, with a little noise.
func encodeJPEG(b *testing.B, width, height int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := 0; i < len(m.Pix); i += 4 {
		x, y := float64(i/4%width), float64(i/4/width)
		v := 120 + 80*math.Sin(x/61+y/173) + 8*r.NormFloat64()
		m.Pix[i], m.Pix[i+1], m.Pix[i+2], m.Pix[i+3] = uint8(v), uint8(v*0.8), uint8(255-v), 255
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
