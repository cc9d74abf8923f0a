package backend_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/cpu"
)

// fake is a backend for planning only; it supports what the function allows, or everything.
type fake struct {
	backend.Backend
	allow func(n *backend.Tensor) bool
}

func (f fake) Info() backend.Info { return backend.Info{Backend: "fake"} }

func (f fake) Supports(n *backend.Tensor) bool { return f.allow == nil || f.allow(n) }

// refusing is a real backend that refuses some nodes.
type refusing struct {
	backend.Backend
	refuse func(n *backend.Tensor) bool
}

func (r refusing) Supports(n *backend.Tensor) bool { return !r.refuse(n) && r.Backend.Supports(n) }

// merged reports whether only a fuse pass can have made the node.
func merged(n *backend.Tensor) bool {
	a := n.Attrs()
	switch n.Op() {
	case backend.OpLinearGroup, backend.OpGatedLinear, backend.OpLinearTopK, backend.OpMapSum:
		return true
	}
	return a.Norm != backend.NoNorm || a.Activation != backend.NoActivation || a.Residual || a.Rotary
}

// TestRefusals: what a backend refuses to merge is computed as if nobody had asked.
func TestRefusals(t *testing.T) {
	be := open(t)
	for _, g := range backendtest.Groups() {
		t.Run(g.Name, func(t *testing.T) {
			for _, err := range g.Check(refusing{be, merged}) {
				t.Error(err)
			}
		})
	}
	g := backend.NewGraph()
	layer(g)
	native := runLayer(t, be, g, backend.Options{Lane: backend.Native})
	for name, refuse := range refusals {
		t.Run(name, func(t *testing.T) {
			got := runLayer(t, refusing{be, refuse}, g, backend.Options{Strict: true})
			if !slices.Equal(got.ids, native.ids) {
				t.Errorf("ids are %d, in the native lane %d", got.ids, native.ids)
			}
			for i, v := range got.scores {
				if math.Abs(float64(v-native.scores[i])) > 1e-5 {
					t.Errorf("score %d is %v, in the native lane %v", i, v, native.scores[i])
				}
			}
		})
	}
}

// refusals are the kinds of nodes that a backend may lack.
var refusals = map[string]func(n *backend.Tensor) bool{
	"none":       func(n *backend.Tensor) bool { return false },
	"group":      func(n *backend.Tensor) bool { return n.Op() == backend.OpLinearGroup },
	"gated":      func(n *backend.Tensor) bool { return n.Op() == backend.OpGatedLinear },
	"topk":       func(n *backend.Tensor) bool { return n.Op() == backend.OpLinearTopK },
	"norm":       func(n *backend.Tensor) bool { return n.Attrs().Norm != backend.NoNorm },
	"residual":   func(n *backend.Tensor) bool { return n.Attrs().Residual },
	"activation": func(n *backend.Tensor) bool { return n.Attrs().Activation != backend.NoActivation },
	"map sum":    func(n *backend.Tensor) bool { return n.Op() == backend.OpMapSum },
	"rotary":     func(n *backend.Tensor) bool { return n.Attrs().Rotary },
}

// open returns a backend that the test closes.
func open(t *testing.T) backend.Backend {
	t.Helper()
	be, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { be.Close() })
	return be
}

type layerResult struct {
	ids    []int32
	scores []float32
}

// runLayer runs the graph of layer on rows that depend on nothing.
func runLayer(t *testing.T, be backend.Backend, g *backend.Graph, opt backend.Options) layerResult {
	t.Helper()
	prog, err := backend.Compile(be, g, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	var states []backend.State
	for _, spec := range prog.Plan().States {
		s, err := be.NewState(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		states = append(states, s)
	}
	sess, err := prog.Bind(states...)
	if err != nil {
		t.Fatal(err)
	}
	defer sess.Close()
	r := layerResult{make([]int32, 6), make([]float32, 6)}
	in := []backend.Buffer{backend.BufferOf([]int32{0, 3, 2}), randomWeight(rand.New(rand.NewPCG(5, 5)), 2, 8).Data}
	out := []backend.Buffer{backend.BufferOf(r.ids), backend.BufferOf(r.scores)}
	if err := sess.Run(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	return r
}

// layer records one decoder layer over caches.
func layer(g *backend.Graph) {
	keys, values := backend.CacheSpec("keys", backend.F32, 1, 1, 2, 16, 4), backend.CacheSpec("values", backend.F32, 1, 1, 2, 16, 4)
	seg := g.SegmentsInput(2)
	table := seg.Positions().RotaryTable([]float32{1, 0.1}, 1)
	x := g.Input("x", backend.F32, 2, 8)
	rng := rand.New(rand.NewPCG(1, 5))
	w := func(shape ...int) *backend.Weight { return randomWeight(rng, shape...) }
	y := x.RMSNorm(w(8), 1e-6)
	q, k, v := y.Linear(w(8, 8), nil), y.Linear(w(8, 8), nil), y.Linear(w(8, 8), nil)
	k.RMSNorm(w(4), 1e-6).RoPE(table, 2).CacheUpdate(keys, 0, seg)
	v.CacheUpdate(values, 0, seg)
	a := q.RMSNorm(w(4), 1e-6).RoPE(table, 2).Attention(backend.AttentionSpec{Heads: 2, KVHeads: 2, Causal: true, KeyState: keys, ValueState: values, Segments: seg})
	x = x.Add(a.Linear(w(8, 8), nil))
	y = x.LayerNorm(w(8), w(8), 1e-5)
	x = x.Add(y.Linear(w(12, 8), nil).SwiGLU(y.Linear(w(12, 8), nil)).Linear(w(8, 12), nil))
	x = x.Add(x.Linear(w(16, 8), w(16)).GELU().Linear(w(8, 16), w(8)))
	ids, scores := x.RMSNorm(w(8), 1e-6).Linear(w(99, 8), nil).TopK(3)
	g.Output("ids", ids)
	g.Output("scores", scores)
}

// steps lists the ops of a plan's steps.
func steps(p *backend.Plan) string {
	var ops []string
	for _, s := range p.Steps {
		name := s.Node.Op().String()
		a := s.Node.Attrs()
		if a.Norm != backend.NoNorm {
			name = "norm+" + name
		}
		if a.Rotary {
			name = "rope+" + name
		}
		if a.Activation != backend.NoActivation {
			name += "+" + a.Activation.String()
		}
		if a.Residual {
			name += "+residual"
		}
		ops = append(ops, name)
	}
	return strings.Join(ops, " ")
}

func TestFusedLayer(t *testing.T) {
	g := backend.NewGraph()
	layer(g)
	p, err := backend.NewPlan(fake{}, g, backend.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	want := "positions rotary_table norm+linear_group rope+norm+cache_update cache_update norm+rope attention linear+residual " +
		"norm+gated_linear linear+residual linear+gelu linear+residual norm+linear_top_k"
	if got := steps(p); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRefusedNodesLeaveNoTrace refuses single kinds of nodes: neither the plan
// nor its graph may hold one, and the graph may not grow.
func TestRefusedNodesLeaveNoTrace(t *testing.T) {
	plain := backend.NewGraph()
	layer(plain)
	none, err := backend.NewPlan(fake{allow: func(n *backend.Tensor) bool { return !merged(n) }}, plain, backend.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, refuse := range refusals {
		t.Run(name, func(t *testing.T) {
			g := backend.NewGraph()
			layer(g)
			p, err := backend.NewPlan(fake{allow: func(n *backend.Tensor) bool { return !refuse(n) }}, g, backend.Options{Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range p.Graph.Nodes() {
				if refuse(n) {
					t.Errorf("the plan holds the refused %s", n)
				}
			}
			if len(p.Graph.Nodes()) > len(none.Graph.Nodes()) {
				t.Errorf("%d nodes, %d without any merge:\n%s", len(p.Graph.Nodes()), len(none.Graph.Nodes()), p.Graph)
			}
			for i, n := range p.Graph.Nodes() {
				if n.ID() != i {
					t.Fatalf("node %d has the number %d", i, n.ID())
				}
			}
			if len(p.Fallbacks) > 0 {
				t.Errorf("fallbacks %v", p.Fallbacks)
			}
		})
	}
}

// TestEffectsKeepTheirOrder compares the order in which a plan touches its
// states with the recorded one, in every lane.
func TestEffectsKeepTheirOrder(t *testing.T) {
	cache := backend.CacheSpec("cache", backend.F32, 1, 1, 2, 16, 4)
	counter := &backend.StateSpec{Name: "counter", DType: backend.F32, Shape: []int{2, 8}}
	g := backend.NewGraph()
	seg := g.SegmentsInput(2)
	table := seg.Positions().RotaryTable([]float32{1, 0.1}, 1)
	spec := backend.AttentionSpec{Heads: 2, KVHeads: 2, Causal: true, KeyState: cache, ValueState: cache, Segments: seg}
	x := g.Input("x", backend.F32, 2, 8)
	for range 3 {
		y := x.RMSNorm(weight(backend.F32, 8), 1e-6)
		y.Linear(weight(backend.F32, 8, 8), nil).RoPE(table, 2).CacheUpdate(cache, 0, seg)
		before := g.ReadState(counter)
		g.WriteState(counter, y.Add(before))
		x = x.Add(x.Attention(spec).Linear(weight(backend.F32, 8, 8), nil)).Add(g.ReadState(counter))
	}
	g.Output("x", x)
	for lane, want := range map[backend.Lane]string{
		backend.Fuse:   strings.Repeat("cache:cache_update counter:state_read counter:state_write cache:attention counter:state_read ", 3),
		backend.Native: strings.Repeat("cache:state_write counter:state_read counter:state_write cache:state_read cache:state_read counter:state_read ", 3),
		backend.Eager:  strings.Repeat("cache:state_write counter:state_read counter:state_write cache:state_read cache:state_read counter:state_read ", 3),
	} {
		p, err := backend.NewPlan(fake{}, g, backend.Options{Lane: lane})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range p.Steps {
			if st := s.Node.Attrs().State; st != nil {
				got += fmt.Sprintf("%s:%s ", st.Name, s.Node.Op())
			}
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", lane, got, want)
		}
		if len(p.States) != 2 || !slices.Contains(p.States, cache) || !slices.Contains(p.States, counter) {
			t.Errorf("%s: states %v", lane, p.States)
		}
	}
}
