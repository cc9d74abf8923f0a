package qwen3

import (
	"strconv"

	"emily/arch"
	"emily/backend"
)

// Letters: T rows (tokens), H heads, KV heads of keys and values, D head_dim.

// pass is what all layers of one graph share.
type pass struct {
	*Model
	rope         *backend.Tensor // [T, D]: cosines and sines of each row's position
	segments     *backend.Segments
	keys, values *backend.StateSpec
}

// hidden records the decoder (Qwen3: Yang et al. 2025; Llama: Touvron et al.
// 2023) up to the last layer: ids [T] -> [T, hidden]. tap sees the embedding
// and each layer's output.
func (m *Model) hidden(g *backend.Graph, ids *backend.Tensor, segments *backend.Segments, keys, values *backend.StateSpec, tap func(*backend.Tensor)) *backend.Tensor {
	p := pass{Model: m, segments: segments, keys: keys, values: values}
	p.rope = p.segments.Positions().RotaryTable(m.inverseFrequencies, m.rotaryScale)

	x := g.Embedding(m.weights.Embed, ids)
	tap(x)
	for i := range m.weights.Layers {
		end := g.Scope("layers." + strconv.Itoa(i))
		x = p.layer(x, i)
		end()
		tap(x)
	}
	return x
}

// layer is one decoder block: attention and MLP, each after a norm and added to its input.
func (p pass) layer(x *backend.Tensor, i int) *backend.Tensor {
	l, eps := &p.weights.Layers[i], p.config.RMSNormEps
	x = x.Add(p.attention(x.RMSNorm(l.InputNorm, eps), &l.Attn, i))
	return x.Add(p.mlp(x.RMSNorm(l.PostNorm, eps), &l.MLP))
}

// attention is grouped-query attention over the cache: [T, hidden] -> [T, hidden].
func (p pass) attention(x *backend.Tensor, w *attention, i int) *backend.Tensor {
	c := p.config
	q := x.Linear(w.Q, w.QBias) // [T, H*D]
	k := x.Linear(w.K, w.KBias) // [T, KV*D]
	v := x.Linear(w.V, w.VBias) // [T, KV*D]
	if c.family.qkNorm {
		q, k = q.RMSNorm(w.QNorm, c.RMSNormEps), k.RMSNorm(w.KNorm, c.RMSNormEps) // each head
	}
	q, k = q.RoPE(p.rope, c.NumAttentionHeads), k.RoPE(p.rope, c.NumKeyValueHeads)
	k.CacheUpdate(p.keys, i, p.segments)
	v.CacheUpdate(p.values, i, p.segments)
	return q.Attention(backend.AttentionSpec{
		Heads: c.NumAttentionHeads, KVHeads: c.NumKeyValueHeads, Causal: true, Window: c.window(i),
		KeyState: p.keys, ValueState: p.values, Layer: i, Segments: p.segments,
	}).Linear(w.O, w.OBias)
}

// mlp is the gated feed-forward layer: down(act(gate x) · up x).
func (p pass) mlp(x *backend.Tensor, w *mlp) *backend.Tensor {
	gate, up := x.Linear(w.Gate, w.GateBias), x.Linear(w.Up, w.UpBias)
	h := gate.Activate(p.activation).Mul(up)
	if p.activation == backend.SiLU {
		h = gate.SwiGLU(up)
	}
	return h.Linear(w.Down, w.DownBias)
}

// score returns the logits of each row, [T, hidden] -> [T, vocab].
func (m *Model) score(x *backend.Tensor) *backend.Tensor {
	return x.RMSNorm(m.weights.Norm, m.config.RMSNormEps).Linear(m.head, nil)
}

var _ arch.Decoder = (*Model)(nil)
