package audio

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"
)

// slice yields samples in pieces of the given size (0: as asked), then err.
type slice struct {
	x     []float32
	piece int
	err   error
}

func (s *slice) Read(dst []float32) (int, error) {
	if len(s.x) == 0 {
		return 0, s.err
	}
	if s.piece > 0 {
		dst = dst[:min(len(dst), s.piece)]
	}
	n := copy(dst, s.x)
	s.x = s.x[n:]
	return n, nil
}

// readAll reads in pieces of the given size until an error.
func readAll(r SampleReader, piece int) ([]float32, error) {
	var all []float32
	buf := make([]float32, piece)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			return all, err
		}
	}
}

func resample(t testing.TB, x []float32, from, to int) []float32 {
	t.Helper()
	r, err := Resample(&slice{x: x, err: io.EOF}, from, to)
	if err != nil {
		t.Fatal(err)
	}
	y, err := readAll(r, 4096)
	if err != io.EOF {
		t.Fatal(err)
	}
	return y
}

func sine(n int, frequency, rate float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.Sin(2 * math.Pi * frequency / rate * float64(i)))
	}
	return x
}

func decibel(ratio float64) float64 { return 20 * math.Log10(max(ratio, 1e-12)) }

// middle is y without the half second at either end where the signal begins and stops.
func middle(y []float32, rate int) []float32 { return y[rate/2 : len(y)-rate/2] }

// TestResamplePassBand checks gain, phase and distortion at once: up to 0.9 of the lower half
// rate the result must be the sine that the output rate samples at the same times.
func TestResamplePassBand(t *testing.T) {
	for _, c := range []struct{ from, to int }{
		{44100, 16000}, {48000, 16000}, {22050, 16000}, {8000, 16000}, {11025, 16000}, {32000, 16000},
		{96000, 16000}, {192000, 16000}, {44101, 16000}, {7999, 16000}, {16000, 44100}, {16000, 48000},
	} {
		t.Run(fmt.Sprint(c.from, "-", c.to), func(t *testing.T) {
			top := 0.45 * float64(min(c.from, c.to))
			ripple, residue := 0.0, math.Inf(-1)
			for _, part := range []float64{0.003, 0.1, 0.37, 0.5, 0.71, 0.83, 0.9, 0.97, 1} {
				f := part * top
				y := resample(t, sine(2*c.from, f, float64(c.from)), c.from, c.to)
				want := middle(sine(len(y), f, float64(c.to)), c.to)
				got := middle(y, c.to)
				dot, norm, err := 0.0, 0.0, 0.0
				for i, v := range got {
					w := float64(want[i])
					dot, norm = dot+float64(v)*w, norm+w*w
					err += (float64(v) - w) * (float64(v) - w)
				}
				ripple = max(ripple, math.Abs(decibel(dot/norm)))
				residue = max(residue, decibel(math.Sqrt(err/norm)))
			}
			t.Logf("ripple %.6f dB, deviation from the ideal sine %.1f dB", ripple, residue)
			if ripple > 0.001 || residue > -100 {
				t.Errorf("ripple %.6f dB (want 0.001), deviation %.1f dB (want -100)", ripple, residue)
			}
		})
	}
}

// TestResampleStopBand checks that sines from half the output rate up disappear, since all
// that is left of them is aliases.
func TestResampleStopBand(t *testing.T) {
	for _, from := range []int{44100, 48000, 22050, 32000, 96000, 192000, 44101} {
		t.Run(fmt.Sprint(from), func(t *testing.T) {
			worst := math.Inf(-1)
			for f := 8000.0; f < float64(from)/2; f += float64(from-16000) / 2 / 17.3 {
				y := middle(resample(t, sine(2*from, f, float64(from)), from, Rate), Rate)
				sum := 0.0
				for _, v := range y {
					sum += float64(v) * float64(v)
				}
				worst = max(worst, decibel(math.Sqrt(2*sum/float64(len(y)))))
			}
			t.Logf("loudest alias %.1f dB", worst)
			if worst > -100 {
				t.Errorf("loudest alias %.1f dB, want below -100", worst)
			}
		})
	}
}

// TestResampleImages checks the mirror images above the old half rate when the rate grows.
func TestResampleImages(t *testing.T) {
	const f = 3500.0
	y := middle(resample(t, sine(16000, f, 8000), 8000, Rate), Rate)
	re, im := 0.0, 0.0
	for i, v := range y {
		w := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(y)))
		s, c := math.Sincos(2 * math.Pi * (8000 - f) / Rate * float64(i))
		re, im = re+w*float64(v)*c, im+w*float64(v)*s
	}
	if level := decibel(math.Hypot(re, im) * 4 / float64(len(y))); level > -100 {
		t.Errorf("image at %.1f dB, want below -100", level)
	}
}

// TestResampleChunks checks that the sizes of reads do not change a bit.
func TestResampleChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	x := make([]float32, 30011)
	for i := range x {
		x[i] = r.Float32() - 0.5
	}
	for _, from := range []int{44100, 8000, 44101, 192000} {
		want := resample(t, x, from, Rate)
		if n := int(math.Floor(float64(len(x))*Rate/float64(from) + 0.5)); len(want) != n {
			t.Errorf("%d Hz: %d samples, want %d", from, len(want), n)
		}
		for _, piece := range []int{1, 7, 441, 20000} {
			rs, err := Resample(&slice{x: x, piece: piece, err: io.ErrUnexpectedEOF}, from, Rate)
			if err != nil {
				t.Fatal(err)
			}
			got, err := readAll(rs, piece%1000+1)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want the source's", err)
			}
			if len(got) != len(want) {
				t.Fatalf("%d Hz in pieces of %d: %d samples, want %d", from, piece, len(got), len(want))
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%d Hz in pieces of %d: sample %d is %g, want %g", from, piece, i, got[i], want[i])
				}
			}
		}
	}
}

func TestResampleEdges(t *testing.T) {
	if y := resample(t, nil, 44100, Rate); len(y) != 0 {
		t.Errorf("%d samples from none", len(y))
	}
	if y := resample(t, []float32{1}, 8000, Rate); len(y) != 2 {
		t.Errorf("%d samples from one, want 2", len(y))
	}
	if y := resample(t, []float32{1}, 192000, Rate); len(y) != 0 {
		t.Errorf("%d samples from one at 192 kHz, want none", len(y))
	}
	for _, c := range []struct{ from, to int }{{0, Rate}, {-1, Rate}, {Rate, 0}, {Rate, 2_000_000}} {
		if _, err := Resample(nil, c.from, c.to); err == nil {
			t.Errorf("%d to %d Hz: no error", c.from, c.to)
		}
	}
	r, err := Resample(&slice{x: nil, err: nil}, 44100, Rate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]float32, 1)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("source that yields nothing: error %v", err)
	}
}

func BenchmarkResample(b *testing.B) {
	for _, from := range []int{8000, 22050, 44100, 48000, 44101, 96000} {
		b.Run(fmt.Sprint(from), func(b *testing.B) {
			x := sine(10*from, 440, float64(from))
			for b.Loop() {
				resample(b, x, from, Rate)
			}
			b.ReportMetric(10*float64(b.N)/b.Elapsed().Seconds(), "x-real-time")
		})
	}
}
