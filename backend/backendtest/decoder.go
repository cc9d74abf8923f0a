package backendtest

import (
	"math"

	"emily/backend"
)

// Decoder is the shape of a decoder of the kind of Qwen3 and Llama, for tests
// of how a backend runs a whole step of one.
type Decoder struct {
	Hidden, Heads, KVHeads, HeadDim, Inner, Layers, Vocabulary int
	Rotated                                                    int // elements of a head
	Capacity, Slots                                            int // of the caches
	QKNorm, QKVBias, OutBias, MLPBias, DownBias                bool
	Window                                                     int // of every second layer; 0 for none
	Top                                                        int // best tokens; 0 for all logits
	Cache                                                      backend.DType
	Closed                                                     bool // token and place are states, and the loop is closed
}

// Step records a step of one row: inputs ids, segments and want, outputs ids and
// values, or logits. A closed loop has the states token and segments instead of
// inputs, and the output ids alone. weight makes each weight, named as "embedding", "norm",
// "query", "query bias" and so on; tap, if not nil, sees the last layer's result
// and the rotations.
func (d Decoder) Step(weight func(name string, shape ...int) *backend.Weight, tap func(g *backend.Graph, x, rotary *backend.Tensor)) (g *backend.Graph, keys, values *backend.StateSpec) {
	keys = backend.CacheSpec("keys", d.Cache, d.Layers, d.Slots, d.KVHeads, d.Capacity, d.HeadDim)
	values = backend.CacheSpec("values", d.Cache, d.Layers, d.Slots, d.KVHeads, d.Capacity, d.HeadDim)
	frequencies := make([]float32, d.Rotated/2)
	for i := range frequencies {
		frequencies[i] = float32(math.Pow(100, -float64(i)/float64(len(frequencies))))
	}
	linear := func(x *backend.Tensor, name string, n int, bias bool) *backend.Tensor {
		w := weight(name, n, x.Dim(1))
		if !bias {
			return x.Linear(w, nil)
		}
		return x.Linear(w, weight(name+" bias", n))
	}
	qDim, kvDim := d.Heads*d.HeadDim, d.KVHeads*d.HeadDim

	g = backend.NewGraph()
	var ids *backend.Tensor
	var segments *backend.Segments
	token := &backend.StateSpec{Name: "token", DType: backend.I32, Shape: []int{1}}
	place := &backend.StateSpec{Name: "segments", DType: backend.I32, Shape: []int{1, 3}}
	if d.Closed {
		segments, ids = backend.SegmentsOf(g.ReadState(place), 1), g.ReadState(token)
	} else {
		ids, segments = g.Input("ids", backend.I32, 1), g.SegmentsInput(1)
	}
	rotary := segments.Positions().RotaryTable(frequencies, 1.1)
	x := g.Embedding(weight("embedding", d.Vocabulary, d.Hidden), ids)
	for l := range d.Layers {
		y := x.RMSNorm(weight("norm", d.Hidden), 1e-5)
		q, k, v := linear(y, "query", qDim, d.QKVBias), linear(y, "key", kvDim, d.QKVBias), linear(y, "value", kvDim, d.QKVBias)
		if d.QKNorm {
			q, k = q.RMSNorm(weight("norm", d.HeadDim), 1e-6), k.RMSNorm(weight("norm", d.HeadDim), 1e-6)
		}
		k.RoPE(rotary, d.KVHeads).CacheUpdate(keys, l, segments)
		v.CacheUpdate(values, l, segments)
		q = q.RoPE(rotary, d.Heads).Attention(backend.AttentionSpec{Heads: d.Heads, KVHeads: d.KVHeads, Causal: true, Window: d.Window * (l % 2),
			KeyState: keys, ValueState: values, Layer: l, Segments: segments})
		x = x.Add(linear(q, "out", d.Hidden, d.OutBias))
		y = x.RMSNorm(weight("norm", d.Hidden), 1e-5)
		h := linear(y, "gate", d.Inner, d.MLPBias).SwiGLU(linear(y, "up", d.Inner, d.MLPBias))
		x = x.Add(linear(h, "down", d.Hidden, d.DownBias))
	}
	if tap != nil {
		tap(g, x, rotary)
	}
	if !d.Closed {
		x = x.Rows(g.Input("want", backend.I32, 1))
	}
	logits := linear(x.RMSNorm(weight("norm", d.Hidden), 1e-5), "head", d.Vocabulary, false)
	if d.Closed {
		next, _ := logits.TopK(1)
		next = next.Reshape(1)
		g.WriteState(token, next)
		g.WriteState(place, segments.Table.Add(g.Ints([]int32{0, 1, 0}, 1, 3)))
		g.Output("ids", next)
		return g, keys, values
	}
	if d.Top == 0 {
		g.Output("logits", logits)
		return g, keys, values
	}
	best, scores := logits.TopK(d.Top)
	g.Output("ids", best)
	g.Output("values", scores)
	return g, keys, values
}
