package whisper

import (
	"strconv"

	"emily/arch"
	"emily/backend"
)

// Letters: T rows (tokens), P positions of the sound, F = 2P frames of
// features, M mel bins, H heads, D head_dim.

const eps = 1e-5 // of every layer norm

// encode records the encoder (Radford et al. 2022): features [M, F] -> [P, hidden].
// tap sees the embedding and each layer's output.
func (m *Model) encode(g *backend.Graph, tap func(*backend.Tensor)) *backend.Tensor {
	c, w := m.config, &m.weights.Encoder
	bias := func(x *backend.Tensor, b *backend.Weight) *backend.Tensor {
		return x.Add(g.Weight(b).Cast(backend.F32))
	}

	x := g.Input("features", backend.F32, c.NumMelBins, c.frames()).Transpose(1, 0) // [F, M]
	x = bias(x.Conv(g.Weight(w.Conv1), 1, 1), w.Conv1Bias).GELU()
	x = bias(x.Conv(g.Weight(w.Conv2), 2, 1), w.Conv2Bias).GELU() // [P, hidden]
	x = x.Add(g.Weight(w.Positions).Cast(backend.F32))
	tap(x)
	encoder := arch.Encoder{Heads: c.EncoderAttentionHeads, Activation: m.activation, Eps: eps, PreNorm: true}
	for i := range m.layers {
		end := g.Scope("encoder." + strconv.Itoa(i))
		x = encoder.Layer(x, &m.layers[i], nil)
		end()
		tap(x)
	}
	return w.Norm.Forward(x, eps)
}

// keep writes the keys and values that each decoder layer's cross attention
// reads: x [P, hidden] is the encoder's output.
func (m *Model) keep(g *backend.Graph, x *backend.Tensor) {
	p := m.config.MaxSourcePositions
	segments := backend.SegmentsOf(g.Ints([]int32{0, 0, int32(p)}, 1, 3), p)
	for i := range m.weights.Decoder.Layers {
		w := &m.weights.Decoder.Layers[i].Sound
		x.Linear(w.K, nil).CacheUpdate(m.specs.soundKeys, i, segments)
		x.Linear(w.V, w.VBias).CacheUpdate(m.specs.soundValues, i, segments)
	}
}

// decode records the decoder up to its last layer: tokens [T] -> [T, hidden].
// tap sees the embedding and each layer's output; attended, if not nil, each
// layer's queries of the sound, [T, H*D].
func (m *Model) decode(g *backend.Graph, rows int, tap func(*backend.Tensor), attended func(layer int, q *backend.Tensor)) *backend.Tensor {
	w := &m.weights.Decoder
	ids := g.Input("ids", backend.I32, rows)
	segments := g.SegmentsInput(rows)
	x := g.Embedding(w.Embed, ids).Add(g.Embedding(w.Positions, segments.Positions()))
	tap(x)
	for i := range w.Layers {
		l := &w.Layers[i]
		end := g.Scope("decoder." + strconv.Itoa(i))
		x = x.Add(m.attendText(l.AttentionNorm.Forward(x, eps), &l.Attention, i, segments))
		q := l.SoundNorm.Forward(x, eps).Linear(l.Sound.Q, l.Sound.QBias)
		if attended != nil {
			attended(i, q)
		}
		x = x.Add(m.attendSound(q, &l.Sound, i, segments))
		x = x.Add(arch.MLP(l.MLP).Forward(l.MLPNorm.Forward(x, eps), m.activation))
		end()
		tap(x)
	}
	return x
}

// attendText is causal attention over the tokens so far: [T, hidden] -> [T, hidden].
func (m *Model) attendText(x *backend.Tensor, w *attention, i int, segments *backend.Segments) *backend.Tensor {
	q, k, v := x.Linear(w.Q, w.QBias), x.Linear(w.K, nil), x.Linear(w.V, w.VBias)
	k.CacheUpdate(m.specs.keys, i, segments)
	v.CacheUpdate(m.specs.values, i, segments)
	h := m.config.DecoderAttentionHeads
	return q.Attention(backend.AttentionSpec{
		Heads: h, KVHeads: h, Causal: true, KeyState: m.specs.keys, ValueState: m.specs.values, Layer: i, Segments: segments,
	}).Linear(w.O, w.OBias)
}

// attendSound is attention over all positions of the sound, by queries [T, H*D].
func (m *Model) attendSound(q *backend.Tensor, w *attention, i int, segments *backend.Segments) *backend.Tensor {
	h := m.config.DecoderAttentionHeads
	return q.Attention(backend.AttentionSpec{
		Heads: h, KVHeads: h, KeyState: m.specs.soundKeys, ValueState: m.specs.soundValues, Layer: i,
		Keys: m.config.MaxSourcePositions, Segments: segments,
	}).Linear(w.O, w.OBias)
}

// logits scores the tokens after each row: [T, hidden] -> [T, vocab].
func (m *Model) logits(x *backend.Tensor) *backend.Tensor {
	return m.weights.Decoder.Norm.Forward(x, eps).Linear(m.head, nil)
}
