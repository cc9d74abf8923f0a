package vision

import "fmt"

// Resize returns the image at a new size, bit for bit as Pillow's Image.resize does for RGB: a
// separable filter, antialiased when shrinking, rounded to 8 bits between the passes. An image
// of the wanted size is returned as it is.
func Resize(m *Image, width, height int, f Filter) (*Image, error) {
	if err := m.valid(); err != nil {
		return nil, err
	}
	if !f.valid() {
		return nil, fmt.Errorf("unknown resampling filter %d, want 0 to %d", int(f), len(filters)-1)
	}
	if width <= 0 || height <= 0 {
		return nil, fmt.Errorf("cannot resize to %d x %d pixels", width, height)
	}
	if m.Width == width && m.Height == height {
		return m, nil
	}
	if f == Nearest {
		return nearest(m, width, height), nil
	}
	// Pillow 13 takes the vertical pass first where that saves work.
	if less := m.Height - height; less > 0 && less > 2*(m.Width-width) {
		return resizeWidth(resizeHeight(m, height, f), width, f), nil
	}
	return resizeHeight(resizeWidth(m, width, f), height, f), nil
}

// resizeWidth is the horizontal pass.
func resizeWidth(m *Image, width int, f Filter) *Image {
	if m.Width == width {
		return m
	}
	columns := f.weights(m.Width, width)
	out := NewImage(width, m.Height)
	for y := range out.Height {
		src, dst := m.row(y), out.row(y)
		for i := range columns {
			t := &columns[i]
			var r, g, b int32 = 1 << (fractionBits - 1), 1 << (fractionBits - 1), 1 << (fractionBits - 1)
			p := src[t.first*3:]
			p = p[:len(t.weight)*3]
			for _, w := range t.weight {
				r += int32(p[0]) * w
				g += int32(p[1]) * w
				b += int32(p[2]) * w
				p = p[3:]
			}
			d := dst[i*3 : i*3+3 : i*3+3]
			d[0], d[1], d[2] = clip8(r>>fractionBits), clip8(g>>fractionBits), clip8(b>>fractionBits)
		}
	}
	return out
}

// resizeHeight is the vertical pass.
func resizeHeight(m *Image, height int, f Filter) *Image {
	if m.Height == height {
		return m
	}
	out := NewImage(m.Width, height)
	sums := make([]int32, m.Width*3)
	for y, t := range f.weights(m.Height, height) {
		for i := range sums {
			sums[i] = 1 << (fractionBits - 1)
		}
		for k, w := range t.weight {
			src := m.row(t.first + k)[:len(sums)]
			for i, v := range src {
				sums[i] += int32(v) * w
			}
		}
		dst := out.row(y)[:len(sums)]
		for i, v := range sums {
			dst[i] = clip8(v >> fractionBits)
		}
	}
	return out
}

// nearest picks the pixel under each centre. Centres are added up, not multiplied, as Pillow
// does; the difference decides ties.
func nearest(m *Image, width, height int) *Image {
	columns := centers(m.Width, width)
	out := NewImage(width, height)
	for y, sy := range centers(m.Height, height) {
		src, dst := m.row(sy), out.row(y)
		for x, sx := range columns {
			copy(dst[x*3:x*3+3], src[sx*3:sx*3+3])
		}
	}
	return out
}

func centers(in, out int) []int {
	step := float64(in) / float64(out)
	at := make([]int, out)
	c := step * 0.5
	for i := range at {
		at[i] = min(int(c), in-1)
		c += step
	}
	return at
}
