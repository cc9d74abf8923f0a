package arch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"emily/loader"
	"emily/tokenizer"
)

// Embedder turns texts into vectors that are close to each other where the
// meaning is (Reimers and Gurevych 2019). It is safe for concurrent use.
type Embedder struct {
	model     TextEncoder
	tokenizer *tokenizer.Tokenizer
	recipe    recipe
}

// embedBatch is the number of texts whose hidden states are held at once.
const embedBatch = 64

// recipe is how a text's tokens become one vector.
type recipe struct {
	pooling   pooling
	normalise bool
	maxTokens int
}

// pooling is how hidden states become one vector, by its name in a pooling's config.json.
type pooling string

const (
	meanPooling     pooling = "pooling_mode_mean_tokens" // of all tokens, special ones too
	classPooling    pooling = "pooling_mode_cls_token"   // the first token's
	maxPooling      pooling = "pooling_mode_max_tokens"  // of each element
	meanSqrtPooling pooling = "pooling_mode_mean_sqrt_len_tokens"
)

// NewEmbedder reads the tokenizer and the files of sentence-transformers
// (modules.json, the pooling's config.json, sentence_bert_config.json) that
// lie beside a model's weights. Without them the vector is the mean of the
// hidden states, normalised to length 1.
func NewEmbedder(l *Loaded) (*Embedder, error) {
	m, ok := l.Model.(TextEncoder)
	if !ok {
		return nil, fmt.Errorf("%s is a %s, which embeds no texts: use emily %s", l.Folder.Name(), l.Class.Name, l.Class.Task)
	}
	t, err := ReadTokenizer(l.Folder)
	if err != nil {
		return nil, err
	}
	r, err := readRecipe(l.Folder)
	if err != nil {
		return nil, err
	}
	if limit := m.MaxTokens(); r.maxTokens <= 0 || r.maxTokens > limit {
		r.maxTokens = limit
	}
	return &Embedder{m, t, r}, nil
}

// Size is the number of elements of a vector.
func (e *Embedder) Size() int { return e.model.HiddenSize() }

// MaxTokens is the number of tokens after which a text is cut off.
func (e *Embedder) MaxTokens() int { return e.recipe.maxTokens }

// Embed returns the vector of each text. Of texts longer than MaxTokens the
// beginning is used.
func (e *Embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	batch := make([]Tokens, len(texts))
	order := make([]int, len(texts))
	for i, text := range texts {
		batch[i], order[i] = truncate(e.tokenizer.Encode(text, true), e.recipe.maxTokens), i
	}
	// Texts of about one length share a run, and few of them hidden states at a time.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(batch[b].IDs), len(batch[a].IDs)) })
	vectors := make([][]float32, len(texts))
	for some := range slices.Chunk(order, embedBatch) {
		piece := make([]Tokens, len(some))
		for i, text := range some {
			piece[i] = batch[text]
		}
		hidden, err := e.model.Hidden(ctx, piece)
		if err != nil {
			return nil, err
		}
		for i, text := range some {
			vectors[text] = e.recipe.pool(hidden[i], e.Size())
		}
	}
	return vectors, nil
}

// truncate drops the last tokens of the text, but keeps what stands after it, such as [SEP].
func truncate(e tokenizer.Encoding, most int) Tokens {
	ids, types := e.IDs, e.TypeIDs
	if extra := len(ids) - most; extra > 0 {
		end := len(ids)
		for end > 0 && e.Special[end-1] {
			end--
		}
		from := max(0, end-extra)
		ids = slices.Delete(slices.Clone(ids), from, end)
		types = slices.Delete(slices.Clone(types), from, end)
	}
	return Tokens{ids, types}
}

// pool turns hidden states [tokens, size] into one vector.
func (r recipe) pool(hidden []float32, size int) []float32 {
	tokens := len(hidden) / size
	v := make([]float64, size)
	for i := range tokens {
		for j, x := range hidden[i*size : (i+1)*size] {
			switch {
			case r.pooling == maxPooling && i > 0:
				v[j] = max(v[j], float64(x))
			case r.pooling != classPooling || i == 0:
				v[j] += float64(x)
			}
		}
	}
	scale := 1.0
	switch r.pooling {
	case meanPooling:
		scale = 1 / float64(tokens)
	case meanSqrtPooling:
		scale = 1 / math.Sqrt(float64(tokens))
	}
	if r.normalise {
		squares := 0.0
		for _, x := range v {
			squares += x * x
		}
		if squares > 0 {
			scale = 1 / math.Sqrt(squares)
		}
	}
	vector := make([]float32, size)
	for i, x := range v {
		vector[i] = float32(x * scale)
	}
	return vector
}

// readRecipe reads the files of sentence-transformers.
func readRecipe(f *loader.Folder) (recipe, error) {
	r := recipe{pooling: meanPooling, normalise: true}
	var limit struct {
		MaxSeqLength int `json:"max_seq_length"`
	}
	if err := optionalJSON(f, "sentence_bert_config.json", &limit); err != nil {
		return r, err
	}
	r.maxTokens = limit.MaxSeqLength
	var modules []struct{ Path, Type string }
	if err := optionalJSON(f, "modules.json", &modules); err != nil || modules == nil {
		return r, err
	}
	r.normalise = false
	for _, m := range modules {
		switch kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]; kind {
		case "Transformer":
		case "Normalize":
			r.normalise = true
		case "Pooling":
			var err error
			if r.pooling, err = readPooling(f, path.Join(m.Path, "config.json")); err != nil {
				return r, err
			}
		default:
			return r, fmt.Errorf("%s: modules.json has a module %s; Transformer, Pooling and Normalize are supported", f.Name(), kind)
		}
	}
	return r, nil
}

// readPooling finds the one mode that a pooling's configuration switches on.
func readPooling(f *loader.Folder, name string) (pooling, error) {
	var fields map[string]any
	if err := optionalJSON(f, name, &fields); err != nil {
		return "", err
	}
	var on []pooling
	for field, value := range fields {
		if strings.HasPrefix(field, "pooling_mode_") && value == true {
			on = append(on, pooling(field))
		}
	}
	if len(on) == 0 {
		return meanPooling, nil
	}
	slices.Sort(on)
	if len(on) > 1 || !slices.Contains([]pooling{meanPooling, classPooling, maxPooling, meanSqrtPooling}, on[0]) {
		return "", fmt.Errorf("%s/%s: the pooling %s is not supported; one of mean, cls, max and mean_sqrt_len is", f.Name(), name, on)
	}
	return on[0], nil
}

// optionalJSON decodes a file if there is one.
func optionalJSON(f *loader.Folder, name string, v any) error {
	if err := f.ReadJSON(name, v); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Cosines returns the cosine of the angle between every two vectors.
func Cosines(rows [][]float32) [][]float32 {
	length := make([]float64, len(rows))
	for i, a := range rows {
		length[i] = math.Sqrt(dot(a, a))
	}
	out := make([][]float32, len(rows))
	for i, a := range rows {
		out[i] = make([]float32, len(rows))
		for j, b := range rows {
			out[i][j] = float32(dot(a, b) / max(length[i]*length[j], math.SmallestNonzeroFloat64))
		}
	}
	return out
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}
