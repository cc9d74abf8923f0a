package arch

import (
	"context"
	"errors"

	"emily/backend"
)

// Decoder is a causal language model.
type Decoder interface {
	Model
	// Vocab is the number of logits of a token.
	Vocab() int
	// Context is the largest number of positions.
	Context() int
	// NewSequence returns an empty sequence, a cache of keys and values.
	NewSequence() (Sequence, error)
	// Tap runs ids as a new sequence and returns every hidden state,
	// [len(ids), hidden] each: the embedding, then each layer's output, and last
	// the final norm's.
	Tap(ctx context.Context, ids []int32) ([][]float32, error)
}

// ErrNotNumbers is returned when a model's largest logit is NaN or infinite.
var ErrNotNumbers = errors.New("the largest logit is NaN or infinite: the weights or the computation are broken")

// Sequence is the state of one text: the tokens that the model has seen. It is
// used by one goroutine at a time.
type Sequence interface {
	// Extend runs more tokens through the model.
	//
	// With k > 0 it returns the k largest logits of the last token, k at most
	// backend.MaxTopK: their ids and values, largest first, in buffers that the next call reuses.
	Extend(ctx context.Context, ids []int32, k int) (top []int32, logits []float32, err error)
	// Logits is Extend with all logits, [rows, vocab], of the last token or, with all, of each token.
	Logits(ctx context.Context, ids []int32, all bool) ([]float32, error)
	// Greedy runs token, then the most likely token after it, and so on, as Extend
	// with k = 1 would; the backend goes from token to token by itself, and ahead
	// of yield where it can. yield gets up to n tokens and ends the loop with false;
	// it may close the model, which ends it with ErrClosed. The sequence has seen token then, and all that
	// yield got but the last. ErrNotNumbers ends it too.
	Greedy(ctx context.Context, token int32, n int, yield func(int32) bool) error
	// Length is the number of tokens seen.
	Length() int
	// Truncate forgets the tokens from n on.
	Truncate(n int)
	// Bytes is the memory of the cache.
	Bytes() int
	Close() error
}

// KVCache is a pair of states, for keys and values, that grows in powers of two.
type KVCache struct {
	Keys, Values backend.State
}

// CacheShape is the shape of a decoder's cache but for its capacity.
type CacheShape struct {
	DType                  backend.DType
	Layers, Heads, HeadDim int
}

// minCapacity is the smallest cache, in positions.
const minCapacity = 256

// Capacity returns the positions of the cache that holds n: a power of two
// from 256, at most the context.
func Capacity(n, context int) int {
	c := minCapacity
	for c < n {
		c *= 2
	}
	return min(c, max(context, 1))
}

// Specs returns the specs of keys and values for a capacity.
func (s CacheShape) Specs(capacity int) (keys, values *backend.StateSpec) {
	return backend.CacheSpec("keys", s.DType, s.Layers, 1, s.Heads, capacity, s.HeadDim),
		backend.CacheSpec("values", s.DType, s.Layers, 1, s.Heads, capacity, s.HeadDim)
}

// NewKVCache allocates the states.
func NewKVCache(b backend.Backend, keys, values *backend.StateSpec) (KVCache, error) {
	k, err := b.NewState(keys)
	if err != nil {
		return KVCache{}, err
	}
	v, err := b.NewState(values)
	if err != nil {
		k.Close()
		return KVCache{}, err
	}
	return KVCache{k, v}, nil
}

// CopyTo copies the first n positions of every head.
func (c KVCache) CopyTo(d KVCache, n int) error {
	for _, pair := range [][2]backend.State{{c.Keys, d.Keys}, {c.Values, d.Values}} {
		from, to := pair[0].Spec(), pair[1].Spec()
		row := from.Shape[4] * from.DType.Size()
		buf := make([]byte, n*row)
		for head := range from.Shape[0] * from.Shape[1] * from.Shape[2] {
			if err := pair[0].Read(buf, head*from.Capacity()*row); err != nil {
				return err
			}
			if err := pair[1].Write(buf, head*to.Capacity()*row); err != nil {
				return err
			}
		}
	}
	return nil
}

// Bytes is the memory of both states.
func (c KVCache) Bytes() int {
	if c.Keys == nil {
		return 0
	}
	return c.Keys.Spec().Bytes() + c.Values.Spec().Bytes()
}

// Close frees the states.
func (c KVCache) Close() {
	if c.Keys != nil {
		c.Keys.Close()
		c.Values.Close()
	}
}
