package kernel

import "math"

// The portable transcendental functions compute in float64 and round once:
// correctly rounded but for the rarest ties, subnormal results included.

func exp(dst, x []float32) {
	for i, f := range x[:len(dst)] {
		dst[i] = float32(math.Exp(float64(f)))
	}
}

func expSum(dst, x []float32, max float32) float32 {
	var s float32
	for i, f := range x[:len(dst)] {
		dst[i] = float32(math.Exp(float64(f - max)))
		s += dst[i]
	}
	return s
}

func tanh(dst, x []float32) {
	for i, f := range x[:len(dst)] {
		dst[i] = float32(math.Tanh(float64(f)))
	}
}

func erf(dst, x []float32) {
	for i, f := range x[:len(dst)] {
		dst[i] = float32(math.Erf(float64(f)))
	}
}

// sigmoidTimes returns a·sigmoid(b). Both grow together: where b is -Inf the
// limit is zero.
func sigmoidTimes(a, b float64) float64 {
	if math.IsInf(b, -1) {
		return math.Copysign(0, -1)
	}
	return a / (1 + math.Exp(-b))
}

func silu(dst, x []float32) {
	for i, f := range x[:len(dst)] {
		dst[i] = float32(sigmoidTimes(float64(f), float64(f)))
	}
}

func swiGLU(dst, gate, up []float32) {
	gate, up = gate[:len(dst)], up[:len(dst)]
	for i, f := range gate {
		dst[i] = float32(sigmoidTimes(float64(f), float64(f))) * up[i]
	}
}

// gelu uses the complementary error function, which keeps the left tail exact.
func gelu(dst, x []float32) {
	for i, f := range x[:len(dst)] {
		x := max(float64(f), -40) // -Inf times zero would be NaN
		dst[i] = float32(x * 0.5 * math.Erfc(-x/math.Sqrt2))
	}
}

// geluTanh uses ½(1 + tanh u) = sigmoid(2u).
func geluTanh(dst, x []float32) {
	c := 2 * math.Sqrt(2/math.Pi)
	for i, f := range x[:len(dst)] {
		x := float64(f)
		dst[i] = float32(sigmoidTimes(x, c*(x+0.044715*x*x*x)))
	}
}
