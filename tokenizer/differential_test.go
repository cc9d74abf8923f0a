package tokenizer

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// diffTokenizer is a tokenizer of testdata/differential.json.gz and what the reference library does with texts. The tokenizers
// are small ones of many kinds: GPT-2, RoBERTa, Llama 2 and 3, Gemma, DeepSeek, CLIP, BERT, T5, CTC, and all behaviours of Split.
type diffTokenizer struct {
	Name, Tokenizer string
	Size            int
	Cases           []diffCase
}

type diffCase struct {
	Text               string
	IDs                []int32
	Offsets            [][2]int
	Decoded            *string
	DecodedSkipSpecial *string  `json:"decoded_skip_special"`
	IDsWithSpecial     []int32  `json:"ids_with_special"`
	OffsetsWithSpecial [][2]int `json:"offsets_with_special"`

	A, B        string   // a pair, with special tokens
	PairIDs     []int32  `json:"pair_ids"`
	PairTypes   []int32  `json:"pair_types"`
	PairOffsets [][2]int `json:"pair_offsets"`

	Random        []int32 // any ids
	RandomDecoded *string `json:"random_decoded"`
}

func diffTokenizers(t testing.TB) []diffTokenizer {
	t.Helper()
	f, err := os.Open("testdata/differential.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []diffTokenizer
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDifferential(t *testing.T) {
	for _, c := range diffTokenizers(t) {
		t.Run(c.Name, func(t *testing.T) {
			tok, err := Load([]byte(c.Tokenizer))
			if err != nil {
				t.Fatal(err)
			}
			if tok.Size() != c.Size {
				t.Errorf("Size is %d, want %d", tok.Size(), c.Size)
			}
			for _, k := range c.Cases {
				k.check(t, tok)
			}
		})
	}
}

func (k diffCase) check(t *testing.T, tok *Tokenizer) {
	g := goldenCase{Text: k.Text, IDs: k.IDs, Offsets: k.Offsets, Decoded: k.Decoded, DecodedSkipSpecial: k.DecodedSkipSpecial, IDsWithSpecial: k.IDsWithSpecial}
	g.check(t, tok)
	if e := tok.Encode(k.Text, true); !slices.Equal(pairs(e.Offsets), k.OffsetsWithSpecial) {
		t.Errorf("%q: offsets with special tokens %v, want %v", k.Text, e.Offsets, k.OffsetsWithSpecial)
	}
	g = goldenCase{Text: k.A, Pair: &k.B, IDsWithSpecial: k.PairIDs, TypeIDs: k.PairTypes, Offsets: k.PairOffsets}
	g.check(t, tok)
	goldenCase{IDs: k.Random}.checkDecode(t, tok, false, k.RandomDecoded)
}
