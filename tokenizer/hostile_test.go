package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestLoadErrors(t *testing.T) {
	const model = `"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}`
	tests := []struct{ name, file, want string }{
		{"empty", ``, "not valid JSON"},
		{"array", `[]`, "no model"},
		{"no model", `{"version": "1.0"}`, "no model"},
		{"model kind", `{"model": {"type": "Magic", "vocab": {}}}`, `model Magic: this kind is unknown; known are BPE`},
		{"normalizer kind", `{"normalizer": {"type": "Magic"}, ` + model + `}`, `normalizer "Magic" is unknown; known are BertNormalizer`},
		{"pre-tokenizer kind", `{"pre_tokenizer": {"type": "Magic"}, ` + model + `}`, `pre_tokenizer "Magic" is unknown`},
		{"post-processor kind", `{"post_processor": {"type": "Magic"}, ` + model + `}`, `post_processor "Magic" is unknown`},
		{"decoder kind", `{"decoder": {"type": "Magic"}, ` + model + `}`, `decoder "Magic" is unknown`},
		{"regex", `{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false}, ` + model + `}`, "regular expression"},
		{"behavior", `{"pre_tokenizer": {"type": "Split", "pattern": {"String": "("}, "behavior": "Torn", "invert": false}, ` + model + `}`, "behavior is none of"},
		{"dropout", `{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}}`, "dropout"},
		{"merge", `{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}`, "not in the vocabulary"},
		{"merge shape", `{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["ab"]}}`, "not two tokens"},
		{"id", `{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}`, "token id"},
		{"huge id", `{"model": {"type": "BPE", "vocab": {"a": 99999999999}, "merges": []}}`, "token id"},
		{"unk_id", `{"model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 7}}`, "unk_id"},
		{"template", `{"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}], "pair": [], "special_tokens": {}}, ` + model + `}`, "not in special_tokens"},
		{"depth", `{"normalizer": ` + strings.Repeat(`{"type":"Sequence","normalizers":[`, 5000) + `null` + strings.Repeat("]}", 5000) + `, ` + model + `}`, "nested"},
	}
	for _, test := range tests {
		_, err := Load([]byte(test.file))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %.300v, want one line with %q", test.name, err, test.want)
		}
	}
}

// TestHugeID: one large id must not ask for memory in its proportion.
func TestHugeID(t *testing.T) {
	tok, err := Load([]byte(`{"model": {"type": "WordLevel", "vocab": {"a": 2147483647, "b": 1}, "unk_token": "b"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1, func() { tok.Token(2147483647) }); n > 4 {
		t.Errorf("%v allocations", n)
	}
	if token, ok := tok.Token(2147483647); token != "a" || !ok {
		t.Errorf("Token gives %q, %v", token, ok)
	}
	if got := tok.Decode(tok.AppendIDs(nil, "a", false), false); got != "a" {
		t.Errorf("%q, want a", got)
	}
}

// mutate changes some bytes of a file.
func mutate(r *rand.Rand, data []byte) []byte {
	out := append([]byte(nil), data...)
	for range 1 + r.IntN(4) {
		i := r.IntN(len(out))
		switch r.IntN(4) {
		case 0:
			out[i] = byte(r.IntN(256))
		case 1:
			out[i] = "{}[]\",:0123456789ntf\\"[r.IntN(21)]
		case 2:
			out = append(out[:i], out[min(len(out), i+1+r.IntN(20)):]...)
		default:
			j := r.IntN(len(out))
			out = append(out[:i:i], append(append([]byte(nil), out[j:min(len(out), j+30)]...), out[i:]...)...)
		}
		if len(out) == 0 {
			return out
		}
	}
	return out
}

// TestMutated: no damaged file may bring the package down, nor a tokenizer that is loaded from one.
func TestMutated(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	loaded := 0
	for _, c := range diffTokenizers(t) {
		// The vocabulary makes up most of the file; the parts before it are more interesting.
		head := strings.Index(c.Tokenizer, `"vocab"`)
		for range 40 {
			data := []byte(c.Tokenizer)
			if r.IntN(4) > 0 {
				data = append(mutate(r, data[:head]), data[head:]...)
			} else {
				data = mutate(r, data)
			}
			tok, err := Load(data)
			if err != nil {
				continue
			}
			loaded++
			text := randomText(r, 5)
			e := tok.Encode(text, true)
			tok.EncodePair(text, "b", true)
			tok.Decode(e.IDs, false)
		}
	}
	if loaded == 0 {
		t.Error("no damaged file could be loaded: the damage is too great to test with")
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range tinyModels {
		f.Add(tinyFile(f, name), "Hello, world")
	}
	f.Add([]byte(`{"model": {"type": "Unigram", "vocab": [["a", -1], ["ab", -2.5]], "unk_id": 0, "byte_fallback": true}, "pre_tokenizer": {"type": "Metaspace", "replacement": "_"}}`), "ab a")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		tok, err := Load(data)
		if err != nil {
			return
		}
		tok.Decode(tok.Encode(text, true).IDs, true)
	})
}
