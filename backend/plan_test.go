package backend_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"emily/backend"
)

// randomGraph records a graph of about n nodes over matrices, with views,
// products of one input, and outputs of every kind.
func randomGraph(rng *rand.Rand, n int) *backend.Graph {
	g := backend.NewGraph()
	pool := []*backend.Tensor{g.Input("a", backend.F32, 4, 6), g.Input("b", backend.F32, 6, 4), g.Floats(make([]float32, 24), 4, 6), g.Weight(randomWeight(rng, 4, 6))}
	pick := func() *backend.Tensor { return pool[rng.IntN(len(pool))] }
	for range n {
		x := pick()
		var y *backend.Tensor
		switch rng.IntN(14) {
		case 0:
			y = x.Tanh()
		case 1:
			y = x.Neg()
		case 2:
			y = x.Reshape(x.Dim(1), x.Dim(0))
		case 3:
			y = x.Transpose(1, 0)
		case 4:
			y = x.Slice(0, rng.IntN(x.Dim(0)), x.Dim(0))
		case 5:
			y = x.Slice(1, 0, 1+rng.IntN(x.Dim(1)))
		case 6:
			y = backend.Concat(rng.IntN(2), x, x.Neg())
		case 7:
			y = x.Linear(randomWeight(rng, 5, x.Dim(1)), nil)
		case 8: // a group
			pool = append(pool, x.Linear(randomWeight(rng, 3, x.Dim(1)), nil), x.Linear(randomWeight(rng, 7, x.Dim(1)), nil).Add(pool[0].Sum(0).Sum(1)))
			y = x.Linear(randomWeight(rng, 1, x.Dim(1)), nil)
		case 9:
			_, y = x.TopK(1)
		case 10:
			y = x.Softmax()
		case 11:
			y = x.Tanh().SwiGLU(x.ReLU())
		case 12:
			y = x.RMSNorm(randomWeight(rng, x.Dim(1)), 1e-6).Linear(randomWeight(rng, 4, x.Dim(1)), nil).GELU()
		default:
			y = x.Add(x.Sum(rng.IntN(2)).Tanh())
		}
		if y.Elements() > 400 {
			y = y.Slice(0, 0, 1)
		}
		pool = append(pool, y)
	}
	for i := range 6 {
		g.Output(fmt.Sprint("out", i), pool[len(pool)-1-rng.IntN(len(pool)/2)])
	}
	g.Output("input", pool[0])
	g.Output("weight", pool[3].Reshape(6, 4))
	return g
}

func randomWeight(rng *rand.Rand, shape ...int) *backend.Weight {
	w := weight(backend.F32, shape...)
	x := make([]float32, len(w.Data)/4)
	for i := range x {
		x[i] = rng.Float32() - 0.5
	}
	copy(w.Data, backend.BufferOf(x))
	return w
}

// lanes are the ways to plan a graph.
var lanes = []backend.Options{
	{Lane: backend.Fuse}, {Lane: backend.Native}, {Lane: backend.Eager},
	{Lane: backend.Fuse, DType: backend.BF16}, {Lane: backend.Native, DType: backend.BF16},
}

// TestArenaOfRandomGraphs plays plans: each step must find its operands where
// their steps left them, and may not write over what it reads.
func TestArenaOfRandomGraphs(t *testing.T) {
	for seed := range uint64(150) {
		g := randomGraph(rand.New(rand.NewPCG(seed, 2)), 40)
		for _, opt := range lanes {
			p, err := backend.NewPlan(fake{}, g, opt)
			if err != nil {
				t.Fatal(err)
			}
			if err := play(p); err != nil {
				t.Fatalf("seed %d, %s %s: %v", seed, opt.Lane, opt.DType, err)
			}
		}
	}
}

// play keeps for every byte of the arena the storage that was last written there.
func play(p *backend.Plan) error {
	owner := make([]int, p.Arena)
	span := func(s backend.Slot) []int {
		at := p.Storages[s.Index].Offset + s.Offset
		return owner[at : at+s.Tensor.Bytes()]
	}
	written := make([]bool, len(p.Graph.Outputs()))
	for i, st := range p.Steps {
		for _, s := range st.Outs { // the operands must survive this
			if s.Place == backend.InArena {
				if o := p.Storages[s.Index]; s.Offset+s.Tensor.Bytes() > o.Bytes || o.Offset%64 != 0 || o.First > i || o.Last < i {
					return fmt.Errorf("step %d: result %+v in storage %+v", i, s, o)
				}
				for j := range span(s) {
					span(s)[j] = s.Index + 1
				}
			}
			if s.Place == backend.InOutput {
				written[s.Index] = true
			}
		}
		for _, s := range st.Args {
			switch s.Place {
			case backend.InArena:
				if k := slices.IndexFunc(span(s), func(o int) bool { return o != s.Index+1 }); k >= 0 {
					return fmt.Errorf("step %d (%s): operand %s lost byte %d", i, st.Node, s.Tensor, k)
				}
			case backend.InOutput:
				if !written[s.Index] {
					return fmt.Errorf("step %d (%s): output %d is read before it is written", i, st.Node, s.Index)
				}
			}
		}
	}
	if slices.Contains(written, false) {
		return fmt.Errorf("outputs written: %v", written)
	}
	return nil
}

// TestLanesOfRandomGraphs runs random graphs: the native lane, with shared
// memory, gives the same bits as the eager lane, where each result has its own.
func TestLanesOfRandomGraphs(t *testing.T) {
	be := open(t)
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 3))
		g := randomGraph(rng, 40)
		in := []backend.Buffer{randomWeight(rng, 4, 6).Data, randomWeight(rng, 6, 4).Data}
		eager := run(t, be, g, backend.Options{Lane: backend.Eager}, in)
		native := run(t, be, g, backend.Options{Lane: backend.Native}, in)
		for i := range eager {
			if !bytes.Equal(eager[i], native[i]) {
				t.Fatalf("seed %d: output %s differs", seed, g.Outputs()[i].Name)
			}
		}
	}
}

// run compiles and runs a graph without states once.
func run(t *testing.T, be backend.Backend, g *backend.Graph, opt backend.Options, in []backend.Buffer) []backend.Buffer {
	t.Helper()
	prog, err := backend.Compile(be, g, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	sess, err := prog.Bind()
	if err != nil {
		t.Fatal(err)
	}
	defer sess.Close()
	var out []backend.Buffer
	for _, o := range g.Outputs() {
		out = append(out, backend.BufferOf(make([]float32, (o.Tensor.Bytes()+3)/4))[:o.Tensor.Bytes()])
	}
	if err := sess.Run(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOutputsInPlace counts the copies that a plan makes for outputs.
func TestOutputsInPlace(t *testing.T) {
	for _, c := range []struct {
		name   string
		record func(g *backend.Graph, x *backend.Tensor)
		steps  string
	}{
		{"result", func(g *backend.Graph, x *backend.Tensor) { g.Output("y", x.Neg()) }, "neg"},
		{"view of a result", func(g *backend.Graph, x *backend.Tensor) { g.Output("y", x.Neg().Reshape(6)) }, "neg"},
		{"read on", func(g *backend.Graph, x *backend.Tensor) {
			y := x.Neg()
			g.Output("y", y)
			g.Output("z", y.Exp())
		}, "neg exp"},
		{"twice", func(g *backend.Graph, x *backend.Tensor) {
			y := x.Neg()
			g.Output("y", y)
			g.Output("z", y)
		}, "neg reshape"},
		{"part of a result", func(g *backend.Graph, x *backend.Tensor) { g.Output("y", x.Neg().Slice(0, 1, 2)) }, "neg reshape"},
		{"input", func(g *backend.Graph, x *backend.Tensor) { g.Output("y", x) }, "reshape"},
		{"view of an input", func(g *backend.Graph, x *backend.Tensor) { g.Output("y", x.Slice(0, 1, 2)) }, "reshape"},
		{"view of a weight", func(g *backend.Graph, x *backend.Tensor) {
			g.Output("y", g.Weight(weight(backend.BF16, 4, 2)).Reshape(8))
		}, "reshape"},
		{"constant", func(g *backend.Graph, x *backend.Tensor) { g.Output("y", g.Scalar(1)) }, "reshape"},
		{"parts", func(g *backend.Graph, x *backend.Tensor) {
			ids, values := x.TopK(2)
			g.Output("ids", ids)
			g.Output("values", values)
		}, "top_k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := backend.NewGraph()
			c.record(g, g.Input("x", backend.F32, 2, 3))
			p, err := backend.NewPlan(fake{}, g, backend.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := steps(p); got != c.steps {
				t.Errorf("steps are %q, want %q", got, c.steps)
			}
			if err := play(p); err != nil {
				t.Error(err)
			}
			if c.name != "part of a result" && p.Arena != 0 {
				t.Errorf("%d bytes of arena", p.Arena)
			}
		})
	}
}

// TestArenaIsReused: a chain needs room for two links, however long it is.
func TestArenaIsReused(t *testing.T) {
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, 1000)
	for range 50 {
		x = x.Tanh()
	}
	g.Output("y", x)
	p, err := backend.NewPlan(fake{}, g, backend.Options{Lane: backend.Native})
	if err != nil {
		t.Fatal(err)
	}
	if p.Arena > 2*4032 {
		t.Errorf("%d bytes of arena for links of 4000", p.Arena)
	}
}

// TestUnusedWorkIsDropped: what no output or state needs has no step.
func TestUnusedWorkIsDropped(t *testing.T) {
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, 2, 3)
	x.Exp().Linear(weight(backend.F32, 4, 3), nil)
	g.Input("unused", backend.F32, 7)
	g.Output("y", x.Neg())
	for _, opt := range lanes {
		p, err := backend.NewPlan(fake{}, g, opt)
		if err != nil {
			t.Fatal(err)
		}
		if got := steps(p); got != "neg" {
			t.Errorf("%s: steps are %q", opt.Lane, got)
		}
		if len(p.Graph.Inputs()) != 2 {
			t.Errorf("%s: %d inputs, want both", opt.Lane, len(p.Graph.Inputs()))
		}
	}
}
