package vision

import (
	"encoding/binary"
	"slices"
)

// pngChunk finds the first chunk of the given type: b[start:end] is the whole chunk, with
// length, type and checksum. It returns 0, 0 where there is none.
func pngChunk(b []byte, kind string) (start, end int) {
	for i := 8; i+12 <= len(b); {
		n := int(binary.BigEndian.Uint32(b[i:]))
		if n > len(b)-i-12 {
			break
		}
		if string(b[i+4:i+8]) == kind {
			return i, i + 12 + n
		}
		i += 12 + n
	}
	return 0, 0
}

// withoutTransparency cuts the tRNS chunk out of a PNG. As alpha is dropped anyway it only
// makes the decoder choose a wider pixel format.
func withoutTransparency(b []byte) []byte {
	start, end := pngChunk(b, "tRNS")
	return slices.Delete(b, start, end)
}

// makeOpaque switches off the transparent colour of a GIF's first frame, since the decoder
// would replace it by black, and returns its index, or 0 where there is none. The blocks
// before the frame are those of the GIF89a specification.
func makeOpaque(b []byte) (transparent int) {
	const headerSize = 13
	if len(b) < headerSize {
		return 0
	}
	i := headerSize
	if flags := b[10]; flags&0x80 != 0 {
		i += 3 << (flags&7 + 1)
	}
	for i+2 <= len(b) && b[i] == 0x21 { // an extension: label, sub-blocks, an empty one
		label := b[i+1]
		for i += 2; i < len(b) && b[i] != 0; i += 1 + int(b[i]) {
			if label == 0xf9 && b[i] == 4 && i+4 < len(b) && b[i+1]&1 != 0 {
				b[i+1] &^= 1
				transparent = int(b[i+4])
			}
		}
		i++
	}
	return transparent
}
