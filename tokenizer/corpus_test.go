package tokenizer

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goRoot returns the folder of the Go tools that run the test.
func goRoot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// goSource returns so many bytes of Go's standard library: English prose and code.
func goSource(t testing.TB, size int) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{"net/http", "go/types", "encoding/json", "math/big", "time", "crypto/tls", "unicode/utf8", "text/template", "runtime", "strings", "reflect", "unicode"} {
		files, err := filepath.Glob(filepath.Join(goRoot(t), "src", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(data)
			if b.Len() >= size {
				return strings.ToValidUTF8(b.String()[:size], "")
			}
		}
	}
	if b.Len() == 0 {
		t.Skip("the source of Go's standard library is not installed")
	}
	return b.String()
}

// blocks are where random text takes its code points from; some come several times. All are as old as the oldest Unicode
// tables in use, so that implementations agree on what is a letter.
var blocks = [][2]rune{{0x20, 0x7F}, {0x20, 0x7F}, {0x20, 0x7F}, {0x20, 0x7F}, {0xA0, 0x250}, {0x300, 0x370}, {0x370, 0x530}, {0x590, 0x700}, {0x900, 0xC00}, {0xE00, 0xE80},
	{0x1100, 0x1200}, {0x1E00, 0x2070}, {0x2190, 0x2600}, {0x3000, 0x3200}, {0x4E00, 0x5000}, {0xAC00, 0xAD00}, {0xF900, 0xFB50}, {0xFE00, 0xFFF0}, {0x1F300, 0x1F700},
	{0x10280, 0x102D0}, {0x1D400, 0x1D454}, {0x20000, 0x2A6D0}, {0xE0000, 0xE0100}, {1, 0x20}, {0x7F, 0xA0}}

// fragments are what tokenizers trip over.
var fragments = []string{"don't", "I'LL", "'ſ", "'re ", "123456", "½ ²", "\n\n", " \n ", "\t", "  ", "    ", "\r\n", "...", "!?", "foo_bar", "naïve", "e\u0301", "q\u0323\u0307", "한국어", "日本語",
	"ﬁ", "Å", "İ", "\u200D", "👩\u200D👩", "🇩🇪", "\uFEFF", "\u00A0", "\u3000", "<|endoftext|>", "<|im_start|>", "[SEP]", "[MASK]", "<0x41>", "\u0344", "\u1E9B\u0323", "\u1100\u1161\u11A8"}

// randomText makes a text of n pieces.
func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		switch r.IntN(5) {
		case 0, 1:
			b.WriteString(fragments[r.IntN(len(fragments))])
		case 2, 3:
			block := blocks[r.IntN(len(blocks))]
			for range 1 + r.IntN(6) {
				b.WriteRune(block[0] + r.Int32N(block[1]-block[0]))
			}
		default:
			b.WriteString(strings.Repeat([]string{" ", "\n", "\t", "\u00A0"}[r.IntN(4)], 1+r.IntN(4)))
		}
		if r.IntN(3) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}
