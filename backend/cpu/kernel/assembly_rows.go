//go:build (amd64 || arm64) && !noasm

package kernel

import "unsafe"

// rowLoops holds the assembly for rows of f32. Where indexOf, or all of the
// transcendental functions, are nil the portable ones stay in place.
type rowLoops struct {
	add, sub, mul, div, max, min func(dst, x, y *float32, n int)
	addScalar, mulScalar         func(dst, x *float32, y float32, n int)
	axpy                         func(dst *float32, a float32, x *float32, n int)
	dot, addSum                  func(x, y *float32, n int) float32
	sum                          func(x *float32, n int) float32
	sumSquares                   func(x *float32, mean float32, n int) float32
	maxOf                        func(x *float32, n int) float32
	indexOf                      func(x *float32, v float32, n int) int
	rotate                       func(dst, x, cos, sin *float32, h int)
	norm                         func(dst, x *float32, mean, scale float32, weight *float32, n int)
	normBias                     func(dst, x *float32, mean, scale float32, weight, bias *float32, n int)

	exp, tanh, erf, silu, gelu, geluTanh func(dst, x *float32, n int)
	swiGLU                               func(dst, gate, up *float32, n int)
	expSum                               func(dst, x *float32, max float32, n int) float32
}

// first returns the address of x's first element, after checking that x has n
// elements.
func first(x []float32, n int) *float32 { return unsafe.SliceData(x[:n]) }

func unary(f func(dst, x *float32, n int)) func(dst, x []float32) {
	return func(dst, x []float32) { f(first(dst, len(dst)), first(x, len(dst)), len(dst)) }
}

func pairwise(f func(dst, x, y *float32, n int)) func(dst, x, y []float32) {
	return func(dst, x, y []float32) {
		n := len(dst)
		f(first(dst, n), first(x, n), first(y, n), n)
	}
}

func withScalar(f func(dst, x *float32, y float32, n int)) func(dst, x []float32, y float32) {
	return func(dst, x []float32, y float32) { f(first(dst, len(dst)), first(x, len(dst)), y, len(dst)) }
}

// into replaces the functions of s.
func (l rowLoops) into(s *Set) {
	s.Add, s.Sub, s.Mul, s.Div = pairwise(l.add), pairwise(l.sub), pairwise(l.mul), pairwise(l.div)
	s.Max, s.Min = pairwise(l.max), pairwise(l.min)
	s.AddScalar, s.MulScalar = withScalar(l.addScalar), withScalar(l.mulScalar)
	s.Axpy = func(dst []float32, a float32, x []float32) {
		l.axpy(first(dst, len(dst)), a, first(x, len(dst)), len(dst))
	}
	s.Dot = func(x, y []float32) float32 { return l.dot(first(x, len(x)), first(y, len(x)), len(x)) }
	s.AddSum = func(x, y []float32) float32 { return l.addSum(first(x, len(x)), first(y, len(x)), len(x)) }
	s.Sum = func(x []float32) float32 { return l.sum(first(x, len(x)), len(x)) }
	s.SumSquares = func(x []float32, mean float32) float32 { return l.sumSquares(first(x, len(x)), mean, len(x)) }
	s.MaxOf = func(x []float32) float32 { return l.maxOf(first(x, len(x)), len(x)) }
	s.ArgMax = func(x []float32) int {
		p := first(x, len(x))
		best := l.maxOf(p, len(x))
		if l.indexOf == nil {
			return indexOf(x, best)
		}
		return l.indexOf(p, best, len(x))
	}
	s.Rotate = func(dst, x, cos, sin []float32) {
		h := len(x) / 2
		l.rotate(first(dst, 2*h), first(x, 2*h), first(cos, h), first(sin, h), h)
	}
	s.Norm = func(dst, x []float32, mean, scale float32, weight, bias []float32) {
		n := len(dst)
		if bias == nil {
			l.norm(first(dst, n), first(x, n), mean, scale, first(weight, n), n)
			return
		}
		l.normBias(first(dst, n), first(x, n), mean, scale, first(weight, n), first(bias, n), n)
	}
	if l.exp == nil {
		return
	}
	s.Exp, s.Tanh, s.Erf = unary(l.exp), unary(l.tanh), unary(l.erf)
	s.SiLU, s.GELU, s.GELUTanh = unary(l.silu), unary(l.gelu), unary(l.geluTanh)
	s.SwiGLU = pairwise(l.swiGLU)
	s.ExpSum = func(dst, x []float32, max float32) float32 {
		return l.expSum(first(dst, len(dst)), first(x, len(dst)), max, len(dst))
	}
}
