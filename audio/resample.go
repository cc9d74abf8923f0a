package audio

import (
	"fmt"
	"io"
	"math"
)

// A Resampler changes the sample rate of mono sound with a polyphase windowed-sinc filter
// (Kaiser window; Smith, "Digital Audio Resampling"). The pass band reaches to 0.9 of the
// lower rate's half (7.2 kHz at 16 kHz), the stop band starts at that half, 110 dB down. The
// filter is linear in phase and its delay is taken out: output k belongs to the time of input
// k*from/to. Each output is computed from the same inputs in the same order however the sound
// is cut into reads.
//
// It implements SampleReader.
type Resampler struct {
	src SampleReader
	filterBank
	step, stepPhase int // input samples per output: step + stepPhase/up
	down            int

	buf   []float32 // inputs base .. base+len(buf)-1; zeros stand before the first
	base  int       // negative at the start
	n     int       // inputs read
	err   error     // what ended src, nil before
	at    int       // input sample at or before output next
	phase int       // distance from there, in 1/up of an input sample
	next  int       // output that comes next
	empty int       // reads in a row that yielded nothing
}

// A filterBank holds the filter's coefficients for fractions of an input sample: row p is the
// filter shifted by p/rows, reversed, so that an output is a dot product.
type filterBank struct {
	up   int // outputs fall on multiples of 1/up input samples
	taps int
	rows int       // up, or fewer and interpolated between neighbours
	bank []float32 // [rows or rows+1][taps]
}

// The rates that a Resampler takes, in Hz.
const (
	minRate = 1000
	maxRate = 1_000_000
)

// Resample starts a conversion of the sound that src yields between two rates in Hz.
func Resample(src SampleReader, from, to int) (*Resampler, error) {
	for _, rate := range []int{from, to} {
		if rate < minRate || rate > maxRate {
			return nil, fmt.Errorf("sample rate of %d Hz is not supported: want %d to %d", rate, minRate, maxRate)
		}
	}
	g := gcd(from, to)
	up, down := to/g, from/g
	r := &Resampler{src: src, filterBank: newFilterBank(from, to, up), step: down / up, stepPhase: down % up, down: down}
	r.base = 1 - r.taps/2
	r.buf = make([]float32, -r.base, r.taps+max(readSize, 2*r.step))
	return r, nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// maxCoefficients is the size up to which a bank has a row for every phase. Above, as for
// 44,101 Hz, fewer rows are interpolated.
const maxCoefficients = 1 << 18

// newFilterBank designs the filter with Kaiser's formulas for 110 dB.
func newFilterBank(from, to, up int) filterBank {
	const (
		attenuation = 110
		beta        = 0.1102 * (attenuation - 8.7)
		passBand    = 0.9
	)
	ratio := min(1, float64(to)/float64(from)) // the lower rate, in input rates
	transition := math.Pi * (1 - passBand) * ratio
	half := int(math.Ceil((attenuation - 7.95) / (2.285 * transition) / 2))
	f := filterBank{up: up, taps: 2 * half, rows: up}
	spare := 0
	if f.rows*f.taps > maxCoefficients {
		// Interpolating linearly between rows errs by (w/rows)^2/8 at frequency w, at most
		// pi*ratio: -130 dB with this many.
		f.rows, spare = max(32, int(2048*ratio)), 1
	}
	cutoff := (1 + passBand) / 2 * ratio
	f.bank = make([]float32, (f.rows+spare)*f.taps)
	row := make([]float64, f.taps)
	for p := range f.rows + spare {
		sum := 0.0
		for j := range row {
			t := float64(j-half+1) - float64(p)/float64(f.rows)
			row[j] = sinc(cutoff*t) * kaiser(t/float64(half), beta)
			sum += row[j]
		}
		for j, v := range row {
			f.bank[p*f.taps+j] = float32(v / sum)
		}
	}
	return f
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the window I0(beta sqrt(1-x^2)), not normalised, zero outside [-1, 1].
func kaiser(x, beta float64) float64 {
	if x < -1 || x > 1 {
		return 0
	}
	q := beta * beta * (1 - x*x) / 4
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-17*sum; k++ {
		term *= q / (k * k)
		sum += term
	}
	return sum
}

// Read fills dst with samples at the new rate. For n inputs there are n*to/from outputs in
// all, rounded to the nearest integer. After the last the error is what ended the source.
func (r *Resampler) Read(dst []float32) (int, error) {
	for i := range dst {
		if !r.ready() {
			if i > 0 {
				return i, nil
			}
			return 0, r.err
		}
		dst[i] = r.output(r.buf[r.at-r.taps/2+1-r.base:][:r.taps], r.phase)
		r.next++
		r.at, r.phase = r.at+r.step, r.phase+r.stepPhase
		if r.phase >= r.up {
			r.at, r.phase = r.at+1, r.phase-r.up
		}
	}
	return len(dst), nil
}

// ready reports whether there is a next output, after reading the inputs it needs.
func (r *Resampler) ready() bool {
	need := r.at + r.taps/2 + 1
	for r.err == nil && r.base+len(r.buf) < need {
		r.fill()
	}
	if r.err == nil {
		return true
	}
	if total := (2*r.n*r.up + r.down) / (2 * r.down); r.next >= total {
		return false
	}
	if missing := need - r.base - len(r.buf); missing > 0 {
		r.buf = append(r.buf, make([]float32, missing)...) // silence follows the end
	}
	return true
}

// fill drops inputs that no output needs any more and reads more.
func (r *Resampler) fill() {
	keep := min(r.at-r.taps/2+1, r.base+len(r.buf))
	r.buf = append(r.buf[:0], r.buf[keep-r.base:]...)
	r.base = keep
	used := len(r.buf)
	k, err := r.src.Read(r.buf[used:cap(r.buf)])
	r.buf, r.n, r.err = r.buf[:used+k], r.n+k, err
	if r.empty++; k > 0 {
		r.empty = 0
	} else if r.empty > 100 && err == nil {
		r.err = io.ErrNoProgress
	}
}

// output computes one sample.
func (f *filterBank) output(x []float32, phase int) float32 {
	if f.rows == f.up {
		return dot(f.bank[phase*f.taps:][:f.taps], x)
	}
	// phase/up of a sample is p + w rows.
	p, rest := phase*f.rows/f.up, phase*f.rows%f.up
	w := float32(rest) / float32(f.up)
	a := dot(f.bank[p*f.taps:][:f.taps], x)
	b := dot(f.bank[(p+1)*f.taps:][:f.taps], x)
	return a + float32(w*(b-a))
}

// dot is the inner product with eight running sums, which hide the latency of addition.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(a) >= 8 && len(b) >= 8 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		s4 += a[4] * b[4]
		s5 += a[5] * b[5]
		s6 += a[6] * b[6]
		s7 += a[7] * b[7]
		a, b = a[8:], b[8:]
	}
	for i := range a {
		s0 += a[i] * b[i]
	}
	return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
}
