package tokenizer

// byteToChar gives each byte the printable code point that stands for it in byte-level vocabularies: itself where it is
// printable in Latin-1, otherwise the next one from U+0100 on (the table of GPT-2).
var byteToChar = func() (t [256]rune) {
	next := rune(256)
	for b := range t {
		switch {
		case b >= '!' && b <= '~', b >= 0xA1 && b <= 0xAC, b >= 0xAE:
			t[b] = rune(b)
		default:
			t[b] = next
			next++
		}
	}
	return t
}()

// charToByte is the way back: byte+1, or 0 for a code point that stands for no byte.
var charToByte = func() (t [324]uint16) {
	for b, r := range byteToChar {
		t[r] = uint16(b) + 1
	}
	return t
}()

// appendByteChars appends the bytes of s as code points.
func appendByteChars(dst, s []byte) []byte {
	for _, b := range s {
		if r := byteToChar[b]; r < 0x80 {
			dst = append(dst, byte(r))
		} else {
			dst = append(dst, 0xC0|byte(r>>6), 0x80|byte(r&0x3F))
		}
	}
	return dst
}

// appendCharBytes appends the bytes that the code points of token stand for. A token with any other code point
// is appended as it is.
func appendCharBytes(dst []byte, token string) []byte {
	n := len(dst)
	for _, r := range token {
		if int(r) >= len(charToByte) || charToByte[r] == 0 {
			return append(dst[:n], token...)
		}
		dst = append(dst, byte(charToByte[r]-1))
	}
	return dst
}
