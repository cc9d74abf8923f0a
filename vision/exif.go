package vision

import (
	"bytes"
	"encoding/binary"
)

// orientation finds the EXIF orientation of an encoded image: 1 to 8, or 1 where there is
// none. Damaged metadata counts as none.
func orientation(data []byte, format string) int {
	var exif []byte
	switch format {
	case "jpeg":
		exif = jpegExif(data)
	case "png":
		exif = pngExif(data)
	case "webp":
		exif = webpExif(data)
	}
	return tiffOrientation(exif)
}

var exifPrefix = []byte("Exif\x00\x00")

// jpegExif returns the TIFF data of the first Exif APP1 segment.
func jpegExif(b []byte) []byte {
	for i := 2; i+4 <= len(b) && b[i] == 0xff; {
		marker := b[i+1]
		if marker == 0xff { // fill byte
			i++
			continue
		}
		if marker == 0xda || marker == 0xd9 { // start of scan, end of image
			return nil
		}
		end := i + 2 + int(binary.BigEndian.Uint16(b[i+2:]))
		if end < i+4 || end > len(b) {
			return nil
		}
		if body := b[i+4 : end]; marker == 0xe1 && bytes.HasPrefix(body, exifPrefix) {
			return body[len(exifPrefix):]
		}
		i = end
	}
	return nil
}

// pngExif returns the body of the eXIf chunk (PNG, third edition, 11.3.4.4).
func pngExif(b []byte) []byte {
	start, end := pngChunk(b, "eXIf")
	if end == 0 {
		return nil
	}
	return b[start+8 : end-4]
}

// webpExif returns the body of the EXIF chunk; some writers keep JPEG's prefix.
func webpExif(b []byte) []byte {
	for i := 12; i+8 <= len(b); {
		n := int(binary.LittleEndian.Uint32(b[i+4:]))
		if n > len(b)-i-8 {
			return nil
		}
		if string(b[i:i+4]) == "EXIF" {
			return bytes.TrimPrefix(b[i+8:i+8+n], exifPrefix)
		}
		i += 8 + n + n&1
	}
	return nil
}

// tiffOrientation reads tag 274 of the first directory of TIFF data.
func tiffOrientation(b []byte) int {
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return 1
	}
	entries := int(order.Uint16(b[at:]))
	for e := b[at+2:]; entries > 0 && len(e) >= 12; e, entries = e[12:], entries-1 {
		const short = 3
		if order.Uint16(e) != 274 || order.Uint16(e[2:]) != short {
			continue
		}
		if v := int(order.Uint16(e[8:])); v >= 1 && v <= 8 {
			return v
		}
	}
	return 1
}
