package kernel

import (
	"encoding/binary"
	"math"
	"testing"
)

// TestConvertAll compares every 16-bit pattern, and f32 values on and beside
// every rounding boundary, with conversions done in float64.
func TestConvertAll(t *testing.T) {
	for h := range 1 << 16 {
		h := uint16(h)
		if got, want := fromFloat16(h), slowFloat16(h); !same(got, want) {
			t.Fatalf("float16 %#04x widens to %g, want %g", h, got, want)
		}
		for _, c := range []struct {
			name   string
			widen  func(uint16) float32
			narrow func(float32) uint16
		}{{"float16", fromFloat16, toFloat16}, {"bfloat16", fromBFloat16, toBFloat16}} {
			f := c.widen(h)
			if got := c.narrow(f); got != h && !(f != f && c.widen(got) != c.widen(got)) {
				t.Fatalf("%s %#04x widens to %g, which narrows to %#04x", c.name, h, f, got)
			}
			next := c.widen(h + 1)
			if f != f || next != next || math.Signbit(float64(f)) != math.Signbit(float64(next)) || math.IsInf(float64(next), 0) {
				continue
			}
			middle := float32((float64(f) + float64(next)) / 2)
			even := h + h&1
			if got := c.narrow(middle); got != even {
				t.Fatalf("%s: the middle of %#04x and its successor narrows to %#04x, want %#04x", c.name, h, got, even)
			}
			if got := c.narrow(math.Nextafter32(middle, f)); got != h {
				t.Fatalf("%s: just below the middle of %#04x narrows to %#04x", c.name, h, got)
			}
			if got := c.narrow(math.Nextafter32(middle, next)); got != h+1 {
				t.Fatalf("%s: just above the middle of %#04x narrows to %#04x", c.name, h, got)
			}
		}
	}
	for _, c := range []struct {
		f    float32
		f16  uint16
		bf16 uint16
	}{
		{65519.996, 0x7bff, 0x4780}, {65520, 0x7c00, 0x4780}, {-1e9, 0xfc00, 0xce6e}, {math.MaxFloat32, 0x7c00, 0x7f80},
		{inf, 0x7c00, 0x7f80}, {-inf, 0xfc00, 0xff80}, {0x1p-25, 0, 0x3300}, {0x1.000002p-25, 1, 0x3300}, {-0x1p-149, 0x8000, 0x8000},
	} {
		if got := toFloat16(c.f); got != c.f16 {
			t.Errorf("%g narrows to float16 %#04x, want %#04x", c.f, got, c.f16)
		}
		if got := toBFloat16(c.f); got != c.bf16 {
			t.Errorf("%g narrows to bfloat16 %#04x, want %#04x", c.f, got, c.bf16)
		}
	}
}

// slowFloat16 follows the definition of binary16.
func slowFloat16(h uint16) float32 {
	sign, exponent, fraction := 1-2*float64(h>>15), int(h>>10&31), float64(h&0x3ff)
	switch exponent {
	case 0:
		return float32(sign * math.Ldexp(fraction, -24))
	case 31:
		if fraction != 0 {
			return nan
		}
		return float32(sign * math.Inf(1))
	}
	return float32(sign * math.Ldexp(1024+fraction, exponent-25))
}

func TestWidenNarrow(t *testing.T) {
	everySize(t, func(a arena, s *Set, n int) {
		for _, d := range dtypes {
			x := a.special(n)
			for i := range x {
				if a.rng.IntN(3) == 0 { // any bit pattern at all
					x[i] = math.Float32frombits(a.rng.Uint32())
				}
			}
			want := make([]byte, n*d.dtype.size())
			d.dtype.narrow(want, x)
			got := guarded(a.t, len(want), a.atEnd)
			d.of(s).Narrow(got, x)
			if string(got) != string(want) {
				a.t.Fatalf("%s: Narrow of %g gives % x, want % x", d.name, x, got, want)
			}
			wide := a.filled(n, sentinel)
			d.of(s).Widen(wide, got)
			exact := make([]float32, n)
			d.dtype.widen(exact, want)
			for i := range wide {
				if math.Float32bits(wide[i]) != math.Float32bits(exact[i]) {
					a.t.Fatalf("%s: Widen gives %g, want %g", d.name, wide[i], exact[i])
				}
			}
		}
	})
}

// TestWidenAll widens every 16-bit pattern.
func TestWidenAll(t *testing.T) {
	src := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*i:], uint16(i))
	}
	got, want := make([]float32, 1<<16), make([]float32, 1<<16)
	for _, s := range All() {
		for _, d := range dtypes[1:] {
			d.of(s).Widen(got, src)
			d.dtype.widen(want, src)
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%s: %s %#04x widens to %g, want %g", s.Name, d.name, i, got[i], want[i])
				}
			}
		}
	}
}
