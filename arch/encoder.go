package arch

import "emily/backend"

// Norm is a layer norm. Architectures bind it under their own path.
type Norm struct {
	Weight *backend.Weight `tensor:"weight|gamma" shape:"hidden"`
	Bias   *backend.Weight `tensor:"bias|beta" shape:"hidden"`
}

// Forward normalises each row.
func (n Norm) Forward(x *backend.Tensor, eps float32) *backend.Tensor {
	return x.LayerNorm(n.Weight, n.Bias, eps)
}

// Attention is the projections of an attention layer, each [hidden, hidden]; a
// bias may be nil. An architecture binds a struct with the same fields under
// its own names and converts it, which Go allows whatever the tags are.
type Attention struct {
	Q, QBias, K, KBias, V, VBias, O, OBias *backend.Weight
}

// MLP is the feed-forward layer, bound like Attention.
type MLP struct {
	Up, UpBias, Down, DownBias *backend.Weight
}

// Forward is down(act(up x)): [T, hidden] -> [T, hidden].
func (w MLP) Forward(x *backend.Tensor, act backend.Activation) *backend.Tensor {
	return x.Linear(w.Up, w.UpBias).Activate(act).Linear(w.Down, w.DownBias)
}

// Encoder is what the layers of a bidirectional transformer (Vaswani et al.
// 2017) share: that of BERT, ViT and Whisper's encoder.
type Encoder struct {
	Heads      int
	Activation backend.Activation
	Eps        float32
	// PreNorm normalises before attention and MLP, as ViT and Whisper do; without
	// it each sum is normalised, as in BERT (Xiong et al. 2020 compare the two).
	PreNorm bool
	// Segments of the rows; nil means that all rows see each other.
	Segments *backend.Segments
}

// EncoderLayer is the weights of one layer.
type EncoderLayer struct {
	Attention     Attention
	AttentionNorm Norm
	MLP           MLP
	MLPNorm       Norm
}

// Layer is attention and MLP, each with its norm and added to its input: [T,
// hidden] -> [T, hidden]. If only some rows of the last layer are read, such as
// the first token of each text, want names them, I32 [n], and the result is
// [n, hidden]; else it is nil.
func (e Encoder) Layer(x *backend.Tensor, w *EncoderLayer, want *backend.Tensor) *backend.Tensor {
	h := x
	if e.PreNorm {
		h = w.AttentionNorm.Forward(x, e.Eps)
	}
	h = e.attention(h, w.Attention)
	if want != nil {
		h, x = h.Rows(want), x.Rows(want)
	}
	x = x.Add(h.Linear(w.Attention.O, w.Attention.OBias))
	if e.PreNorm {
		return x.Add(w.MLP.Forward(w.MLPNorm.Forward(x, e.Eps), e.Activation))
	}
	x = w.AttentionNorm.Forward(x, e.Eps)
	return w.MLPNorm.Forward(x.Add(w.MLP.Forward(x, e.Activation)), e.Eps)
}

// attention mixes the rows of each segment, before the output projection.
func (e Encoder) attention(x *backend.Tensor, w Attention) *backend.Tensor {
	q, k, v := x.Linear(w.Q, w.QBias), x.Linear(w.K, w.KBias), x.Linear(w.V, w.VBias)
	return q.Attention(backend.AttentionSpec{Heads: e.Heads, KVHeads: e.Heads, K: k, V: v, Segments: e.Segments})
}
