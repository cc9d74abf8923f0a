package audio

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"
)

// TestSpectrum compares with the definition of the discrete Fourier transform.
func TestSpectrum(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{4, 8, 16, 20, 32, 40, 64, 80, 100, 128, 320, 400, 512, 1000, 1024} {
		s, err := newSpectrum(n)
		if err != nil {
			t.Fatal(err)
		}
		frame, window := make([]float32, n), make([]float64, n)
		for i := range frame {
			frame[i], window[i] = float32(r.NormFloat64()), r.Float64()
		}
		got := make([]float64, n/2+1)
		s.power(got, frame, window)
		for k, v := range got {
			var x complex128
			for i := range frame {
				x += complex(float64(frame[i])*window[i], 0) * unitRoot(i*k, n)
			}
			want := cmplx.Abs(x) * cmplx.Abs(x)
			if math.Abs(v-want) > 1e-11*float64(n) {
				t.Fatalf("length %d, bin %d: power %g, want %g", n, k, v, want)
			}
		}
	}
	for _, n := range []int{0, 1, 2, 6, 10, 12, 402, -400} {
		if _, err := newSpectrum(n); err == nil {
			t.Errorf("length %d: no error", n)
		}
	}
}

func BenchmarkSpectrum(b *testing.B) {
	s, err := newSpectrum(400)
	if err != nil {
		b.Fatal(err)
	}
	frame, window, out := make([]float32, 400), make([]float64, 400), make([]float64, 201)
	for i := range frame {
		frame[i], window[i] = float32(i*i%37), 1
	}
	for b.Loop() {
		s.power(out, frame, window)
	}
}
