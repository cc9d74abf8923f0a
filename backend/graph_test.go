package backend_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"emily/backend"
)

// line returns the line that it is called on.
func line() int {
	_, _, n, _ := runtime.Caller(1)
	return n
}

func weight(dtype backend.DType, shape ...int) *backend.Weight {
	n := dtype.Size()
	for _, d := range shape {
		n *= d
	}
	return &backend.Weight{Name: "w", DType: dtype, Shape: shape, Data: make([]byte, n)}
}

// TestRecordingErrors makes each mistake once, then goes on recording: the
// first error stays, and names the op, what does not fit, and the line.
func TestRecordingErrors(t *testing.T) {
	const f32, i32, u8 = backend.F32, backend.I32, backend.U8
	cache := backend.CacheSpec("keys", f32, 2, 1, 2, 16, 8)
	type graph = *backend.Graph
	in := func(g graph, shape ...int) *backend.Tensor { return g.Input("x", f32, shape...) }
	for _, c := range []struct {
		op     backend.Op
		words  string // must be in the error, separated by |
		record func(g graph) int
	}{
		{backend.OpAdd, "f32[2 3]|f32[4 3]", func(g graph) int { in(g, 2, 3).Add(in(g, 4, 3)); return line() }},
		{backend.OpMul, "f32[2]|i32[2]", func(g graph) int { in(g, 2).Mul(g.Ints([]int32{1, 2}, 2)); return line() }},
		{backend.OpExp, "i32[1]", func(g graph) int { g.Iota(0, 1).Exp(); return line() }},
		{backend.OpSelect, "f32[2]|f32[3]", func(g graph) int { in(g, 2).Less(in(g, 2)).Select(in(g, 2), in(g, 3)); return line() }},
		{backend.OpReduceSum, "axis 2|[2 3]", func(g graph) int { in(g, 2, 3).Sum(2); return line() }},
		{backend.OpArgMax, "axis -1", func(g graph) int { in(g).ArgMax(); return line() }},
		{backend.OpMatMul, "f32[2 3]|f32[4 5]", func(g graph) int { in(g, 2, 3).MatMul(in(g, 4, 5)); return line() }},
		{backend.OpMatMul, "f32[2 2 3]|f32[3 3 5]", func(g graph) int { in(g, 2, 2, 3).MatMul(in(g, 3, 3, 5)); return line() }},
		{backend.OpGather, "f32[2]|f32[3]", func(g graph) int { in(g, 2).Gather(in(g, 3)); return line() }},
		{backend.OpSlice, "1:4|[2 3]", func(g graph) int { in(g, 2, 3).Slice(1, 1, 4); return line() }},
		{backend.OpConcat, "f32[2 3]|f32[2 4]", func(g graph) int { backend.Concat(0, in(g, 2, 3), in(g, 2, 4)); return line() }},
		{backend.OpReshape, "[2 3]|[4 2]", func(g graph) int { in(g, 2, 3).Reshape(4, 2); return line() }},
		{backend.OpReshape, "[2 3]", func(g graph) int { in(g, 2, 3).Reshape(-1, -1); return line() }},
		{backend.OpReshape, "negative", func(g graph) int { in(g, 2, 3).Reshape(-2, -3); return line() }},
		{backend.OpTranspose, "[2 3]|[0 0]", func(g graph) int { in(g, 2, 3).Transpose(0, 0); return line() }},
		{backend.OpBroadcast, "[2 3]|[2 4]", func(g graph) int { in(g, 2, 3).Broadcast(2, 4); return line() }},
		{backend.OpCast, "i32|bf16", func(g graph) int { g.Iota(0, 2).Cast(backend.BF16); return line() }},
		{backend.OpConv, "f32[9 2]|[4 3 3]", func(g graph) int { in(g, 9, 2).Conv(in(g, 4, 3, 3), 1, 0); return line() }},
		{backend.OpConv, "larger", func(g graph) int { in(g, 2, 1).Conv(in(g, 1, 1, 5), 1, 1); return line() }},
		{backend.OpIota, "axis 1|[3]", func(g graph) int { g.Iota(1, 3); return line() }},
		{backend.OpConst, "8 bytes|f32[3]", func(g graph) int { g.Floats([]float32{1, 2}, 3); return line() }},
		{backend.OpInput, "negative|[2 -1]", func(g graph) int { g.Input("x", f32, 2, -1); return line() }},
		{backend.OpInput, "more than 6 axes", func(g graph) int { g.Input("x", f32, 1, 1, 1, 1, 1, 1, 1); return line() }},
		{backend.OpInput, "elements", func(g graph) int { g.Input("x", f32, 1<<40, 1<<40); return line() }},
		{backend.OpInput, "dtype(99)", func(g graph) int { g.Input("x", 99, 2); return line() }},
		{backend.OpWeight, "16 bytes|f32[5]", func(g graph) int {
			w := weight(f32, 4)
			w.Shape = []int{5}
			g.Weight(w)
			return line() - 1
		}},
		{backend.OpWeight, "nil", func(g graph) int { g.Weight(nil); return line() }},
		{backend.OpLinear, "f32[2 3]|f32[5 4]", func(g graph) int { in(g, 2, 3).Linear(weight(f32, 5, 4), nil); return line() }},
		{backend.OpLinear, "f32[4]|[5 3]", func(g graph) int { in(g, 2, 3).Linear(weight(f32, 5, 3), weight(f32, 4)); return line() }},
		{backend.OpLinear, "nil", func(g graph) int { in(g, 2, 3).Linear(nil, nil); return line() }},
		{backend.OpRMSNorm, "f32[2 3]|f32[2]", func(g graph) int { in(g, 2, 3).RMSNorm(weight(f32, 2), 1e-6); return line() }},
		{backend.OpLayerNorm, "f32[2 4]|f32[2]", func(g graph) int { in(g, 2, 4).LayerNorm(weight(f32, 2), weight(f32, 2), 0); return line() }},
		{backend.OpSwiGLU, "f32[2]|f32[3]", func(g graph) int { in(g, 2).SwiGLU(in(g, 3)); return line() }},
		{backend.OpRotaryTable, "f32[3]|i32", func(g graph) int { in(g, 3).RotaryTable([]float32{1}, 1); return line() }},
		{backend.OpRoPE, "f32[3 8]|[3 10]", func(g graph) int { in(g, 3, 8).RoPE(in(g, 3, 10), 1); return line() }},
		{backend.OpRoPE, "f32[3 8]|[3 3]", func(g graph) int { in(g, 3, 8).RoPE(in(g, 3, 3), 1); return line() }},
		{backend.OpPositions, "f32[1 3]", func(g graph) int { backend.SegmentsOf(in(g, 1, 3), 5); return line() }},
		{backend.OpPositions, "[3 0]", func(g graph) int { g.SegmentsInput(3, 0); return line() }},
		{backend.OpAttention, "f32[3 8]|3 heads", func(g graph) int { in(g, 3, 8).Attention(backend.AttentionSpec{Heads: 3, KVHeads: 1}); return line() }},
		{backend.OpAttention, "[3 4]", func(g graph) int {
			in(g, 3, 8).Attention(backend.AttentionSpec{Heads: 2, KVHeads: 1, K: in(g, 3, 8)})
			return line() - 1
		}},
		{backend.OpAttention, "segments", func(g graph) int {
			in(g, 3, 16).Attention(backend.AttentionSpec{Heads: 2, KVHeads: 2, KeyState: cache, ValueState: cache})
			return line() - 1
		}},
		{backend.OpAttention, "layer 2|keys f32[2 1 2 16 8]", func(g graph) int {
			in(g, 3, 16).Attention(backend.AttentionSpec{Heads: 2, KVHeads: 2, KeyState: cache, ValueState: cache, Layer: 2})
			return line() - 1
		}},
		{backend.OpCacheUpdate, "f32[3 8]|keys", func(g graph) int { in(g, 3, 8).CacheUpdate(cache, 0, g.SegmentsInput(3)); return line() }},
		{backend.OpCacheUpdate, "layer 7", func(g graph) int { in(g, 3, 16).CacheUpdate(cache, 7, g.SegmentsInput(3)); return line() }},
		{backend.OpCacheUpdate, "nil", func(g graph) int { in(g, 3, 16).CacheUpdate(nil, 0, nil); return line() }},
		{backend.OpStateWrite, "f32[3]|keys", func(g graph) int { g.WriteState(cache, in(g, 3)); return line() }},
		{backend.OpStateRead, "nil", func(g graph) int { g.ReadState(nil); return line() }},
		{backend.OpTopK, "65|f32[1 99]", func(g graph) int { in(g, 1, 99).TopK(65); return line() }},
		{backend.OpTopK, "4|f32[1 3]", func(g graph) int { in(g, 1, 3).TopK(4); return line() }},
		{backend.OpAdd, "another graph", func(g graph) int { in(g, 3).Add(in(backend.NewGraph(), 3)); return line() }},
		{backend.OpInput, "another graph", func(g graph) int { g.Output("y", in(backend.NewGraph(), 3)); return line() }},
	} {
		t.Run(fmt.Sprintf("%s/%s", c.op, c.words), func(t *testing.T) {
			g := backend.NewGraph()
			want := c.record(g)
			// Whatever follows a mistake must neither panic nor replace it.
			bad := g.Input("y", f32, 2).Add(g.Input("z", u8, 3))
			bad.Exp().Linear(weight(f32, 2, 2), nil).Softmax().Mean(-1).Reshape(7)
			g.Output("bad", bad)
			_, err := backend.NewPlan(fake{}, g, backend.Options{})
			var ge *backend.GraphError
			if !errors.As(err, &ge) {
				t.Fatalf("error is %v, want a GraphError", err)
			}
			if ge.Op != c.op {
				t.Errorf("op is %s in %q", ge.Op, err)
			}
			if place := fmt.Sprintf("backend/graph_test.go:%d", want); ge.Position != place {
				t.Errorf("position is %s, want %s", ge.Position, place)
			}
			for _, w := range strings.Split(c.words, "|") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestGraphString(t *testing.T) {
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, 2, 3)
	end := g.Scope("layers")
	inner := g.Scope("0")
	y := x.Linear(weight(backend.BF16, 4, 3), nil)
	inner()
	y = y.GELU()
	end()
	spec := &backend.StateSpec{Name: "s", DType: backend.F32, Shape: []int{2, 4}}
	g.WriteState(spec, y)
	g.Output("y", y.Add(g.ReadState(spec)))
	want := `  %0 = input f32[2 3] x
layers.0:
  %1 = weight bf16[4 3] w
  %2 = linear f32[2 4] (%0, %1)
layers:
  %3 = gelu f32[2 4] (%2)
:
  %4 = state_write invalid[] (%3) state s
  %5 = state_read f32[2 4] state s
  %6 = add f32[2 4] (%3, %5)
output y = %6
`
	if got := g.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestParseNames(t *testing.T) {
	for _, d := range []backend.DType{backend.F32, backend.BF16, backend.F16, backend.I32, backend.U8} {
		if got, err := backend.ParseDType(d.String()); got != d || err != nil {
			t.Errorf("ParseDType(%q) = %s, %v", d, got, err)
		}
	}
	for _, l := range []backend.Lane{backend.Fuse, backend.Native, backend.Eager} {
		if got, err := backend.ParseLane(l.String()); got != l || err != nil {
			t.Errorf("ParseLane(%q) = %s, %v", l, got, err)
		}
	}
	for _, name := range []string{"", "invalid", "F32", "f64", "dtype(1)"} {
		if _, err := backend.ParseDType(name); err == nil {
			t.Errorf("ParseDType(%q) is no error", name)
		}
	}
	if _, err := backend.ParseLane("fused"); err == nil || !strings.Contains(err.Error(), "eager, native or fuse") {
		t.Errorf("ParseLane: %v", err)
	}
}

// TestWeightOnce: one weight is one node however often it is recorded.
func TestWeightOnce(t *testing.T) {
	g := backend.NewGraph()
	w := weight(backend.F32, 3, 3)
	if first, again := g.Weight(w), g.Weight(w); first != again {
		t.Error("two nodes for one weight")
	}
	if g.Weight(w) == g.Weight(weight(backend.F32, 3, 3)) {
		t.Error("one node for two weights")
	}
}
