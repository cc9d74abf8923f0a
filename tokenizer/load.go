package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

// maxFile bounds a tokenizer.json; the largest in use are below 40 MB.
const maxFile = 1 << 30

// Load reads a tokenizer.json. It returns an error for what is not valid and for kinds of parts that it does not
// know. Truncation and padding, which the file can ask for, are not done; see MaxLength.
func Load(data []byte) (*Tokenizer, error) {
	t, err := load(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return t, nil
}

func load(data []byte) (*Tokenizer, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%d bytes are too many; at most %d are read", len(data), maxFile)
	}
	t := &Tokenizer{cache: &wordCache{}}
	parts := map[string]json.RawMessage{}
	s := scanner{data: data}
	err := s.list(func(key []byte) (err error) {
		if string(key) == "model" && s.peek() == '{' {
			t.model, t.vocab, err = parseModel(&s)
			return err
		}
		name := string(key)
		parts[name], err = s.raw()
		return err
	})
	if err != nil {
		return nil, err
	}
	if t.model == nil {
		return nil, errors.New("there is no model; is this the tokenizer.json of a checkpoint?")
	}
	return t, t.setParts(parts)
}

// setParts reads all but the model.
func (t *Tokenizer) setParts(parts map[string]json.RawMessage) (err error) {
	if t.normalizer, err = parseNormalizer(parts["normalizer"], 0); err == nil && growth(t.normalizer) > maxGrowth {
		err = fmt.Errorf("the normalizers could make a text more than %d times longer", maxGrowth)
	}
	if err != nil {
		return err
	}
	if t.pre, err = parsePreTokenizers(parts["pre_tokenizer"], 0); err != nil {
		return err
	}
	for _, p := range t.pre {
		if m, ok := p.(*metaspace); ok && m.prepend == "first" {
			t.needOrigin = true
		}
	}
	if n := len(t.pre); n > 0 {
		if m, ok := t.model.(*bpe); ok && t.pre[n-1] == (byteLevel{}) && m.useBytes() {
			t.pre = t.pre[:n-1]
		}
	}
	if t.post, err = parsePostProcessors(parts["post_processor"], 0); err != nil {
		return err
	}
	if t.decoders, err = parseDecoders(parts["decoder"], 0); err != nil {
		return err
	}
	t.hasDecoder = !isNull(parts["decoder"])
	var truncation struct {
		MaxLength int `json:"max_length"`
	}
	if raw := parts["truncation"]; !isNull(raw) {
		if err := json.Unmarshal(raw, &truncation); err != nil {
			return fmt.Errorf("truncation: %w", err)
		}
	}
	t.maxLength = max(0, truncation.MaxLength)
	var added []AddedToken
	if raw := parts["added_tokens"]; !isNull(raw) {
		if err := json.Unmarshal(raw, &added); err != nil {
			return fmt.Errorf("added_tokens: %w", err)
		}
	}
	t.added = newAddedTokens(added, t.vocab, t.normalize)
	return nil
}

// normalize applies the normaliser to a string by itself.
func (t *Tokenizer) normalize(text string) string {
	if t.normalizer == nil || text == "" {
		return text
	}
	var w work
	w.begin(text, false)
	t.normalizer.normalize(&w)
	return string(w.text)
}
