package kernel

import "math"

// Each loop begins with slices of one length, so that the compiler drops the
// bounds checks inside it.

func add(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] + y[i]
	}
}

func sub(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] - y[i]
	}
}

func mul(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] * y[i]
	}
}

func div(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] / y[i]
	}
}

func addScalar(dst, x []float32, y float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = x[i] + y
	}
}

func mulScalar(dst, x []float32, y float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = x[i] * y
	}
}

func axpy(dst []float32, a float32, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += a * x[i]
	}
}

func maximum(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = max(x[i], y[i])
	}
}

func minimum(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = min(x[i], y[i])
	}
}

// dot keeps 8 sums, so that additions need not wait for each other.
func dot(x, y []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	n := len(x)
	y = y[:n]
	i := 0
	for ; i+8 <= n; i += 8 {
		x, y := x[i:i+8], y[i:i+8]
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		s4 += x[4] * y[4]
		s5 += x[5] * y[5]
		s6 += x[6] * y[6]
		s7 += x[7] * y[7]
	}
	s := (s0 + s4) + (s1 + s5) + ((s2 + s6) + (s3 + s7))
	for ; i < n; i++ {
		s += x[i] * y[i]
	}
	return s
}

// addSum keeps 4 sums, as dot does 8.
func addSum(x, y []float32) float32 {
	var s0, s1, s2, s3 float32
	n := len(x)
	y = y[:n]
	i := 0
	for ; i+4 <= n; i += 4 {
		x, y := x[i:i+4], y[i:i+4]
		s0 += x[0] + y[0]
		s1 += x[1] + y[1]
		s2 += x[2] + y[2]
		s3 += x[3] + y[3]
	}
	s := (s0 + s2) + (s1 + s3)
	for ; i < n; i++ {
		s += x[i] + y[i]
	}
	return s
}

func sum(x []float32) float32 {
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		x := x[i : i+4]
		s0 += x[0]
		s1 += x[1]
		s2 += x[2]
		s3 += x[3]
	}
	s := (s0 + s2) + (s1 + s3)
	for _, f := range x[i:] {
		s += f
	}
	return s
}

func sumSquares(x []float32, mean float32) float32 {
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		x := x[i : i+4]
		d0, d1, d2, d3 := x[0]-mean, x[1]-mean, x[2]-mean, x[3]-mean
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
	}
	s := (s0 + s2) + (s1 + s3)
	for _, f := range x[i:] {
		s += (f - mean) * (f - mean)
	}
	return s
}

func maxOf(x []float32) float32 {
	best := float32(math.Inf(-1))
	for _, f := range x {
		best = max(best, f)
	}
	return best
}

func argMax(x []float32) int { return indexOf(x, maxOf(x)) }

// indexOf returns the first index of v, of a NaN if v is one, or -1.
func indexOf(x []float32, v float32) int {
	for i, f := range x {
		if f == v || (f != f && v != v) {
			return i
		}
	}
	return -1
}

func rotate(dst, x, cos, sin []float32) {
	h := len(x) / 2
	x0, x1 := x[:h], x[h:][:h]
	d0, d1 := dst[:h], dst[h:][:h]
	cos, sin = cos[:h], sin[:h]
	for i := range h {
		a, b := x0[i], x1[i]
		d0[i] = a*cos[i] - b*sin[i]
		d1[i] = b*cos[i] + a*sin[i]
	}
}

func norm(dst, x []float32, mean, scale float32, weight, bias []float32) {
	x, weight = x[:len(dst)], weight[:len(dst)]
	if bias == nil {
		for i := range dst {
			dst[i] = (x[i] - mean) * scale * weight[i]
		}
		return
	}
	bias = bias[:len(dst)]
	for i := range dst {
		dst[i] = (x[i]-mean)*scale*weight[i] + bias[i]
	}
}
