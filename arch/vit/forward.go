package vit

import (
	"strconv"

	"emily/arch"
	"emily/backend"
)

// Letters: N images, C channels, P patches of height p and width q in a grid of
// G rows and R columns, S special tokens, T = N*(S+P) rows.

// hidden records the encoder (ViT: Dosovitskiy et al. 2021; DeiT: Touvron et
// al. 2021) up to its last norm: pixels [N, C, height, width] -> [T, hidden].
// tap sees the embedding and each layer's output, before the last norm.
func (m *Model) hidden(g *backend.Graph, images int, tap func(*backend.Tensor)) *backend.Tensor {
	x := m.embed(g, images)
	tap(x)
	encoder := arch.Encoder{Heads: m.config.NumAttentionHeads, Activation: m.activation, Eps: m.config.LayerNormEps, PreNorm: true}
	if images > 1 {
		encoder.Segments = m.segments(g, images)
	}
	for i := range m.layers {
		end := g.Scope("layers." + strconv.Itoa(i))
		x = encoder.Layer(x, &m.layers[i])
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

// special keeps one special token of each image: [T, hidden] -> [N, hidden].
func (m *Model) special(g *backend.Graph, x *backend.Tensor, images, token int) *backend.Tensor {
	rows := make([]int32, images)
	for i := range rows {
		rows[i] = int32(i*m.rows() + token)
	}
	return x.Rows(g.Ints(rows, images))
}

// classify scores the class token: [T, hidden] -> [N, labels].
func (m *Classifier) classify(g *backend.Graph, x *backend.Tensor, images int) *backend.Tensor {
	return m.special(g, x, images, 0).Linear(m.head.Weight, m.head.Bias)
}

// classify averages the scores of the class token and of the distillation token.
func (m *DistilledClassifier) classify(g *backend.Graph, x *backend.Tensor, images int) *backend.Tensor {
	class := m.special(g, x, images, 0).Linear(m.head.Class, m.head.ClassBias)
	distillation := m.special(g, x, images, 1).Linear(m.head.Distillation, m.head.DistillationBias)
	return class.Add(distillation).Mul(g.Scalar(0.5))
}
