package vision

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"strings"
	"testing"
)

// TestProcessorAsTransformers compares with pixel values that transformers' processors
// computed on Pillow's pixels.
func TestProcessorAsTransformers(t *testing.T) {
	var data struct {
		Configs []json.RawMessage
		Cases   []struct {
			Config                int
			Image                 string
			Height, Width, Offset int
		}
	}
	if err := json.Unmarshal(read(t, "processors.json"), &data); err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(read(t, "processors.f32")))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for _, c := range data.Cases {
		p, err := LoadProcessor(data.Configs[c.Config])
		if err != nil {
			t.Fatal(err)
		}
		h, w := p.Size()
		if h != c.Height || w != c.Width {
			t.Fatalf("config %d: size %d x %d, want %d x %d", c.Config, h, w, c.Height, c.Width)
		}
		m, err := Decode(bytes.NewReader(read(t, c.Image)), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 3*h*w)
		for i := range got {
			got[i] = float32(math.NaN())
		}
		if err := p.Pixels(got, m); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			want := math.Float32frombits(binary.LittleEndian.Uint32(raw[(c.Offset+i)*4:]))
			d := math.Abs(float64(v - want))
			if !(d <= 1e-6*max(1, math.Abs(float64(want)))) {
				t.Fatalf("config %d, %s: element %d is %g, want %g", c.Config, c.Image, i, v, want)
			}
			worst = max(worst, d)
		}
	}
	t.Logf("%d cases, largest difference %g", len(data.Cases), worst)
}

func TestLoadProcessorErrors(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{`[`, "preprocessor_config.json"},
		{`{"image_processor_type": "DetrImageProcessor"}`, `"DetrImageProcessor" is not supported`},
		{`{"size": -1}`, "size is -1 x -1"},
		{`{"size": {"longest_edge": 5}}`, "longest_edge"},
		{`{"size": {"height": 100000, "width": 3}}`, "size is 100000 x 3"},
		{`{"size": {"shortest_edge": 5}}`, "do_center_crop"},
		{`{"size": {"shortest_edge": 5, "height": 6, "width": 6}}`, "want one of both"},
		{`{"size": "large"}`, "size"},
		{`{"do_resize": false}`, "do_center_crop"},
		{`{"resample": 9}`, "resample is 9"},
		{`{"do_center_crop": true}`, "crop_size is 0 x 0"},
		{`{"image_mean": [1, 2]}`, "image_mean has 2"},
		{`{"image_std": [1, 0, 1]}`, "image_std has a zero"},
		{`{"do_pad": true}`, "do_pad"},
	} {
		_, err := LoadProcessor([]byte(c.config))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.config, err, c.want)
		}
	}
}

func TestPixelsErrors(t *testing.T) {
	p, err := LoadProcessor([]byte(`{"size": {"shortest_edge": 100}, "do_center_crop": true, "crop_size": 8}`))
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float32, 3*8*8)
	if err := p.Pixels(dst[1:], NewImage(9, 9)); err == nil {
		t.Error("short buffer: no error")
	}
	if err := p.Pixels(dst, &Image{}); err == nil {
		t.Error("empty image: no error")
	}
	if err := p.Pixels(dst, NewImage(1, 1000)); err == nil || !strings.Contains(err.Error(), "too narrow") {
		t.Errorf("narrow image: error %v", err)
	}
}

func BenchmarkPixels(b *testing.B) {
	p, err := LoadProcessor([]byte(`{}`))
	if err != nil {
		b.Fatal(err)
	}
	m, dst := noise(1024, 768), make([]float32, 3*224*224)
	for b.Loop() {
		if err := p.Pixels(dst, m); err != nil {
			b.Fatal(err)
		}
	}
}
