package audio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// peekSize is how far into a file the search for its format looks.
const peekSize = 1 << 16

// identify names the format of a file as sniff does, without consuming it. Most show in the
// first bytes; more are asked for only where they do not, since a pipe may be slow.
func identify(r *bufio.Reader) (string, error) {
	kind := unrecognised
	for _, n := range []int{512, peekSize} {
		head, err := r.Peek(n)
		if len(head) == 0 && err != nil && err != io.EOF {
			return "", fmt.Errorf("read sound: %w", err)
		}
		if len(head) == 0 {
			return "", errors.New("the sound file is empty (0 bytes)")
		}
		if kind = sniff(head); kind != unrecognised {
			break
		}
	}
	return kind, nil
}

// skipID3 discards ID3v2 tags, which stand before MP3 and, at times, other formats.
func skipID3(r *bufio.Reader) error {
	for {
		tag, err := r.Peek(10)
		if err != nil || string(tag[:3]) != "ID3" {
			return nil // identify finds out more
		}
		size := 10
		for i, b := range tag[6:10] { // 7 bits a byte
			size += int(b&0x7f) << (7 * (3 - i))
		}
		if tag[5]&0x10 != 0 { // footer
			size += 10
		}
		if _, err := r.Discard(size); err == io.EOF {
			return errors.New("the sound file ends within its ID3 tag")
		} else if err != nil {
			return fmt.Errorf("read sound: %w", err)
		}
	}
}

const unrecognised = "in a format that is not recognised"

// sniff names the format of a file by its content: "WAV", "FLAC", "MP3" or "Opus" for what
// this package decodes; otherwise the words complete "the file is ...".
func sniff(b []byte) string {
	has := func(at int, s string) bool { return len(b) >= at && bytes.HasPrefix(b[at:], []byte(s)) }
	switch {
	case (has(0, "RIFF") || has(0, "RF64") || has(0, "BW64")) && has(8, "WAVE"):
		return "WAV"
	case has(0, "fLaC"):
		return "FLAC"
	case has(0, "OggS"):
		return oggKind(b)
	case has(4, "ftyp"):
		return mp4Kind(b)
	case adts(b):
		return "an AAC stream (ADTS)"
	}
	for _, m := range []struct {
		at    int
		magic string
		name  string
	}{
		{0, "RIFX", "a big-endian WAV file (RIFX)"},
		{8, "AVI ", "an AVI video"},
		{8, "AIFF", "an AIFF sound file"},
		{8, "AIFC", "an AIFF sound file"},
		{0, ".snd", "an AU sound file"},
		{0, "#!AMR", "an AMR sound file"},
		{0, "caff", "a CAF sound file"},
		{0, "wvpk", "a WavPack sound file"},
		{0, "MAC ", "a Monkey's Audio file"},
		{0, "riff\x2e\x91\xcf\x11", "a Wave64 sound file"},
		{0, "MThd", "a MIDI file"},
		{0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA or WMV file"},
		{0, "\x1a\x45\xdf\xa3", "a Matroska or WebM file"},
		{0, "\x00\x00\x01\xba", "an MPEG video"},
		{0, "FLV\x01", "a Flash video"},
		{0, "%PDF-", "a PDF document"},
		{0, "\x89PNG", "a PNG image"},
		{0, "\xff\xd8\xff", "a JPEG image"},
		{0, "GIF8", "a GIF image"},
		{8, "WEBP", "a WebP image"},
		{0, "PK\x03\x04", "a ZIP archive"},
		{0, "\x1f\x8b", "a gzip archive"},
		{0, "\x7fELF", "a program"},
	} {
		if has(m.at, m.magic) {
			return m.name
		}
	}
	if text(b) {
		return "a text file"
	}
	if _, ok := findMP3(b); ok {
		return "MP3"
	}
	return unrecognised
}

// oggKind names the codec of an Ogg file by its first packet.
func oggKind(b []byte) string {
	first := b[:min(len(b), 128)]
	switch {
	case bytes.Contains(first, []byte("OpusHead")):
		return "Opus"
	case bytes.Contains(first, []byte("\x01vorbis")):
		return "an Ogg Vorbis file"
	case bytes.Contains(first, []byte("\x7fFLAC")):
		return "FLAC in an Ogg file"
	case bytes.Contains(first, []byte("Speex   ")):
		return "an Ogg Speex file"
	}
	return "an Ogg file"
}

// mp4Kind names a file of the ISO base media family by its major brand.
func mp4Kind(b []byte) string {
	if len(b) >= 12 {
		switch string(b[8:11]) {
		case "M4A", "M4B":
			return "an M4A file"
		case "qt ":
			return "a QuickTime movie"
		case "hei", "mif", "avi":
			return "an image"
		}
	}
	return "an MP4 file"
}

// adts reports whether b starts with two frames of AAC, whose sync word MP3's resembles.
func adts(b []byte) bool {
	for range 2 {
		if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
			return false
		}
		n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
		if n < 7 || n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}

// text reports whether the first kilobyte is text.
func text(b []byte) bool {
	b = b[:min(len(b), 1024)]
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
