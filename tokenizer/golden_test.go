package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// realFile returns a file of a real model. The folder of these models is named by EMILY_REAL.
func realFile(t testing.TB, model, file string) []byte {
	t.Helper()
	root := os.Getenv("EMILY_REAL")
	if root == "" {
		t.Skip("EMILY_REAL names no folder with real models (smollm2-135m-instruct, all-minilm-l6-v2, whisper-tiny.en, whisper-base, qwen3-tokenizer)")
	}
	data, err := os.ReadFile(filepath.Join(root, model, file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func loadReal(t testing.TB, model string) *Tokenizer {
	t.Helper()
	tok, err := Load(realFile(t, model, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// tinyModels are small tokenizers of the kinds that the supported models use, in testdata.
var tinyModels = []string{"tiny-bert", "tiny-distilbert-qa", "tiny-llama", "tiny-llama3", "tiny-qwen3", "tiny-qwen3-untied", "tiny-whisper"}

func tinyFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func loadTiny(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, err := Load(tinyFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// goldenCase is one line of a golden file, made with the reference library.
type goldenCase struct {
	Text               string
	Pair               *string
	IDs                []int32
	Offsets            [][2]int
	Decoded            *string
	DecodedSkipSpecial *string `json:"decoded_skip_special"`
	IDsWithSpecial     []int32 `json:"ids_with_special"`
	TypeIDs            []int32 `json:"type_ids"`
}

func readGolden(t testing.TB, path string) []goldenCase {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []goldenCase
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c goldenCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil || len(cases) == 0 {
		t.Fatalf("%s: %d cases, error %v", path, len(cases), err)
	}
	return cases
}

func TestGoldenReal(t *testing.T) {
	for _, model := range []string{"all-minilm-l6-v2", "qwen3-tokenizer", "smollm2-135m-instruct", "whisper-tiny.en"} {
		t.Run(model, func(t *testing.T) {
			tok := loadReal(t, model)
			cases := readGolden(t, "testdata/golden/"+model+".jsonl")
			for _, c := range cases {
				c.check(t, tok)
			}
			t.Logf("%d cases", len(cases))
		})
	}
}

func (c goldenCase) check(t *testing.T, tok *Tokenizer) {
	t.Helper()
	if c.Pair != nil {
		c.checkPair(t, tok)
		return
	}
	e := tok.Encode(c.Text, false)
	if !slices.Equal(e.IDs, c.IDs) {
		t.Errorf("%q: ids %v, want %v", c.Text, e.IDs, c.IDs)
		return
	}
	if !slices.Equal(pairs(e.Offsets), c.Offsets) {
		t.Errorf("%q: offsets %v, want %v", c.Text, e.Offsets, c.Offsets)
	}
	if got := tok.AppendIDs(nil, c.Text, false); !slices.Equal(got, c.IDs) {
		t.Errorf("%q: AppendIDs gives %v, want %v", c.Text, got, c.IDs)
	}
	if want := c.IDsWithSpecial; want != nil {
		if got := tok.Encode(c.Text, true).IDs; !slices.Equal(got, want) {
			t.Errorf("%q: with special tokens %v, want %v", c.Text, got, want)
		}
		if got := tok.AppendIDs(nil, c.Text, true); !slices.Equal(got, want) {
			t.Errorf("%q: AppendIDs with special tokens %v, want %v", c.Text, got, want)
		}
	}
	c.checkDecode(t, tok, false, c.Decoded)
	c.checkDecode(t, tok, true, c.DecodedSkipSpecial)
}

func (c goldenCase) checkPair(t *testing.T, tok *Tokenizer) {
	t.Helper()
	e := tok.EncodePair(c.Text, *c.Pair, true)
	if !slices.Equal(e.IDs, c.IDsWithSpecial) {
		t.Errorf("%q, %q: ids %v, want %v", c.Text, *c.Pair, e.IDs, c.IDsWithSpecial)
	}
	if !slices.Equal(e.TypeIDs, c.TypeIDs) {
		t.Errorf("%q, %q: types %v, want %v", c.Text, *c.Pair, e.TypeIDs, c.TypeIDs)
	}
	if !slices.Equal(pairs(e.Offsets), c.Offsets) {
		t.Errorf("%q, %q: offsets %v, want %v", c.Text, *c.Pair, e.Offsets, c.Offsets)
	}
}

func (c goldenCase) checkDecode(t *testing.T, tok *Tokenizer, skip bool, want *string) {
	t.Helper()
	if want == nil {
		return
	}
	if got := tok.Decode(c.IDs, skip); got != *want {
		t.Errorf("%q: Decode(%v) gives %q, want %q", c.Text, skip, got, *want)
	}
	s := tok.Stream(skip)
	got := ""
	for _, id := range c.IDs {
		got += s.Next(id)
	}
	if got += s.Flush(); got != *want {
		t.Errorf("%q: Stream(%v) gives %q, want %q", c.Text, skip, got, *want)
	}
}

func pairs(spans []Span) [][2]int {
	out := make([][2]int, len(spans))
	for i, s := range spans {
		out[i] = [2]int{s.Start, s.End}
	}
	return out
}
