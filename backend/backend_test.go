package backend_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"emily/backend"
	"emily/backend/cpu"
)

// Example records a layer, compiles it for the processor and runs it.
func Example() {
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, 1, 2)
	w := &backend.Weight{Name: "w", DType: backend.F32, Shape: []int{3, 2}, Data: backend.BufferOf([]float32{1, 0, 0, 1, 1, -1})}
	g.Output("y", x.Linear(w, nil).ReLU())

	be, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		panic(err)
	}
	defer be.Close()
	prog, err := backend.Compile(be, g, backend.Options{})
	if err != nil {
		panic(err)
	}
	defer prog.Close()
	sess, err := prog.Bind()
	if err != nil {
		panic(err)
	}
	defer sess.Close()

	y := make([]float32, 3)
	in, out := []backend.Buffer{backend.BufferOf([]float32{2, 5})}, []backend.Buffer{backend.BufferOf(y)}
	if err := sess.Run(context.Background(), in, out); err != nil {
		panic(err)
	}
	fmt.Println(y)
	// Output: [2 5 0]
}

func TestOptions(t *testing.T) {
	g := backend.NewGraph()
	layer(g)
	noAttention := fake{allow: func(n *backend.Tensor) bool {
		return n.Op() != backend.OpAttention && n.Op() != backend.OpRMSNorm && !merged(n)
	}}
	for _, c := range []struct {
		opt   backend.Options
		words string
	}{
		{backend.Options{DType: backend.I32}, "i32|f32 or bf16"},
		{backend.Options{DType: backend.F16}, "f16|f32 or bf16"},
		{backend.Options{Lane: 3}, "lane(3)|eager, native or fuse"},
		{backend.Options{Strict: true}, "fake has no kernel for rms_norm"},
	} {
		_, err := backend.NewPlan(noAttention, g, c.opt)
		if err == nil {
			t.Errorf("%+v is no error", c.opt)
			continue
		}
		for _, w := range strings.Split(c.words, "|") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}

	var events []string
	p, err := backend.NewPlan(noAttention, g, backend.Options{Event: func(s string) { events = append(events, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Fallbacks, " "); got != "rms_norm attention" {
		t.Errorf("fallbacks %q", got)
	}
	if len(events) != 2 || !strings.Contains(events[1], "attention") {
		t.Errorf("events %q", events)
	}
	if p.Options.DType != backend.F32 || p.Recorded != g {
		t.Errorf("plan has dtype %s and graph %p, want f32 and %p", p.Options.DType, p.Recorded, g)
	}
	// Strict speaks of the fuse lane only.
	if _, err := backend.NewPlan(noAttention, g, backend.Options{Lane: backend.Native, Strict: true}); err != nil {
		t.Error(err)
	}
}

// TestPrimitivesOnly: outside the fuse lane nothing but primitives is left.
func TestPrimitivesOnly(t *testing.T) {
	g := backend.NewGraph()
	layer(g)
	for _, lane := range []backend.Lane{backend.Native, backend.Eager} {
		p, err := backend.NewPlan(fake{}, g, backend.Options{Lane: lane})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Steps {
			if !s.Node.Op().Primitive() {
				t.Errorf("%s: step %s", lane, s.Node)
			}
		}
	}
}

// TestBF16 computes with rounded activations: results of composites, sums,
// products and gathered rows are bf16 numbers, close to those of f32.
func TestBF16(t *testing.T) {
	be := open(t)
	rng := rand.New(rand.NewPCG(1, 4))
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, 3, 16)
	norm, w := randomWeight(rng, 16), randomWeight(rng, 16, 16)
	results := []*backend.Tensor{
		x.RMSNorm(norm, 1e-6), x.Linear(w, nil), x.Softmax(), x.GELU(), x.Add(x), x.Mul(x), g.Embedding(w, g.Ints([]int32{3, 1}, 2)),
		x.Linear(w, nil).GELU().Add(x), x.Attention(backend.AttentionSpec{Heads: 2, KVHeads: 2, K: x, V: x}),
		x.Tanh().Linear(w, nil), x.Tanh().Linear(randomWeight(rng, 4, 16), nil), // a group
	}
	for i, r := range results {
		g.Output(fmt.Sprint(i), r.Reshape(1, -1)) // an output itself is not rounded
	}
	g.Output("f32", x.Exp().Softmax())
	in := []backend.Buffer{randomWeight(rng, 3, 16).Data}
	exact := run(t, be, g, backend.Options{Lane: backend.Native}, in)
	for _, lane := range []backend.Lane{backend.Fuse, backend.Native, backend.Eager} {
		got := run(t, be, g, backend.Options{Lane: lane, DType: backend.BF16}, in)
		for i := range got {
			y, want := floats(got[i]), floats(exact[i])
			var largest float64
			for _, v := range want {
				largest = max(largest, math.Abs(float64(v)))
			}
			rounded := true
			for k := range y {
				rounded = rounded && math.Float32bits(y[k])&0xffff == 0
				// Each rounding is off by 2^-8 at most; the longest chain here has three.
				if d := math.Abs(float64(y[k] - want[k])); d > largest*3/256 {
					t.Fatalf("%s: output %d: element %d is %v, in f32 %v", lane, i, k, y[k], want[k])
				}
			}
			if output := i == len(got)-1; rounded == output {
				t.Errorf("%s: output %d: rounded is %t", lane, i, rounded)
			}
		}
	}
}

func floats(b backend.Buffer) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}

// TestCost compares with sums done by hand.
func TestCost(t *testing.T) {
	keys := backend.CacheSpec("keys", backend.BF16, 1, 2, 2, 64, 4)
	values := backend.CacheSpec("values", backend.F32, 1, 2, 2, 64, 4)
	for _, c := range []struct {
		name   string
		record func(g *backend.Graph)
		want   backend.Cost
	}{
		{"linear", func(g *backend.Graph) {
			g.Output("y", g.Input("x", backend.F32, 2, 3).Linear(weight(backend.BF16, 5, 3), weight(backend.F32, 5)))
		}, backend.Cost{Bytes: 4*2*3 + 2*5*3 + 4*5 + 4*2*5, FLOPs: 2 * 2 * 3 * 5}},
		{"one weight, two products", func(g *backend.Graph) {
			w := weight(backend.F32, 3, 3)
			g.Output("y", g.Input("x", backend.F32, 1, 3).Linear(w, nil).Linear(w, nil))
		}, backend.Cost{Bytes: 4*9 + 4*4*3, FLOPs: 2 * 2 * 9}},
		{"embedding", func(g *backend.Graph) {
			g.Output("y", g.Embedding(weight(backend.BF16, 1000, 8), g.Input("ids", backend.I32, 2)))
		}, backend.Cost{Bytes: 2*2*8 + 4*2 + 4*2*8, FLOPs: 16}},
		{"attention over 10 of 64 positions", func(g *backend.Graph) {
			q := g.Input("q", backend.F32, 1, 16)
			g.Output("y", q.Attention(backend.AttentionSpec{Heads: 4, KVHeads: 2, Causal: true, KeyState: keys, ValueState: values, Segments: g.SegmentsInput(1)}))
		}, backend.Cost{Bytes: 4*16 + 12 + 4*16 + 10*2*4*(2+4), FLOPs: 4 * 16 * 10}},
		{"convolution", func(g *backend.Graph) {
			g.Output("y", g.Input("x", backend.F32, 9, 2).Conv(g.Weight(weight(backend.F32, 4, 2, 3)), 2, 1))
		}, backend.Cost{Bytes: 4*9*2 + 4*4*2*3 + 4*5*4, FLOPs: 2 * 5 * 4 * 2 * 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := backend.NewGraph()
			c.record(g)
			p, err := backend.NewPlan(fake{}, g, backend.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Cost(10); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
