package kernel

import "math"

// fromBFloat16 widens a bfloat16, which is the upper half of an f32.
func fromBFloat16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// toBFloat16 rounds to nearest, ties to even; a NaN keeps its sign and upper
// payload and becomes quiet.
func toBFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	if f != f {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// fromFloat16 widens an IEEE 754 binary16.
func fromFloat16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	magnitude := uint32(h&0x7fff) << 13
	if magnitude >= 0x7c00<<13 { // Inf or NaN: exponent 31 becomes 255
		quiet := uint32(0)
		if magnitude > 0x7c00<<13 {
			quiet = 1 << 22
		}
		return math.Float32frombits(sign | magnitude | 0x7f800000 | quiet)
	}
	// The exponents' biases differ by 112; a product moves subnormals too.
	f := math.Float32frombits(magnitude) * (1 << 112)
	return math.Float32frombits(sign | math.Float32bits(f))
}

// toFloat16 rounds to nearest, ties to even; 65520 and above become Inf. A NaN
// keeps its sign and upper payload and becomes quiet.
func toFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	abs := bits & 0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13&0x3ff)
	case abs >= 0x477ff000:
		return sign | 0x7c00
	case abs < 0x38800000: // below 2^-14: let the f32 adder round at 2^-24
		half := math.Float32frombits(abs) + 0.5
		return sign | uint16(math.Float32bits(half)-0x3f000000)
	}
	abs += 0xfff + abs>>13&1
	return sign | uint16((abs-0x38000000)>>13)
}
