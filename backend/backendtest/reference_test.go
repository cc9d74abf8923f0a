package backendtest

import (
	"math"
	"slices"
	"testing"

	"emily/backend"
)

// TestHalfRoundTrip stores and reads every number of the 16-bit formats.
func TestHalfRoundTrip(t *testing.T) {
	for _, dtype := range []backend.DType{backend.BF16, backend.F16} {
		for h := range 1 << 16 {
			b := []byte{byte(h), byte(h >> 8)}
			x := decode(dtype, b)
			if x[0] != x[0] {
				continue // NaNs have many codes
			}
			if got := encode(dtype, x); !slices.Equal(got, b) {
				t.Fatalf("%s %#x is %v, stored as %x", dtype, h, x[0], got)
			}
		}
	}
}

func TestRound(t *testing.T) {
	for _, c := range []struct {
		dtype   backend.DType
		x, want float64
	}{
		{backend.BF16, 1 + 0x1p-8, 1}, {backend.BF16, 1 + 0x3p-8, 1 + 0x1p-6}, {backend.BF16, 1 + 0x1.01p-8, 1 + 0x1p-7}, {backend.BF16, 0x1.ffp127, math.Inf(1)},
		{backend.F16, 65519, 65504}, {backend.F16, -65520, math.Inf(-1)}, {backend.F16, 0x1p-25, 0}, {backend.F16, 0x1.8p-24, 0x1p-23}, {backend.F16, 1 + 0x1p-11, 1},
		{backend.F32, 1 + 0x1p-24, 1}, {backend.I32, -2.9, -2},
	} {
		if got := round(c.dtype, c.x); got != c.want {
			t.Errorf("%v in %s is %v, want %v", c.x, c.dtype, got, c.want)
		}
	}
}

// TestReferenceByHand interprets small graphs whose results are worked out by hand.
func TestReferenceByHand(t *testing.T) {
	g := backend.NewGraph()
	x := g.Floats([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	y := g.Floats([]float32{1, 0, -1, 2, 0, 1}, 2, 3)
	kernel := g.Floats([]float32{1, 10, 100}, 1, 1, 3)
	for _, out := range []*backend.Tensor{
		x.MatMulT(y), x.MatMul(y.Transpose(1, 0)), x.Sum(0), x.Sub(x.ReduceMax(1)), y.ArgMax(), x.Slice(1, 1, 3),
		x.Reshape(6, 1).Conv(kernel, 2, 1), backend.Concat(1, x, y.Slice(1, 0, 1)), x.Gather(g.Ints([]int32{1, -1}, 2)), g.Iota(1, 2, 2),
	} {
		g.Output("", out)
	}
	want := [][]float64{
		{-2, 5, -2, 14}, {-2, 5, -2, 14}, {5, 7, 9}, {-2, -1, 0, -2, -1, 0}, {0, 0}, {2, 3, 5, 6},
		{210, 432, 654}, {1, 2, 3, 1, 4, 5, 6, 2}, {4, 5, 6, nan, nan, nan}, {0, 1, 0, 1},
	}
	same := func(a, b float64) bool { return a == b || (a != a && b != b) }
	for i, v := range interpret(g, nil, nil) {
		if !slices.EqualFunc(v.data, want[i], same) {
			t.Errorf("output %d is %v, want %v", i, v.data, want[i])
		}
	}
}

// TestEqual: the comparison sees one wrong element, and only those that count.
func TestEqual(t *testing.T) {
	want := &value{backend.F32, []int{2, 2}, []float64{100, 0, nan, 1}}
	for _, c := range []struct {
		got  []float64
		rows []bool
		ok   bool
	}{
		{[]float64{100, 0, nan, 1}, nil, true},
		{[]float64{100, 0.0009, nan, 1}, nil, true},
		{[]float64{100, 0.0011, nan, 1}, nil, false},
		{[]float64{100, nan, nan, 1}, nil, false},
		{[]float64{100, 0, 5, 1}, nil, false},
		{[]float64{100, 0, math.Inf(1), 7}, []bool{true, false}, true},
		{[]float64{100, 0, math.Inf(1), 7}, []bool{false, true}, false},
	} {
		err := new(prepared).equal("x", &value{backend.F32, want.shape, c.got}, want, c.rows, 1e-5)
		if (err == nil) != c.ok {
			t.Errorf("%v, rows %v: %v", c.got, c.rows, err)
		}
	}
}
