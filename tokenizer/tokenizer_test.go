package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// byteLevelModels keep every text as it is (but for NFC).
var byteLevelModels = []string{"tiny-llama", "tiny-whisper", "tiny-qwen3"}

// TestRoundTrip decodes what it encoded, at once and as a stream.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, name := range byteLevelModels {
		tok := loadTiny(t, name)
		for range 300 {
			checkRoundTrip(t, tok, randomText(r, 1+r.IntN(20)))
		}
	}
}

func checkRoundTrip(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	ids := tok.AppendIDs(nil, text, false)
	want := tok.normalize(validText(text))
	if got := tok.Decode(ids, false); got != want {
		t.Fatalf("decoded %q, want %q", got, want)
	}
	var got strings.Builder
	s := tok.Stream(false)
	for _, id := range ids {
		part := s.Next(id)
		if !utf8.ValidString(part) {
			t.Fatalf("%q: the stream gives half a code point: %q", text, part)
		}
		got.WriteString(part)
	}
	got.WriteString(s.Flush())
	if got.String() != want {
		t.Fatalf("streamed %q, want %q", got.String(), want)
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range fragments {
		f.Add(s)
	}
	f.Add("\xFF\xE2\x82 invalid")
	tok := loadTiny(f, "tiny-qwen3")
	f.Fuzz(func(t *testing.T, text string) { checkRoundTrip(t, tok, text) })
}

// TestStreamText: a stream gives text as early as it is certain.
func TestStreamText(t *testing.T) {
	tok := loadTiny(t, "tiny-llama")
	s := tok.Stream(false)
	var parts []string
	for _, b := range []byte("a€b") { // one token a byte
		id, ok := tok.ID(string(byteToChar[b]))
		if !ok {
			t.Fatalf("no token for byte %x", b)
		}
		parts = append(parts, s.Next(id))
	}
	parts = append(parts, s.Flush())
	if want := []string{"a", "", "", "€", "b", ""}; !slices.Equal(parts, want) {
		t.Errorf("%q, want %q", parts, want)
	}
}

// TestLossy replaces what is no UTF-8 as Rust's from_utf8_lossy does, whole or in parts.
func TestLossy(t *testing.T) {
	tests := map[string]string{
		"abc":                  "abc",
		"\xE2\x82":             "\uFFFD",
		"\xE2\x82A":            "\uFFFDA",
		"\xE2\x28\xA1":         "\uFFFD(\uFFFD",
		"\xFF\xFE":             "\uFFFD\uFFFD",
		"\xED\xA0\x80":         "\uFFFD\uFFFD\uFFFD", // a surrogate
		"\xF0\x9F\x98":         "\uFFFD",
		"\xF0\x80\x80\x80":     "\uFFFD\uFFFD\uFFFD\uFFFD",
		"\xC0\x80":             "\uFFFD\uFFFD",
		"\xF0\x9F\x98\x80\xC3": "😀\uFFFD",
		"\uFFFD":               "\uFFFD",
	}
	for in, want := range tests {
		got, n := appendLossy(nil, []byte(in), true)
		if string(got) != want || n != len(in) {
			t.Errorf("%x: %q, %d used, want %q", in, got, n, want)
		}
		var rest, parts []byte
		for _, b := range []byte(in) {
			rest = append(rest, b)
			parts, n = appendLossy(parts, rest, false)
			rest = rest[n:]
		}
		if parts, _ = appendLossy(parts, rest, true); string(parts) != want {
			t.Errorf("%x in parts: %q, want %q", in, parts, want)
		}
	}
}

// TestConcurrent shares one tokenizer, and so its cache, between goroutines.
func TestConcurrent(t *testing.T) {
	tok := loadTiny(t, "tiny-qwen3")
	texts := make([]string, 50)
	want := make([][]int32, len(texts))
	r := rand.New(rand.NewPCG(9, 10))
	for i := range texts {
		texts[i] = randomText(r, 30)
		want[i] = loadTiny(t, "tiny-qwen3").AppendIDs(nil, texts[i], false)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range texts {
				i = (i*7 + g*13) % len(texts)
				if got := tok.Encode(texts[i], false).IDs; !slices.Equal(got, want[i]) {
					t.Errorf("%q: %v, want %v", texts[i], got, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// TestLongWord merges a word beyond the size where merging changes its method; both must agree.
func TestLongWord(t *testing.T) {
	tok := loadTiny(t, "tiny-llama")
	m := tok.model.(*bpe)
	r := rand.New(rand.NewPCG(11, 12))
	for range 300 {
		var a, b mergeScratch
		for range 2 + r.IntN(200) {
			id := m.ofByte["the quick onion and "[r.IntN(20)]]
			a.add(id, 1)
			b.add(id, 1)
		}
		for i := range len(a.ids) - 1 {
			made := m.merges.get(a.ids[i], a.ids[i+1])
			a.made, b.made = append(a.made, made), append(b.made, made)
		}
		a.scan(&m.merges)
		b.queue(&m.merges)
		if !slices.Equal(a.ids, b.ids) || !slices.Equal(a.lens, b.lens) {
			t.Fatalf("scanning gives %v, the heap %v", a.ids, b.ids)
		}
	}
}

// TestAppendIDsAllocates: words that the cache knows cost no memory.
func TestAppendIDsAllocates(t *testing.T) {
	tok := loadTiny(t, "tiny-qwen3")
	text := strings.Repeat("The quick brown fox, don't you know? 12 ", 50)
	ids := tok.AppendIDs(nil, text, false)
	if n := testing.AllocsPerRun(20, func() { ids = tok.AppendIDs(ids[:0], text, false) }); n > 10 {
		t.Errorf("%v allocations for a text of 550 words", n)
	}
}

func TestVocabulary(t *testing.T) {
	tok := loadTiny(t, "tiny-llama")
	if got := tok.Size(); got != 480 {
		t.Errorf("Size is %d, want 480", got)
	}
	id, ok := tok.ID("<|im_end|>")
	if id != 479 || !ok || !tok.Special(id) || tok.Special(5) {
		t.Errorf("ID gives %d, %v", id, ok)
	}
	if token, ok := tok.Token(479); token != "<|im_end|>" || !ok {
		t.Errorf("Token gives %q, %v", token, ok)
	}
	if _, ok := tok.Token(480); ok {
		t.Error("there is a token 480")
	}
	if _, ok := tok.ID("no such token"); ok {
		t.Error("there is a token that should not be")
	}
	if n := len(tok.SpecialTokens()); n != 3 {
		t.Errorf("%d special tokens, want 3", n)
	}
	if got := tok.Decode([]int32{-1, 1 << 30}, false); got != "" {
		t.Errorf("unknown ids decode to %q", got)
	}
}
