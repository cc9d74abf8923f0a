package kernel

import (
	"fmt"
	"math"
	"testing"
)

// functions lists the transcendental functions with their definition in
// float64 and the error allowed, in ulp of the f32 result.
var functions = []struct {
	name string
	of   func(s *Set) func(dst, x []float32)
	want func(x float64) float64
	ulps float64
}{
	{"Exp", func(s *Set) func(dst, x []float32) { return s.Exp }, math.Exp, 2},
	{"Tanh", func(s *Set) func(dst, x []float32) { return s.Tanh }, math.Tanh, 2},
	{"Erf", func(s *Set) func(dst, x []float32) { return s.Erf }, math.Erf, 2},
	{"SiLU", func(s *Set) func(dst, x []float32) { return s.SiLU }, wantSiLU, 3},
	{"GELU", func(s *Set) func(dst, x []float32) { return s.GELU }, func(x float64) float64 {
		if math.IsInf(x, -1) {
			return 0
		}
		return x / 2 * math.Erfc(-x/math.Sqrt2)
	}, 4},
	{"GELUTanh", func(s *Set) func(dst, x []float32) { return s.GELUTanh }, func(x float64) float64 {
		if math.IsInf(x, -1) {
			return 0
		}
		u := math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x)
		return x / (1 + math.Exp(-2*u))
	}, 3},
}

func wantSiLU(x float64) float64 {
	if math.IsInf(x, -1) {
		return 0
	}
	return x / (1 + math.Exp(-x))
}

// TestTranscendental walks through all of f32 in steps of a prime number of
// bit patterns and densely through the range where the functions move.
func TestTranscendental(t *testing.T) {
	var x []float32
	for bits := uint64(0); bits < 1<<32; bits += 8191 {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	for i := range 1 << 18 {
		x = append(x, float32(i-1<<17)*(110./(1<<17)), float32(i-1<<17)*(6./(1<<17)))
	}
	x = append(x, 0, float32(math.Copysign(0, -1)), 1, -1, inf, -inf, nan, 0x1p-149, -0x1p-149, 0x1p-126, math.MaxFloat32, -math.MaxFloat32,
		88.72283, 88.72284, -87.33654, -87.33655, -103.97207, -103.97208, -104)
	for _, s := range All() {
		for _, f := range functions {
			t.Run(s.Name+"/"+f.name, func(t *testing.T) {
				got := make([]float32, len(x))
				f.of(s)(got, x)
				var worst float64
				var at int
				for i := range x {
					if e := ulpError(got[i], f.want(float64(x[i]))); e > worst {
						worst, at = e, i
					}
				}
				t.Logf("largest error %.3f ulp, at %g", worst, x[at])
				if worst > f.ulps {
					t.Errorf("%s(%g) is %g, want %g: %.3f ulp", f.name, x[at], got[at], f.want(float64(x[at])), worst)
				}
			})
		}
	}
}

// TestTranscendentalSizes checks tails, and that dst may be x.
func TestTranscendentalSizes(t *testing.T) {
	everySize(t, func(a arena, s *Set, n int) {
		x := a.special(n)
		for _, f := range functions {
			for _, inPlace := range []bool{false, true} {
				src, dst := a.clone(x), a.filled(n, sentinel)
				if inPlace {
					dst = src
				}
				f.of(s)(dst, src)
				a.within(f.name, dst, f.ulps, func(i int) float64 { return f.want(float64(x[i])) })
			}
		}
	})
}

func TestSwiGLU(t *testing.T) {
	everySize(t, func(a arena, s *Set, n int) {
		gate, up := a.special(n), a.special(n)
		for alias := range 3 {
			g, u, dst := a.clone(gate), a.clone(up), a.filled(n, sentinel)
			switch alias {
			case 1:
				dst = g
			case 2:
				dst = u
			}
			s.SwiGLU(dst, g, u)
			a.within(fmt.Sprintf("SwiGLU %d", alias), dst, 4, func(i int) float64 {
				return wantSiLU(float64(gate[i])) * float64(up[i])
			})
		}
	})
}
