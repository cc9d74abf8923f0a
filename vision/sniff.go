package vision

import (
	"bytes"
	"unicode/utf8"
)

// sniff names the format of a file by its first bytes. The second result says whether this
// package decodes it; otherwise the name completes the sentence "the file is ...".
func sniff(b []byte) (format string, known bool) {
	has := func(at int, s string) bool { return len(b) >= at && bytes.HasPrefix(b[at:], []byte(s)) }
	switch {
	case has(0, "\x89PNG\r\n\x1a\n"):
		return "png", true
	case has(0, "\xff\xd8\xff"):
		return "jpeg", true
	case has(0, "RIFF") && has(8, "WEBP"):
		return "webp", true
	case has(0, "GIF87a"), has(0, "GIF89a"):
		return "gif", true
	case has(4, "ftyp"):
		return isobmff(b), false
	}
	for _, m := range []struct {
		at    int
		magic string
		name  string
	}{
		{0, "BM", "a BMP image"},
		{0, "II*\x00", "a TIFF image"},
		{0, "MM\x00*", "a TIFF image"},
		{0, "II+\x00", "a TIFF image"},
		{0, "8BPS", "a Photoshop document"},
		{0, "\xff\x0a", "a JPEG XL image"},
		{0, "\x00\x00\x00\x0cJXL ", "a JPEG XL image"},
		{0, "\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"},
		{0, "\xff\x4f\xff\x51", "a JPEG 2000 image"},
		{0, "\x00\x00\x01\x00", "an icon"},
		{0, "%PDF-", "a PDF document"},
		{0, "%!PS", "a PostScript document"},
		{0, "PK\x03\x04", "a ZIP archive"},
		{0, "\x1f\x8b", "a gzip archive"},
		{0, "RIFF", "a RIFF file (sound or video)"},
		{0, "OggS", "an Ogg file (sound or video)"},
		{0, "fLaC", "a FLAC sound file"},
		{0, "ID3", "an MP3 sound file"},
		{0, "\x1a\x45\xdf\xa3", "a Matroska or WebM video"},
	} {
		if has(m.at, m.magic) {
			return m.name, false
		}
	}
	return textKind(b), false
}

// isobmff names a file of the ISO base media family by its major brand.
func isobmff(b []byte) string {
	if len(b) < 12 {
		return "a media file"
	}
	switch string(b[8:12]) {
	case "avif", "avis":
		return "an AVIF image"
	case "heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1":
		return "a HEIC image"
	}
	return "an MP4 or QuickTime file"
}

// textKind tells text apart from unknown binary data.
func textKind(b []byte) string {
	b = b[:min(len(b), 1024)]
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n"))
	switch {
	case bytes.HasPrefix(text, []byte("<svg")), bytes.HasPrefix(text, []byte("<?xml")) && bytes.Contains(text, []byte("<svg")):
		return "an SVG drawing"
	case bytes.HasPrefix(text, []byte("<!doctype html")), bytes.HasPrefix(text, []byte("<html")):
		return "an HTML page"
	case len(text) > 0 && printable(b):
		return "a text file"
	}
	return "in a format that is not recognised"
}

// printable reports whether b, perhaps cut within its last character, is text.
func printable(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			return len(b) < utf8.UTFMax && !utf8.FullRune(b)
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' && r != '\f' {
			return false
		}
		b = b[n:]
	}
	return true
}
