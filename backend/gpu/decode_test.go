package gpu

import (
	"errors"
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
)

// step plans a step of a small decoder. change sees each weight before it is made.
func step(t *testing.T, dtype backend.DType, change func(w *backend.Weight), tap func(g *backend.Graph, x, rotary *backend.Tensor)) *backend.Plan {
	t.Helper()
	d := backendtest.Decoder{Hidden: 64, Heads: 4, KVHeads: 2, HeadDim: 16, Inner: 96, Layers: 2, Vocabulary: 128, Rotated: 16,
		Capacity: 32, Slots: 1, QKNorm: true, Top: 1, Cache: dtype}
	g, _, _ := d.Step(func(name string, shape ...int) *backend.Weight {
		w := &backend.Weight{Name: name, DType: backend.BF16, Shape: shape}
		if change != nil {
			change(w)
		}
		w.Data = make([]byte, w.Elements()*w.DType.Size())
		return w
	}, tap)
	p, err := backend.NewPlan(&Backend{}, g, backend.Options{DType: dtype, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRecogniseDecode(t *testing.T) {
	for _, dtype := range []backend.DType{backend.F32, backend.BF16} {
		p := step(t, dtype, nil, nil)
		d, err := recogniseDecode(p)
		if err != nil {
			t.Fatalf("%s: %v", dtype, err)
		}
		if len(d.steps) != len(p.Steps) || d.last != len(p.Steps)-1 {
			t.Errorf("%s: %d of %d steps are taken", dtype, len(d.steps), len(p.Steps))
		}
		s, err := d.sizes()
		if err != nil {
			t.Fatal(err)
		}
		if s.hidden != 64 || s.heads != 4 || s.kvHeads != 2 || s.dim != 16 || s.inner != 96 || s.layers != 2 || s.vocabulary != 128 || s.pairs != 8 || !s.qkNorm || s.qkvBias || s.rounded != (dtype == backend.BF16) {
			t.Errorf("%s: %+v", dtype, s)
		}
		if l := d.layers[1]; l.query.Name != "query" || l.key.Name != "key" || l.value.Name != "value" || l.out.Name != "out" || l.gate.Name != "gate" || l.up.Name != "up" || l.down.Name != "down" {
			t.Errorf("%s: the weights are not in their places: %+v", dtype, l)
		}
	}
}

// TestRefusedDecode says in words why a decoder is run by kernels for its parts.
func TestRefusedDecode(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*backend.Weight)
		tap    func(g *backend.Graph, x, rotary *backend.Tensor)
		want   string
	}{
		{"stored in f32", func(w *backend.Weight) {
			if w.Name == "up" {
				w.DType = backend.F32
			}
		}, nil, "up is stored in f32, not in bf16"},
		{"hidden states", nil, func(g *backend.Graph, x, _ *backend.Tensor) { g.Output("hidden", x) }, "hidden"},
		{"another reader", nil, func(g *backend.Graph, x, _ *backend.Tensor) { g.Output("twice", x.Add(x)) }, "runs between the layers"},
		{"rotations elsewhere", nil, func(g *backend.Graph, _, rotary *backend.Tensor) { g.Output("table", rotary) }, "the result table"},
	} {
		d, err := recogniseDecode(step(t, backend.F32, c.change, c.tap))
		if err == nil {
			_, err = d.sizes()
		}
		if r := (*refusal)(nil); !errors.As(err, &r) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestNoDecode: what is no step of one row is not told of.
func TestNoDecode(t *testing.T) {
	weight := func(shape ...int) *backend.Weight {
		w := &backend.Weight{DType: backend.BF16, Shape: shape}
		w.Data = make([]byte, 2*w.Elements())
		return w
	}
	for name, record := range map[string]func(g *backend.Graph) *backend.Tensor{
		"no head": func(g *backend.Graph) *backend.Tensor { return g.Input("x", backend.F32, 2).Neg() },
		"a prompt": func(g *backend.Graph) *backend.Tensor {
			last := g.Input("x", backend.F32, 5, 64).Gather(g.Input("last", backend.I32, 1))
			return last.RMSNorm(weight(64), 1e-6).Linear(weight(128, 64), nil)
		},
	} {
		g := backend.NewGraph()
		g.Output("y", record(g))
		p, err := backend.NewPlan(&Backend{}, g, backend.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := recogniseDecode(p); !errors.Is(err, errNotDecode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFit checks that the sizes of real models fit an H100, and that a small device is refused.
func TestFit(t *testing.T) {
	hopper := Grid{Blocks: 132, Warps: 8, Feeders: 4, Shared: 227 << 10, Read: 2500}
	for name, s := range map[string]decodeSizes{
		"Qwen3-0.6B":             {hidden: 1024, heads: 16, kvHeads: 8, dim: 128, inner: 3072, layers: 28, vocabulary: 151936, pairs: 64},
		"Qwen3-4B":               {hidden: 2560, heads: 32, kvHeads: 8, dim: 128, inner: 9728, layers: 36, vocabulary: 151936, pairs: 64},
		"Qwen3-32B":              {hidden: 5120, heads: 64, kvHeads: 8, dim: 128, inner: 25600, layers: 64, vocabulary: 151936, pairs: 64},
		"Llama-3.1-8B":           {hidden: 4096, heads: 32, kvHeads: 8, dim: 128, inner: 14336, layers: 32, vocabulary: 128256, pairs: 64},
		"Llama-3.1-70B":          {hidden: 8192, heads: 64, kvHeads: 8, dim: 128, inner: 28672, layers: 80, vocabulary: 128256, pairs: 64},
		"fewer rows than blocks": {hidden: 64, heads: 4, kvHeads: 2, dim: 32, inner: 96, layers: 2, vocabulary: 100, pairs: 16},
		"SmolLM2-135M":           {hidden: 576, heads: 9, kvHeads: 3, dim: 64, inner: 1536, layers: 30, vocabulary: 49152, pairs: 32},
	} {
		for _, rounded := range []bool{false, true} {
			s.rounded, s.keyType, s.valueType = rounded, backend.BF16, backend.BF16
			err := s.fit(hopper)
			if name == "Llama-3.1-70B" { // its sums take 128 KiB
				if err == nil {
					t.Errorf("%s fits", name)
				}
				continue
			}
			if err != nil || s.sharedWithRing() > hopper.Shared || s.blocks > hopper.Blocks || s.blocks > s.inner {
				t.Errorf("%s, rounded %t: %+v: %v", name, rounded, s, err)
			}
			t.Logf("%s, rounded %t: %d blocks, a ring of %d and portions of %d bytes in pieces of %d, one in %d or %d cycles, warps sharing rows %v", name, rounded, s.blocks, s.ring, s.portion, s.piece, s.few, s.many, s.splits)
			if small := name == "Qwen3-0.6B" || name == "SmolLM2-135M" || name == "fewer rows than blocks"; small != (s.few > 0) || s.few > s.many {
				t.Errorf("%s, rounded %t: pieces at intervals of %d or %d cycles", name, rounded, s.few, s.many)
			}
			if err := s.fit(Grid{Blocks: 8, Warps: 8, Feeders: 1, Shared: 16 << 10}); err == nil {
				t.Errorf("%s fits 16 KiB of shared memory", name)
			}
		}
	}
}
