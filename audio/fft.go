package audio

import (
	"fmt"
	"math"
	"math/cmplx"
)

// A spectrum computes power spectra of real frames of one length. The frame is read as complex
// numbers of half its length, transformed, and taken apart. The transform is Stockham's:
// decimation in frequency, self-sorting, one pass for each radix. It is f64: scalar f64 costs
// what f32 does, and quiet bins keep their digits.
type spectrum struct {
	passes []pass
	split  []complex128 // exp(-2 pi i k/n), k = 0 .. n/4
	a, b   []complex128 // work space, n/2 each
}

// A pass takes sub-transforms of length n*radix, of which there are stride, to radix times as
// many of length n.
type pass struct {
	radix, n, stride int
	twiddle          []complex128 // [n][radix-1], exp(-2 pi i p j/(n*radix))
}

// maxFrame bounds the frames that a configuration may ask for.
const maxFrame = 1 << 16

// newSpectrum plans frames of n samples; n/2 must have no prime factors but 2 and 5.
func newSpectrum(n int) (*spectrum, error) {
	unsupported := fmt.Errorf("frames of %d samples are not supported: want a multiple of 4 without prime factors but 2 and 5, such as 400", n)
	if n < 4 || n%4 != 0 || n > maxFrame {
		return nil, unsupported
	}
	s := &spectrum{a: make([]complex128, n/2), b: make([]complex128, n/2)}
	rest, stride := n/2, 1
	for _, radix := range []int{8, 5, 4, 2} {
		for rest > 1 && rest%radix == 0 {
			rest /= radix
			s.passes = append(s.passes, newPass(radix, rest, stride))
			stride *= radix
		}
	}
	if rest != 1 {
		return nil, unsupported
	}
	for k := range n/4 + 1 {
		s.split = append(s.split, unitRoot(k, n))
	}
	return s, nil
}

// clone returns a spectrum with work space of its own.
func (s *spectrum) clone() *spectrum {
	c := *s
	c.a, c.b = make([]complex128, len(s.a)), make([]complex128, len(s.b))
	return &c
}

func newPass(radix, n, stride int) pass {
	p := pass{radix: radix, n: n, stride: stride}
	for i := range n {
		for j := 1; j < radix; j++ {
			p.twiddle = append(p.twiddle, unitRoot(i*j, n*radix))
		}
	}
	return p
}

// unitRoot returns exp(-2 pi i k/n).
func unitRoot(k, n int) complex128 { return cmplx.Rect(1, -2*math.Pi*float64(k%n)/float64(n)) }

// power writes |X[k]|^2 for k = 0 .. n/2, where X is the discrete Fourier transform of frame
// times window, both of n samples.
func (s *spectrum) power(dst []float64, frame []float32, window []float64) {
	x, y := s.a, s.b
	frame, window = frame[:2*len(x)], window[:2*len(x)]
	for i := range x {
		x[i] = complex(float64(frame[2*i])*window[2*i], float64(frame[2*i+1])*window[2*i+1])
	}
	for i := range s.passes {
		p := &s.passes[i]
		switch p.radix {
		case 2:
			p.radix2(y, x)
		case 4:
			p.radix4(y, x)
		case 5:
			p.radix5(y, x)
		case 8:
			p.radix8(y, x)
		}
		x, y = y, x
	}
	s.takeApart(dst, x)
}

// takeApart turns the transform z of even + i odd samples into the power of X[k] = E[k] + w^k
// O[k], where E = (z[k] + conj z[-k])/2 and O = (z[k] - conj z[-k])/2i. Bins k and n/2-k come
// from the same pair.
func (s *spectrum) takeApart(dst []float64, z []complex128) {
	n := len(z)
	dst = dst[:n+1]
	even, odd := real(z[0]), imag(z[0])
	dst[0], dst[n] = (even+odd)*(even+odd), (even-odd)*(even-odd)
	for k := 1; k <= n/2; k++ {
		p, q := z[k], z[n-k]
		er, ei := real(p)+real(q), imag(p)-imag(q)
		or, oi := imag(p)+imag(q), real(q)-real(p)
		w := s.split[k]
		tr, ti := or*real(w)-oi*imag(w), or*imag(w)+oi*real(w)
		dst[k] = 0.25 * ((er+tr)*(er+tr) + (ei+ti)*(ei+ti))
		dst[n-k] = 0.25 * ((er-tr)*(er-tr) + (ei-ti)*(ei-ti))
	}
}

func timesMinusI(x complex128) complex128 { return complex(imag(x), -real(x)) }

func scale(f float64, x complex128) complex128 { return complex(f*real(x), f*imag(x)) }

func (p *pass) radix2(y, x []complex128) {
	s, half := p.stride, p.n*p.stride
	for i := range p.n {
		w := p.twiddle[i]
		a, b := x[i*s:][:s], x[i*s+half:][:s]
		y0, y1 := y[2*i*s:][:s], y[(2*i+1)*s:][:s]
		for q := range a {
			y0[q] = a[q] + b[q]
			y1[q] = (a[q] - b[q]) * w
		}
	}
}

func (p *pass) radix4(y, x []complex128) {
	s, quarter := p.stride, p.n*p.stride
	for i := range p.n {
		w := p.twiddle[3*i:][:3]
		x0, x1, x2, x3 := x[i*s:][:s], x[i*s+quarter:][:s], x[i*s+2*quarter:][:s], x[i*s+3*quarter:][:s]
		y0, y1, y2, y3 := y[4*i*s:][:s], y[(4*i+1)*s:][:s], y[(4*i+2)*s:][:s], y[(4*i+3)*s:][:s]
		for q := range x0 {
			a, b := x0[q]+x2[q], x0[q]-x2[q]
			c, d := x1[q]+x3[q], timesMinusI(x1[q]-x3[q])
			y0[q] = a + c
			y1[q] = (b + d) * w[0]
			y2[q] = (a - c) * w[1]
			y3[q] = (b - d) * w[2]
		}
	}
}

func (p *pass) radix5(y, x []complex128) {
	c1, s1 := math.Cos(2*math.Pi/5), math.Sin(2*math.Pi/5)
	c2, s2 := math.Cos(4*math.Pi/5), math.Sin(4*math.Pi/5)
	s, fifth := p.stride, p.n*p.stride
	for i := range p.n {
		w := p.twiddle[4*i:][:4]
		in, out := x[i*s:], y[5*i*s:]
		x0, x1, x2 := in[:s], in[fifth:][:s], in[2*fifth:][:s]
		x3, x4 := in[3*fifth:][:s], in[4*fifth:][:s]
		y0, y1, y2 := out[:s], out[s:][:s], out[2*s:][:s]
		y3, y4 := out[3*s:][:s], out[4*s:][:s]
		for q := range x0 {
			a, b := x1[q]+x4[q], timesMinusI(x1[q]-x4[q])
			c, d := x2[q]+x3[q], timesMinusI(x2[q]-x3[q])
			e := x0[q] + scale(c1, a) + scale(c2, c)
			f := x0[q] + scale(c2, a) + scale(c1, c)
			g := scale(s1, b) + scale(s2, d)
			h := scale(s2, b) - scale(s1, d)
			y0[q] = x0[q] + a + c
			if i == 0 {
				y1[q], y2[q], y3[q], y4[q] = e+g, f+h, f-h, e-g
				continue
			}
			y1[q] = (e + g) * w[0]
			y2[q] = (f + h) * w[1]
			y3[q] = (f - h) * w[2]
			y4[q] = (e - g) * w[3]
		}
	}
}

func (p *pass) radix8(y, x []complex128) {
	s, eighth := p.stride, p.n*p.stride
	for i := range p.n {
		w := p.twiddle[7*i:][:7]
		for q := range s {
			in, out := x[i*s+q:], y[8*i*s+q:]
			in, out = in[:7*eighth+1], out[:7*s+1]
			a0, b0 := in[0]+in[4*eighth], in[0]-in[4*eighth]
			a1, b1 := in[eighth]+in[5*eighth], in[eighth]-in[5*eighth]
			a2, b2 := in[2*eighth]+in[6*eighth], timesMinusI(in[2*eighth]-in[6*eighth])
			a3, b3 := in[3*eighth]+in[7*eighth], in[3*eighth]-in[7*eighth]
			// Even outputs: a transform of length 4 of the sums.
			c, d := a0+a2, a0-a2
			e, f := a1+a3, timesMinusI(a1-a3)
			out[0] = c + e
			out[2*s] = (d + f) * w[1]
			out[4*s] = (c - e) * w[3]
			out[6*s] = (d - f) * w[5]
			// Odd outputs: the differences, turned by multiples of 45 degrees.
			c, d = b0+b2, b0-b2
			t, u := scale(math.Sqrt2/2, b1-b3), scale(math.Sqrt2/2, timesMinusI(b1+b3))
			e, f = t+u, u-t
			out[s] = (c + e) * w[0]
			out[3*s] = (d + f) * w[2]
			out[5*s] = (c - e) * w[4]
			out[7*s] = (d - f) * w[6]
		}
	}
}
