package vit

import (
	"strconv"

	"emily/arch"
	"emily/backend"
)

// Letters: N images, C channels, P patches of height p and width q in a grid of
// G rows and R columns, S special tokens, T = N*(S+P) rows.

// hidden records the encoder (ViT: Dosovitskiy et al. 2021; DeiT: Touvron et
// al. 2021) up to its last norm: pixels [N, C, height, width] -> [T, hidden],
// or of each special token that want lists the N rows. tap sees the embedding
// and each layer's output, before the last norm.
func (m *Model) hidden(g *backend.Graph, images int, want []int, tap func(*backend.Tensor)) *backend.Tensor {
	x := m.embed(g, images)
	tap(x)
	encoder := arch.Encoder{Heads: m.config.NumAttentionHeads, Activation: m.activation, Eps: m.config.LayerNormEps, PreNorm: true}
	if images > 1 {
		encoder.Segments = m.segments(g, images)
	}
	for i := range m.layers {
		end := g.Scope("layers." + strconv.Itoa(i))
		if i < len(m.layers)-1 {
			x = encoder.Layer(x, &m.layers[i], nil)
		} else {
			x = encoder.Layer(x, &m.layers[i], m.special(g, images, want))
		}
		end()
		tap(x)
	}
	return m.weights.Norm.Forward(x, m.config.LayerNormEps)
}

// embed turns each patch into a row by one linear layer, puts the special
// tokens before them and adds the positions: [T, hidden].
func (m *Model) embed(g *backend.Graph, images int) *backend.Tensor {
	c, e := m.config, m.weights.Embeddings
	grid, patch := c.grid(), c.PatchSize
	pixels := g.Input("pixels", backend.F32, images*c.NumChannels, c.ImageSize.height, c.ImageSize.width)
	// [N, C, G, p, R, q] -> [N, G, R, C, p, q]: the order of the kernel's elements
	x := pixels.Reshape(images, c.NumChannels, grid.height, patch.height, grid.width, patch.width).Transpose(0, 2, 4, 1, 3, 5)
	x = x.Reshape(images*grid.height*grid.width, m.patch.Shape[1]).Linear(m.patch, e.PatchBias)

	token := func(w *backend.Weight) *backend.Tensor {
		return g.Weight(w).Cast(backend.F32).Broadcast(images, 1, c.HiddenSize)
	}
	parts := []*backend.Tensor{token(e.Class)}
	if m.distilled {
		parts = append(parts, token(e.Distillation))
	}
	x = backend.Concat(1, append(parts, x.Reshape(images, -1, c.HiddenSize))...) // [N, S+P, hidden]
	return x.Add(g.Weight(e.Positions).Cast(backend.F32)).Reshape(-1, c.HiddenSize)
}

// segments keeps images apart.
func (m *Model) segments(g *backend.Graph, images int) *backend.Segments {
	lens, table := make([]int, images), make([]int32, 3*images)
	for i := range lens {
		lens[i] = m.rows()
		table[3*i+2] = int32(m.rows())
	}
	return backend.SegmentsOf(g.Ints(table, images, 3), lens...)
}

// special names the rows of some special tokens: of the first token those of
// all images, and so on. It is nil for none, which means all rows.
func (m *Model) special(g *backend.Graph, images int, tokens []int) *backend.Tensor {
	var rows []int32
	for _, token := range tokens {
		for i := range images {
			rows = append(rows, int32(i*m.rows()+token))
		}
	}
	if rows == nil {
		return nil
	}
	return g.Ints(rows, len(rows))
}

// forward is tanh of a linear layer of the class token: [N, hidden] -> [N, hidden].
func (w dense) forward(x *backend.Tensor) *backend.Tensor { return x.Linear(w.Weight, w.Bias).Tanh() }

// forward scores the class token: [N, hidden] -> [N, labels].
func (w classifier) forward(x *backend.Tensor) *backend.Tensor { return x.Linear(w.Weight, w.Bias) }

// forward averages the scores of the N class tokens and of the N distillation
// tokens after them: [2N, hidden] -> [N, labels].
func (w distilledClassifier) forward(g *backend.Graph, x *backend.Tensor) *backend.Tensor {
	n := x.Dim(0) / 2
	class := x.Slice(0, 0, n).Linear(w.Class, w.ClassBias)
	distillation := x.Slice(0, n, 2*n).Linear(w.Distillation, w.DistillationBias)
	return class.Add(distillation).Mul(g.Scalar(0.5))
}
