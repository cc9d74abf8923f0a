// Package backend records computations as graphs of tensors and turns them
// into plans that a device runs many times. It knows no model and no device.
package backend

import "fmt"

// DType is the element type of a tensor, a weight or a state.
type DType uint8

// The element types that graphs compute with. Weights may be F32, BF16 or F16
// as they are stored; activations are F32; ids and positions are I32; masks
// are U8 with the values 0 and 1.
const (
	Invalid DType = iota
	F32
	BF16
	F16
	I32
	U8
)

var dtypes = [...]struct {
	name string
	size int
}{
	Invalid: {"invalid", 0},
	F32:     {"f32", 4},
	BF16:    {"bf16", 2},
	F16:     {"f16", 2},
	I32:     {"i32", 4},
	U8:      {"u8", 1},
}

// String returns the short name, such as "bf16".
func (d DType) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Size returns the bytes of one element.
func (d DType) Size() int { return dtypes[d].size }

// IsFloat reports whether d is one of F32, BF16 and F16.
func (d DType) IsFloat() bool { return d == F32 || d == BF16 || d == F16 }

// ParseDType returns the type with the given short name.
func ParseDType(name string) (DType, error) {
	for d := F32; int(d) < len(dtypes); d++ {
		if dtypes[d].name == name {
			return d, nil
		}
	}
	return Invalid, fmt.Errorf("unknown dtype %q", name)
}
