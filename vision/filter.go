package vision

import (
	"fmt"
	"math"
)

// Filter is an interpolation filter with the number that Pillow and preprocessor_config.json
// give it.
type Filter int

// The filters of Pillow.
const (
	Nearest Filter = iota
	Lanczos
	Bilinear
	Bicubic
	Box
	Hamming
)

var filters = [...]struct {
	name    string
	support float64 // the kernel is zero outside [-support, support]
	kernel  func(x float64) float64
}{
	Nearest:  {"nearest", 0, nil},
	Lanczos:  {"lanczos", 3, lanczos},
	Bilinear: {"bilinear", 1, triangle},
	Bicubic:  {"bicubic", 2, cubic},
	Box:      {"box", 0.5, box},
	Hamming:  {"hamming", 1, hamming},
}

// String returns the name, such as "bilinear".
func (f Filter) String() string {
	if f.valid() {
		return filters[f].name
	}
	return fmt.Sprintf("filter(%d)", int(f))
}

func (f Filter) valid() bool { return f >= 0 && int(f) < len(filters) }

func box(x float64) float64 {
	if x > -0.5 && x <= 0.5 {
		return 1
	}
	return 0
}

func triangle(x float64) float64 { return max(0, 1-math.Abs(x)) }

// cubic is Keys' kernel with a = -1/2.
func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
	case x < 2:
		return float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

func lanczos(x float64) float64 {
	if x >= -3 && x < 3 {
		return sinc(x) * sinc(x/3)
	}
	return 0
}

// hamming is a windowed sinc of one lobe; Pillow's constants are f32.
func hamming(x float64) float64 {
	x = math.Abs(x)
	if x == 0 {
		return 1
	}
	if x >= 1 {
		return 0
	}
	x *= math.Pi
	return math.Sin(x) / x * (float64(float32(0.54)) + float64(float64(float32(0.46))*math.Cos(x)))
}

// taps are the weights of one output pixel: weight[i] belongs to input first+i.
type taps struct {
	first  int
	weight []int32 // fractionBits of fraction
}

// fractionBits leaves 8 bits for the pixel and 2 for negative weights and the sum.
const fractionBits = 32 - 8 - 2

// weights computes the taps that map in pixels to out pixels: the kernel is widened by in/out
// when shrinking (antialiasing), sampled at pixel centres, normalised to sum 1 and rounded to
// fixed point. The explicit conversions keep a compiler from fusing multiply and add, which
// would change the last bit.
func (f Filter) weights(in, out int) []taps {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := filters[f].support * stretch
	inverse := 1 / stretch
	all := make([]taps, out)
	w := make([]float64, 0, 2*int(math.Ceil(support))+1)
	for i := range all {
		center := float64((float64(i) + 0.5) * scale)
		first := max(0, int(center-support+0.5))
		last := min(in, int(center+support+0.5))
		w = w[:0]
		sum := 0.0
		for x := first; x < last; x++ {
			v := filters[f].kernel(float64((float64(x) - center + 0.5) * inverse))
			w = append(w, v)
			sum += v
		}
		fixed := make([]int32, len(w))
		for k, v := range w {
			if sum != 0 {
				v /= sum
			}
			fixed[k] = int32(math.Copysign(0.5, v) + float64(v*(1<<fractionBits)))
		}
		all[i] = taps{first, fixed}
	}
	return all
}
