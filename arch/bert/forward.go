package bert

import (
	"strconv"

	"emily/arch"
	"emily/backend"
)

// Letters: N texts, L tokens of each, T = N*L rows.

// hidden records the encoder (BERT: Devlin et al. 2019): T tokens of texts of
// one padded length -> [T, hidden], or the rows of it that want names. tap sees
// the embedding and each layer's output.
func (m *Model) hidden(g *backend.Graph, s shape, want rows, tap func(*backend.Tensor)) *backend.Tensor {
	lens := make([]int, s.texts)
	for i := range lens {
		lens[i] = s.length
	}
	ids := g.Input("ids", backend.I32, s.rows())
	types := g.Input("types", backend.I32, s.rows())
	segments := g.SegmentsInput(lens...)
	var last *backend.Tensor // the rows that the last layer computes
	if want != nil {
		last = want(g, s)
	}

	e := m.embeddings
	x := g.Embedding(e.Words, ids).Add(g.Embedding(e.Positions, segments.Positions()))
	if e.Types != nil {
		x = x.Add(g.Embedding(e.Types, types))
	}
	x = e.Norm.Forward(x, m.config.LayerNormEps)
	tap(x)
	encoder := arch.Encoder{Heads: m.config.NumAttentionHeads, Activation: m.activation, Eps: m.config.LayerNormEps, Segments: segments}
	for i := range m.layers {
		end := g.Scope("layers." + strconv.Itoa(i))
		if i < len(m.layers)-1 {
			x = encoder.Layer(x, &m.layers[i], nil)
		} else {
			x = encoder.Layer(x, &m.layers[i], last)
		}
		end()
		tap(x)
	}
	return x
}

// rows records which rows are wanted, I32 [n]; nil means all.
type rows func(g *backend.Graph, s shape) *backend.Tensor

// firstTokens names the row of each text's first token, [N].
func firstTokens(g *backend.Graph, s shape) *backend.Tensor {
	ids := make([]int32, s.texts)
	for i := range ids {
		ids[i] = int32(i * s.length)
	}
	return g.Ints(ids, s.texts)
}

func (h dense) forward(x *backend.Tensor) *backend.Tensor { return x.Linear(h.Weight, h.Bias) }

func (h textHead) forward(x *backend.Tensor, act backend.Activation) *backend.Tensor {
	return x.Linear(h.Dense, h.DenseBias).Activate(act).Linear(h.Out, h.OutBias)
}

func (h maskHead) forward(x *backend.Tensor, act backend.Activation, eps float32) *backend.Tensor {
	return h.Norm.Forward(x.Linear(h.Dense, h.DenseBias).Activate(act), eps).Linear(h.Out, h.OutBias)
}
