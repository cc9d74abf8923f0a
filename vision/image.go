// Package vision turns image files into the pixel tensors that vision models read: it decodes
// PNG, JPEG, WebP and GIF to RGB, resizes as Pillow does, and applies a checkpoint's
// preprocessor_config.json as transformers does.
package vision

import "fmt"

// Image holds 8-bit RGB pixels, row after row without padding: the pixel at column x and row y
// starts at Pix[(y*Width+x)*3].
type Image struct {
	Width, Height int
	Pix           []uint8
}

// NewImage returns a black image of the given size.
func NewImage(width, height int) *Image {
	return &Image{Width: width, Height: height, Pix: make([]uint8, width*height*3)}
}

// row returns the pixels of row y.
func (m *Image) row(y int) []uint8 {
	n := m.Width * 3
	return m.Pix[y*n : (y+1)*n : (y+1)*n]
}

// valid reports whether the size is positive and Pix has that many pixels.
func (m *Image) valid() error {
	if m.Width <= 0 || m.Height <= 0 || len(m.Pix) != m.Width*m.Height*3 {
		return fmt.Errorf("image of %d x %d pixels has %d bytes, want %d", m.Width, m.Height, len(m.Pix), m.Width*m.Height*3)
	}
	return nil
}

// orient returns the image turned and mirrored as the EXIF orientation says (TIFF 6.0, tag
// 274): 1 is upright, 2 to 4 keep the sides, 5 to 8 swap them.
func (m *Image) orient(orientation int) *Image {
	if orientation < 2 || orientation > 8 {
		return m
	}
	w, h := m.Width, m.Height
	// The source offset of the result's first pixel, and the steps to take in the source for
	// one column and for one row of the result.
	var start, dx, dy int
	first, right, down, last := 0, 1, w, w*h-1
	switch orientation {
	case 2: // mirrored
		start, dx, dy = w-1, -right, down
	case 3: // turned by 180 degrees
		start, dx, dy = last, -right, -down
	case 4: // upside down, mirrored
		start, dx, dy = w*(h-1), right, -down
	case 5: // transposed
		start, dx, dy = first, down, right
	case 6: // needs a quarter turn clockwise
		start, dx, dy = w*(h-1), -down, right
	case 7: // transposed about the other diagonal
		start, dx, dy = last, -down, -right
	case 8: // needs a quarter turn counter-clockwise
		start, dx, dy = w-1, down, -right
	}
	if orientation >= 5 {
		w, h = h, w
	}
	out := NewImage(w, h)
	for y := range h {
		dst, s := out.row(y), start+y*dy
		for x := 0; x < len(dst); x += 3 {
			copy(dst[x:x+3], m.Pix[s*3:s*3+3])
			s += dx
		}
	}
	return out
}
