package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

func TestDev(t *testing.T) {
	data, err := os.ReadFile("/tmp/tk/diffcases.json")
	if err != nil {
		t.Skip()
	}
	var all []struct {
		Name, Tokenizer string
		Size            int
		Cases           []struct {
			Text, A, B         string
			IDs                []int32
			Offsets            [][2]int
			Decoded            *string
			DecodedSkipSpecial *string  `json:"decoded_skip_special"`
			IDsWithSpecial     []int32  `json:"ids_with_special"`
			OffsetsWithSpecial [][2]int `json:"offsets_with_special"`
			PairIDs            []int32  `json:"pair_ids"`
			PairTypes          []int32  `json:"pair_types"`
			PairOffsets        [][2]int `json:"pair_offsets"`
			Random             []int32
			RandomDecoded      *string `json:"random_decoded"`
		}
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			tok, err := Load([]byte(c.Tokenizer))
			if err != nil {
				t.Fatal(err)
			}
			if tok.Size() != c.Size {
				t.Errorf("size %d want %d", tok.Size(), c.Size)
			}
			n := 0
			for _, k := range c.Cases {
				if n > 6 {
					t.Fatal("...")
				}
				e := tok.Encode(k.Text, false)
				bad := func(f string, a ...any) { n++; t.Errorf("%+q: "+f, append([]any{k.Text}, a...)...) }
				if !slices.Equal(e.IDs, k.IDs) {
					bad("ids %v want %v", e.IDs, k.IDs)
					continue
				}
				if !slices.Equal(pairs(e.Offsets), k.Offsets) {
					bad("offsets %v want %v", pairs(e.Offsets), k.Offsets)
				}
				f := tok.Encode(k.Text, true)
				if !slices.Equal(f.IDs, k.IDsWithSpecial) || !slices.Equal(pairs(f.Offsets), k.OffsetsWithSpecial) {
					bad("special ids %v %v want %v %v", f.IDs, f.Offsets, k.IDsWithSpecial, k.OffsetsWithSpecial)
				}
				if a := tok.AppendIDs(nil, k.Text, true); !slices.Equal(a, k.IDsWithSpecial) {
					bad("append ids %v want %v", a, k.IDsWithSpecial)
				}
				p := tok.EncodePair(k.A, k.B, true)
				if !slices.Equal(p.IDs, k.PairIDs) || !slices.Equal(p.TypeIDs, k.PairTypes) || !slices.Equal(pairs(p.Offsets), k.PairOffsets) {
					bad("pair ids %v %v %v want %v %v %v", p.IDs, p.TypeIDs, p.Offsets, k.PairIDs, k.PairTypes, k.PairOffsets)
				}
				if k.Decoded != nil {
					if d := tok.Decode(k.IDs, false); d != *k.Decoded {
						bad("decoded %+q want %+q", d, *k.Decoded)
					}
					if d := tok.Decode(k.IDs, true); d != *k.DecodedSkipSpecial {
						bad("decoded skip %+q want %+q", d, *k.DecodedSkipSpecial)
					}
				}
				if k.RandomDecoded != nil {
					if d := tok.Decode(k.Random, false); d != *k.RandomDecoded {
						bad("random %v decoded %+q want %+q", k.Random, d, *k.RandomDecoded)
					}
				}
			}
		})
	}
}
