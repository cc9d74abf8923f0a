package vision

import (
	"fmt"
	"image"
)

// fillYCbCr converts a JPEG's planes. Subsampled chroma is interpolated with the weights 3/4
// and 1/4 as libjpeg's "fancy upsampling" does, where the Go image packages repeat each
// sample; the roundings are libjpeg's.
func (m *Image) fillYCbCr(s *image.YCbCr) {
	up := newUpsampler(m.Width, m.Height, s)
	for y := range m.Height {
		cb, cr := up.row(s.Cb, y, 0), up.row(s.Cr, y, 1)
		jfif.row(m.row(y), s.Y[y*s.YStride:][:m.Width], cb, cr)
	}
}

// An upsampler widens rows of a chroma plane to the image's full resolution.
type upsampler struct {
	width, stride int
	cw, ch        int // size of the chroma planes
	sx, sy        int // pixels per chroma sample
	sums          []int32
	out           [2][]uint8
}

func newUpsampler(width, height int, s *image.YCbCr) *upsampler {
	u := &upsampler{width: width, stride: s.CStride, sx: 1, sy: 1}
	switch s.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		u.sx = 2
	case image.YCbCrSubsampleRatio420:
		u.sx, u.sy = 2, 2
	case image.YCbCrSubsampleRatio440:
		u.sy = 2
	case image.YCbCrSubsampleRatio411:
		u.sx = 4
	case image.YCbCrSubsampleRatio410:
		u.sx, u.sy = 4, 2
	}
	u.cw, u.ch = (width+u.sx-1)/u.sx, (height+u.sy-1)/u.sy
	u.sums = make([]int32, u.cw)
	for i := range u.out {
		u.out[i] = make([]uint8, u.cw*u.sx)
	}
	return u
}

// line returns row y of a chroma plane, the nearest one if y is outside.
func (u *upsampler) line(plane []uint8, y int) []uint8 {
	return plane[max(0, min(y, u.ch-1))*u.stride:][:u.cw]
}

// row returns the samples of plane for the image's row y. The result is valid until the next
// call with the same buffer number.
func (u *upsampler) row(plane []uint8, y, buffer int) []uint8 {
	near := u.line(plane, y/u.sy)
	out := u.out[buffer]
	switch {
	case u.sx == 1 && u.sy == 1:
		return near[:u.width]
	case u.sx == 4 || u.sx == 2 && u.cw < 3: // libjpeg repeats samples here
		for x := range out {
			out[x] = near[x/u.sx]
		}
		return out[:u.width]
	case u.sy == 1:
		for x, v := range near {
			u.sums[x] = int32(v)
		}
		widen(out, u.sums, 1, 2, 2)
		return out[:u.width]
	}
	far, round := u.line(plane, y/2-1), int32(1)
	if y&1 == 1 {
		far, round = u.line(plane, y/2+1), 2
	}
	for x, v := range near {
		u.sums[x] = 3*int32(v) + int32(far[x])
	}
	if u.sx == 1 {
		for x, v := range u.sums {
			out[x] = uint8((v + round) >> 2)
		}
		return out[:u.width]
	}
	widen(out, u.sums, 8, 7, 4)
	return out[:u.width]
}

// widen doubles a row: each result is 3/4 of the nearer and 1/4 of the other neighbour,
// divided by 1<<shift after adding a rounding term that alternates.
func widen(out []uint8, in []int32, left, right int32, shift uint) {
	out = out[:2*len(in)]
	before, v := in[0], in[0]
	for x := range in {
		after := v
		if x+1 < len(in) {
			after = in[x+1]
		}
		out[2*x] = uint8((3*v + before + left) >> shift)
		out[2*x+1] = uint8((3*v + after + right) >> shift)
		before, v = v, after
	}
}

// jfif is the full-range YCbCr of JFIF as libjpeg computes it: each component's contribution
// to each colour with 16 bits of fraction, rounding included.
var jfif = newYCCTable()

type yccTable struct{ crR, crG, cbG, cbB [256]int32 }

func newYCCTable() *yccTable {
	const half = 1 << 15
	t := new(yccTable)
	for i := range t.crR {
		x := int32(i) - 128
		t.crR[i] = 91881*x + half  // 1.402
		t.crG[i] = -46802*x + half // 0.71414
		t.cbG[i] = -22554 * x      // 0.34414
		t.cbB[i] = 116130*x + half // 1.772
	}
	return t
}

// row converts one row of pixels.
func (t *yccTable) row(dst, y, cb, cr []uint8) {
	cb, cr = cb[:len(y)], cr[:len(y)]
	dst = dst[:3*len(y)]
	for x, v := range y {
		l, u, w := int32(v), cb[x], cr[x]
		p := dst[3*x : 3*x+3 : 3*x+3]
		p[0] = clip8(l + t.crR[w]>>16)
		p[1] = clip8(l + (t.cbG[u]+t.crG[w])>>16)
		p[2] = clip8(l + t.cbB[u]>>16)
	}
}

// clip8 limits v to 0..255.
func clip8(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31))
	}
	return uint8(v)
}

// fillWebP converts a decoded WebP image. Lossy WebP is studio range (luma 16 to 235), which
// package image's conversion of YCbCr does not know.
func (m *Image) fillWebP(src image.Image) error {
	if b := src.Bounds(); b.Dx() != m.Width || b.Dy() != m.Height {
		return fmt.Errorf("the image has %d x %d pixels, its header says %d x %d", b.Dx(), b.Dy(), m.Width, m.Height)
	}
	switch s := src.(type) {
	case *image.YCbCr:
		m.fillVP8(s)
	case *image.NYCbCrA:
		m.fillVP8(&s.YCbCr)
	default:
		return m.fill(src)
	}
	return nil
}

// fillVP8 converts the planes of lossy WebP (4:2:0) with the interpolation and rounding of
// libwebp's default upsampler: weights 9, 3, 3, 1 of 16, halved in two steps.
func (m *Image) fillVP8(s *image.YCbCr) {
	up := newUpsampler(m.Width, m.Height, s)
	for y := range m.Height {
		other := y/2 - 1 + y&1*2
		cb, cr := up.out[0], up.out[1]
		widenVP8(cb, up.line(s.Cb, y/2), up.line(s.Cb, other))
		widenVP8(cr, up.line(s.Cr, y/2), up.line(s.Cr, other))
		vp8Row(m.row(y), s.Y[y*s.YStride:][:m.Width], cb, cr)
	}
}

// widenVP8 doubles a row of chroma, given the nearer and the farther row.
func widenVP8(out, near, far []uint8) {
	n := len(near)
	edge := func(x int) uint8 { return uint8((3*int(near[x]) + int(far[x]) + 2) >> 2) }
	out[0], out[2*n-1] = edge(0), edge(n-1)
	for x := 1; x < n; x++ {
		a, b, c, d := int(near[x-1]), int(near[x]), int(far[x-1]), int(far[x])
		sum := a + b + c + d + 8
		out[2*x-1] = uint8(((sum+2*(b+c))>>3 + a) >> 1)
		out[2*x] = uint8(((sum+2*(a+d))>>3 + b) >> 1)
	}
}

// vp8Row is libwebp's conversion: BT.601, 14 bits, each product truncated to 6 bits of
// fraction.
func vp8Row(dst, y, cb, cr []uint8) {
	cb, cr = cb[:len(y)], cr[:len(y)]
	dst = dst[:3*len(y)]
	for x, v := range y {
		l, u, w := int32(v)*19077>>8, int32(cb[x]), int32(cr[x])
		p := dst[3*x : 3*x+3 : 3*x+3]
		p[0] = clip8((l + w*26149>>8 - 14234) >> 6)
		p[1] = clip8((l - u*6419>>8 - w*13320>>8 + 8708) >> 6)
		p[2] = clip8((l + u*33050>>8 - 17685) >> 6)
	}
}
