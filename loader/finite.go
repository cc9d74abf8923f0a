package loader

import (
	"encoding/binary"
	"math/bits"

	"emily/backend"
)

// FirstNonFinite returns the index of the first element of w that is NaN or
// infinite, as in a checkpoint whose training diverged, and whether there is one.
func FirstNonFinite(w *backend.Weight) (index int, found bool) {
	// The exponent of a number that is not finite has all bits set. Adding one
	// at its lowest bit then carries into the place of the sign, which the mask
	// cleared, and never further. So eight bytes are tested at a time.
	var exponent, one uint64
	switch w.DType {
	case backend.F32:
		exponent, one = 0x7F800000_7F800000, 0x00800000_00800000
	case backend.BF16:
		exponent, one = 0x7F80_7F80_7F80_7F80, 0x0080_0080_0080_0080
	case backend.F16:
		exponent, one = 0x7C00_7C00_7C00_7C00, 0x0400_0400_0400_0400
	default:
		return 0, false
	}
	signs := exponent + one // exactly the sign bits
	data, size := w.Data, w.DType.Size()
	for at := 0; at < len(data); at += 8 {
		var word uint64
		if rest := data[at:]; len(rest) >= 8 {
			word = binary.LittleEndian.Uint64(rest)
		} else {
			var padded [8]byte
			copy(padded[:], rest)
			word = binary.LittleEndian.Uint64(padded[:])
		}
		if bad := (word&exponent + one) & signs; bad != 0 {
			return (at + bits.TrailingZeros64(bad)/8) / size, true
		}
	}
	return 0, false
}
