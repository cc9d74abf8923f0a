package vision

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// Limits bounds what Decode accepts, so that a small file cannot ask for a large allocation. A
// zero field stands for its default.
type Limits struct {
	MaxBytes  int // encoded size; default 256 MiB
	MaxSide   int // width and height in pixels; default 65,535
	MaxPixels int // width times height; default 128 Mi
}

func (l Limits) withDefaults() Limits {
	if l.MaxBytes <= 0 {
		l.MaxBytes = 256 << 20
	}
	if l.MaxSide <= 0 {
		l.MaxSide = 65535
	}
	if l.MaxPixels <= 0 {
		l.MaxPixels = 128 << 20
	}
	return l
}

// Decode reads a PNG, JPEG, WebP or GIF image (its first frame), found by content and not by
// name, and returns it as Pillow's convert("RGB") does: alpha is dropped without blending,
// grey and palettes are expanded, 16-bit colours keep their high byte, 16-bit grey is clipped
// at 255, CMYK is converted without a colour profile. The EXIF orientation is applied.
//
// The size in the header is checked against the limits before pixels are decoded. Errors are
// one line and say what was found.
func Decode(r io.Reader, limits Limits) (*Image, error) {
	limits = limits.withDefaults()
	data, err := io.ReadAll(io.LimitReader(r, int64(limits.MaxBytes)+1))
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	if len(data) == 0 {
		return nil, errors.New("the image is empty (0 bytes)")
	}
	if len(data) > limits.MaxBytes {
		return nil, fmt.Errorf("the image file is larger than the limit of %d bytes", limits.MaxBytes)
	}
	format, known := sniff(data)
	if !known {
		return nil, fmt.Errorf("the file is %s: convert it to PNG or JPEG", format)
	}
	m, err := decode(data, format, limits)
	if err != nil {
		return nil, err
	}
	return m.orient(orientation(data, format)), nil
}

// codec is the pair of functions that an image package offers.
type codec struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

var codecs = map[string]codec{
	"png":  {png.DecodeConfig, png.Decode},
	"jpeg": {jpeg.DecodeConfig, jpeg.Decode},
	"webp": {webp.DecodeConfig, webp.Decode},
	"gif":  {gif.DecodeConfig, gif.Decode},
}

// decode checks the header and decodes. A panic of a decoder becomes an error.
func decode(data []byte, format string, limits Limits) (m *Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, damaged(format, fmt.Errorf("%v", p))
		}
	}()
	if format == "webp" && animated(data) {
		return nil, errors.New("the file is an animated WebP: convert one frame to PNG or JPEG")
	}
	c := codecs[format]
	cfg, err := c.config(bytes.NewReader(data))
	if err != nil {
		return nil, damaged(format, err)
	}
	w, h := cfg.Width, cfg.Height
	if w <= 0 || h <= 0 {
		return nil, fmt.Errorf("the %s image has no pixels (%d x %d)", format, w, h)
	}
	if w > limits.MaxSide || h > limits.MaxSide {
		return nil, fmt.Errorf("the image is %d x %d pixels, over the limit of %d a side", w, h, limits.MaxSide)
	}
	if h > limits.MaxPixels/w {
		return nil, fmt.Errorf("the image is %d x %d pixels, over the limit of %d pixels in all", w, h, limits.MaxPixels)
	}
	if format == "png" {
		data = withoutTransparency(data)
	}
	background := 0
	if format == "gif" {
		background = makeOpaque(data)
	}
	src, err := c.decode(bytes.NewReader(data))
	if unsupported := jpeg.UnsupportedError(""); errors.As(err, &unsupported) && format == "jpeg" {
		src, err = c.decode(withAdobeMarker(data))
	}
	if err != nil {
		return nil, damaged(format, err)
	}
	m = NewImage(w, h)
	if p, ok := src.(*image.Paletted); ok && format == "gif" { // a frame may be smaller than the canvas
		err = m.fillPaletted(p, background)
	} else if format == "webp" {
		err = m.fillWebP(src)
	} else {
		err = m.fill(src)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// damaged words a decoder's error; few of them tell a cut file from a wrong one.
func damaged(format string, err error) error {
	return fmt.Errorf("the %s image is truncated or damaged: %w", format, err)
}

// animated reports whether a WebP file has the animation flag of its VP8X chunk.
func animated(b []byte) bool {
	return len(b) > 20 && string(b[12:16]) == "VP8X" && b[20]&2 != 0
}

// withAdobeMarker inserts an APP14 segment that declares CMYK after the start of a JPEG.
// Package jpeg refuses four components without it, where libjpeg assumes this declaration.
func withAdobeMarker(data []byte) io.Reader {
	marker := []byte("\xff\xd8\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00")
	return io.MultiReader(bytes.NewReader(marker), bytes.NewReader(data[2:]))
}
