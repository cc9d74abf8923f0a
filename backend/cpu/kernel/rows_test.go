package kernel

import (
	"fmt"
	"math"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// same reports whether two numbers are equal or both NaN.
func same(a, b float32) bool { return a == b || a != a && b != b }

// special returns n normal elements with some NaN, Inf and zeros among them.
func (a arena) special(n int) []float32 {
	x := a.normal(n)
	for i := range x {
		switch a.rng.IntN(12) {
		case 0:
			x[i] = []float32{nan, inf, -inf, 0}[a.rng.IntN(4)]
		}
	}
	return x
}

// everySize runs f for every Set and size.
func everySize(t *testing.T, f func(a arena, s *Set, n int)) {
	everySet(t, func(a arena, s *Set) {
		for _, n := range sizes {
			a.step(fmt.Sprintf("n=%d", n), func(a arena) { f(a, s, n) })
		}
	})
}

// within fails unless dst[i] is within ulps of want(i), everywhere.
func (a arena) within(what string, dst []float32, ulps float64, want func(i int) float64) {
	a.t.Helper()
	for i, got := range dst {
		if e := ulpError(got, want(i)); !(e <= ulps) {
			a.t.Fatalf("%s: element %d of %d is %g, want %g: %g ulp", what, i, len(dst), got, want(i), e)
		}
	}
}

// ulpError returns the distance of got from want in units of the last place of
// want as an f32; 0 if both are NaN or the same infinity, else +Inf.
func ulpError(got float32, want float64) float64 {
	if same(got, float32(want)) {
		if f := float64(got); f != f || math.IsInf(f, 0) {
			return 0
		}
	}
	if got != got || math.IsNaN(want) || math.IsInf(want, 0) {
		return math.Inf(1)
	}
	exponent := max(math.Ilogb(want), -126)
	if want == 0 {
		exponent = -126
	}
	if got32 := float64(got); math.IsInf(got32, 0) {
		return (math.Abs(want) - 0x1p128) / 0x1p104 // only right if want rounds to Inf as well
	}
	return math.Abs(float64(got)-want) / math.Ldexp(1, exponent-23)
}

func TestElementwise(t *testing.T) {
	everySize(t, func(a arena, s *Set, n int) {
		x, y := a.special(n), a.special(n)
		const c = 1.625
		for _, f := range []struct {
			name string
			run  func(dst, x, y []float32)
			want func(x, y float32) float32
		}{
			{"Add", s.Add, func(x, y float32) float32 { return x + y }},
			{"Sub", s.Sub, func(x, y float32) float32 { return x - y }},
			{"Mul", s.Mul, func(x, y float32) float32 { return x * y }},
			{"Div", s.Div, func(x, y float32) float32 { return x / y }},
			{"Max", s.Max, func(x, y float32) float32 { return max(x, y) }},
			{"Min", s.Min, func(x, y float32) float32 { return min(x, y) }},
			{"AddScalar", func(dst, x, _ []float32) { s.AddScalar(dst, x, c) }, func(x, _ float32) float32 { return x + c }},
			{"MulScalar", func(dst, x, _ []float32) { s.MulScalar(dst, x, c) }, func(x, _ float32) float32 { return x * c }},
		} {
			// Into a third slice, over the first operand, over the second.
			for alias := range 3 {
				dst, x1, y1 := a.filled(n, sentinel), a.clone(x), a.clone(y)
				switch alias {
				case 1:
					dst = x1
				case 2:
					dst = y1
					if f.name == "AddScalar" || f.name == "MulScalar" {
						continue
					}
				}
				f.run(dst, x1, y1)
				for i := range dst {
					if want := f.want(x[i], y[i]); !same(dst[i], want) {
						a.t.Fatalf("%s: element %d of %d, x %g, y %g: got %g, want %g", f.name, i, n, x[i], y[i], dst[i], want)
					}
				}
			}
		}
	})
}

// clone returns a copy of x in a guarded buffer.
func (a arena) clone(x []float32) []float32 {
	c := a.floats(len(x))
	copy(c, x)
	return c
}

func TestAxpy(t *testing.T) {
	everySize(t, func(a arena, s *Set, n int) {
		x, y := a.normal(n), a.normal(n)
		dst := a.clone(y)
		s.Axpy(dst, -1.3, x)
		const c = float32(-1.3)
		for i := range dst {
			v := float64(c) * float64(x[i])
			a.near("Axpy", dst[i], float64(y[i])+v, math.Abs(float64(y[i]))+math.Abs(v), 1)
		}
	})
}

func TestReductions(t *testing.T) {
	everySize(t, func(a arena, s *Set, n int) {
		x, y := a.normal(n), a.normal(n)
		want, total := product(x, 1, y, 1, n)
		a.near("Dot", s.Dot(x, y), want, total, n)

		var sum, abs, squares float64
		const mean = float32(0.375)
		for _, f := range x {
			sum += float64(f)
			abs += math.Abs(float64(f))
			d := float64(f) - float64(mean)
			squares += d * d
		}
		a.near("Sum", s.Sum(x), sum, abs, n)
		both, total := sum, abs
		for i := range y {
			both += float64(y[i])
			total += math.Abs(float64(y[i]))
		}
		a.near("AddSum", s.AddSum(x, y), both, total, 2*n)
		a.near("SumSquares", s.SumSquares(x, mean), squares, 2*squares, n)

		check := func() {
			best, at := float32(math.Inf(-1)), -1
			for i, f := range x {
				if at < 0 || f > best || f != f {
					best, at = f, i
				}
				if f != f {
					break
				}
			}
			if got := s.MaxOf(x); !same(got, best) {
				a.t.Fatalf("MaxOf %d elements is %g, want %g", n, got, best)
			}
			if got := s.ArgMax(x); got != at {
				a.t.Fatalf("ArgMax of %d elements is %d, want %d", n, got, at)
			}
		}
		check()
		if n == 0 {
			return
		}
		x[n-1] = 77
		check()
		x[n/2] = 77 // a tie: the first counts
		check()
		x[n/3] = inf
		check()
		x[n/2], x[n-1] = nan, nan
		check()
		for i := range x {
			x[i] = -inf
		}
		check()
		x[0] = nan
		check()
	})
}

func TestExpSum(t *testing.T) {
	everySize(t, func(a arena, s *Set, n int) {
		x := a.normal(n)
		if n > 3 {
			x[1], x[n-1] = -inf, -200
		}
		for _, inPlace := range []bool{false, true} {
			src, dst := a.clone(x), a.filled(n, sentinel)
			if inPlace {
				dst = src
			}
			const max = 2.5
			sum := s.ExpSum(dst, src, max)
			var want float64
			for i := range dst {
				e := math.Exp(float64(x[i] - max))
				if ulpError(dst[i], e) > 2 {
					a.t.Fatalf("exp(%g-%g) is %g, want %g", x[i], float32(max), dst[i], e)
				}
				want += e
			}
			a.near("ExpSum", sum, want, 2*want, n)
		}
	})
}

func TestRotate(t *testing.T) {
	everySize(t, func(a arena, s *Set, h int) {
		x, cos, sin := a.normal(2*h), a.normal(h), a.normal(h)
		for _, inPlace := range []bool{false, true} {
			src, dst := a.clone(x), a.filled(2*h, sentinel)
			if inPlace {
				dst = src
			}
			s.Rotate(dst, src, cos, sin)
			for i := range h {
				x0, x1, c, s := float64(x[i]), float64(x[i+h]), float64(cos[i]), float64(sin[i])
				a.near("first half", dst[i], x0*c-x1*s, math.Abs(x0*c)+math.Abs(x1*s), 2)
				a.near("second half", dst[i+h], x1*c+x0*s, math.Abs(x1*c)+math.Abs(x0*s), 2)
			}
		}
	})
}

func TestNorm(t *testing.T) {
	everySize(t, func(a arena, s *Set, n int) {
		x, weight := a.normal(n), a.normal(n)
		const mean, scale = float32(0.25), float32(1.7)
		for _, bias := range [][]float32{nil, a.normal(n)} {
			for _, inPlace := range []bool{false, true} {
				src, dst := a.clone(x), a.filled(n, sentinel)
				if inPlace {
					dst = src
				}
				s.Norm(dst, src, mean, scale, weight, bias)
				for i := range dst {
					want := (float64(x[i]) - float64(mean)) * float64(scale) * float64(weight[i])
					total := 2 * math.Abs(want)
					if bias != nil {
						want += float64(bias[i])
						total += math.Abs(float64(bias[i]))
					}
					a.near("Norm", dst[i], want, total, 2)
				}
			}
		}
	})
}
