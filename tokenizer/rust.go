//go:build hftokenizers

package tokenizer

import (
	"encoding/json"
	"fmt"
	"runtime"

	hf "github.com/daulet/tokenizers"
)

// Rust is the library "tokenizers" of Hugging Face, through github.com/daulet/tokenizers. It is there to be compared with.
// Texts end at the first NUL, since they cross to C.
type Rust struct{ t *hf.Tokenizer }

var _ Codec = (*Rust)(nil)

// LoadRust reads a tokenizer.json. Like [Load] it ignores truncation and padding. Close frees the memory.
func LoadRust(data []byte) (*Rust, error) {
	parts := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &parts); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	parts["truncation"], parts["padding"] = json.RawMessage("null"), json.RawMessage("null")
	data, err := json.Marshal(parts)
	if err != nil {
		return nil, err
	}
	t, err := hf.FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return &Rust{t}, nil
}

// AppendIDs appends the ids of text to dst.
func (r *Rust) AppendIDs(dst []int32, text string, addSpecial bool) []int32 {
	ids := r.t.EncodeWithOptions(text, addSpecial).IDs
	for _, id := range ids {
		dst = append(dst, int32(id))
	}
	runtime.KeepAlive(r)
	return dst
}

// Decode turns ids into text.
func (r *Rust) Decode(ids []int32, skipSpecial bool) string {
	u := make([]uint32, len(ids))
	for i, id := range ids {
		u[i] = uint32(id)
	}
	return r.t.Decode(u, skipSpecial)
}

// Size returns the number of tokens.
func (r *Rust) Size() int { return int(r.t.VocabSize()) }

// Close frees the memory of the library.
func (r *Rust) Close() error { return r.t.Close() }
