package vision

import (
	"fmt"
	"image"
	"image/color"
)

// fill converts a decoded image of the PNG, JPEG or GIF decoder to RGB, with the rules of
// Pillow's convert("RGB"). The loops run over the decoder's own memory layout; no pixel passes
// through the color.Color interface.
func (m *Image) fill(src image.Image) error {
	b := src.Bounds()
	if b.Dx() != m.Width || b.Dy() != m.Height {
		return fmt.Errorf("the image has %d x %d pixels, its header says %d x %d", b.Dx(), b.Dy(), m.Width, m.Height)
	}
	switch s := src.(type) {
	case *image.YCbCr:
		m.fillYCbCr(s)
	case *image.Gray:
		m.fillRows(s.Pix, s.Stride, 1, func(p []uint8) (r, g, b uint8) { return p[0], p[0], p[0] })
	case *image.Gray16:
		m.fillRows(s.Pix, s.Stride, 2, func(p []uint8) (r, g, b uint8) {
			v := p[1]
			if p[0] != 0 { // Pillow clips 16-bit grey
				v = 255
			}
			return v, v, v
		})
	case *image.RGBA: // PNG and JPEG use it for opaque pixels only
		m.fillRGBX(s.Pix, s.Stride)
	case *image.NRGBA:
		m.fillRGBX(s.Pix, s.Stride)
	case *image.RGBA64:
		m.fillRows(s.Pix, s.Stride, 8, func(p []uint8) (r, g, b uint8) { return p[0], p[2], p[4] })
	case *image.NRGBA64:
		m.fillRows(s.Pix, s.Stride, 8, func(p []uint8) (r, g, b uint8) { return p[0], p[2], p[4] })
	case *image.Paletted:
		return m.fillPaletted(s, 0)
	case *image.CMYK:
		m.fillRows(s.Pix, s.Stride, 4, func(p []uint8) (r, g, b uint8) {
			white := 255 - int(p[3])
			return ink(white, p[0]), ink(white, p[1]), ink(white, p[2])
		})
	default:
		return fmt.Errorf("the decoder returned pixels of an unknown kind (%T)", src)
	}
	return nil
}

// fillRows converts pixels of the given bytes each, one at a time.
func (m *Image) fillRows(pix []uint8, stride, size int, rgb func(p []uint8) (r, g, b uint8)) {
	for y := range m.Height {
		dst, src := m.row(y), pix[y*stride:]
		for len(dst) >= 3 {
			dst[0], dst[1], dst[2] = rgb(src[:size:size])
			dst, src = dst[3:], src[size:]
		}
	}
}

// fillRGBX drops every fourth byte.
func (m *Image) fillRGBX(pix []uint8, stride int) {
	for y := range m.Height {
		dst, src := m.row(y), pix[y*stride:]
		for len(dst) >= 3 && len(src) >= 4 {
			dst[0], dst[1], dst[2] = src[0], src[1], src[2]
			dst, src = dst[3:], src[4:]
		}
	}
}

// ink removes c/255 of the white that the black ink leaves, rounded as Pillow rounds a product
// of two bytes.
func ink(white int, c uint8) uint8 {
	t := white*int(c) + 128
	return uint8(max(0, white-(t>>8+t)>>8))
}

// fillPaletted draws a palette image. A GIF frame smaller than its canvas is surrounded with
// the palette's entry background, as Pillow does.
func (m *Image) fillPaletted(p *image.Paletted, background int) error {
	if !p.Rect.In(image.Rect(0, 0, m.Width, m.Height)) {
		return fmt.Errorf("the frame %v lies outside the image of %d x %d pixels", p.Rect, m.Width, m.Height)
	}
	var table [256][3]uint8 // entries that the file lacks are black
	for i, c := range p.Palette {
		if c, ok := c.(color.RGBA); ok && i < len(table) {
			table[i] = [3]uint8{c.R, c.G, c.B}
		}
	}
	if p.Rect.Dx() != m.Width || p.Rect.Dy() != m.Height {
		for i := 0; i < len(m.Pix); i += 3 {
			copy(m.Pix[i:i+3], table[background&255][:])
		}
	}
	for y := p.Rect.Min.Y; y < p.Rect.Max.Y; y++ {
		dst := m.row(y)[p.Rect.Min.X*3 : p.Rect.Max.X*3]
		for _, i := range p.Pix[p.PixOffset(p.Rect.Min.X, y):][:p.Rect.Dx()] {
			copy(dst[:3], table[i][:])
			dst = dst[3:]
		}
	}
	return nil
}
