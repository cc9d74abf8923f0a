package emu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
	"emily/internal/golden"
)

// segment is one row of a segment table: slot, first position, real length.
type segment [3]int32

// TestFlash compares the attention of many rows with the CPU's: masks, padding,
// segments of different lengths, caches, and widths of heads with padding.
func TestFlash(t *testing.T) {
	host, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	device := open(t)
	rng := rand.New(rand.NewPCG(1, 2))
	lens := []int{70, 20, 16, 3, 17}
	table := []segment{{1, 40, 70}, {0, 5, 15}, {-1, 0, 16}, {2, 150, 3}, {3, 0, 0}}
	for _, c := range []struct {
		dim, heads, kvHeads, window int
		causal                      bool
		cache                       backend.DType // Invalid for keys and values of the same rows
		rounded                     bool          // queries, keys and values are bf16, and so may the weights be
	}{
		{64, 2, 2, 0, false, backend.Invalid, false},
		{80, 2, 1, 0, true, backend.Invalid, false},
		{128, 1, 1, 30, true, backend.Invalid, false},
		{64, 2, 1, 0, true, backend.F32, false},
		{40, 2, 1, 70, true, backend.BF16, false},
		{128, 2, 1, 0, true, backend.BF16, false},
		{96, 2, 2, 0, false, backend.F32, false},
		{16, 2, 2, 9, true, backend.BF16, false},
		{64, 1, 1, 0, false, backend.Invalid, true},
		{128, 1, 1, 0, true, backend.Invalid, true},
		{64, 2, 1, 0, true, backend.BF16, true},
		{128, 2, 1, 40, true, backend.BF16, true},
		{64, 1, 1, 0, true, backend.BF16, false}, // with one head: blocks of few rows
		{40, 1, 1, 70, true, backend.F32, false},
		{24, 1, 1, 0, false, backend.Invalid, false},
		{48, 1, 1, 30, true, backend.BF16, true},
		{4, 2, 2, 0, true, backend.BF16, false}, // without matrix units
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			rows := 0
			for _, l := range lens {
				rows += l
			}
			g := backend.NewGraph()
			var in []backend.Buffer
			input := func(width int) *backend.Tensor {
				in = append(in, backend.BufferOf(random(rng, rows*width)))
				x := g.Input(fmt.Sprint(len(in)), backend.F32, rows, width)
				if c.rounded {
					x = x.Cast(backend.BF16).Cast(backend.F32)
				}
				return x
			}
			q := input(c.heads * c.dim)
			list := g.Input("table", backend.I32, len(lens), 3)
			in = append(in, backend.BufferOf(slices.Concat(table[0][:], table[1][:], table[2][:], table[3][:], table[4][:])))
			spec := backend.AttentionSpec{Heads: c.heads, KVHeads: c.kvHeads, Causal: c.causal, Window: c.window, Layer: 1, Keys: 100,
				Segments: backend.SegmentsOf(list, lens...)}
			if c.cache == backend.Invalid {
				spec.K, spec.V = input(c.kvHeads*c.dim), input(c.kvHeads*c.dim)
			} else {
				spec.KeyState = backend.CacheSpec("keys", c.cache, 2, 4, c.kvHeads, 160, c.dim)
				spec.ValueState = backend.CacheSpec("values", c.cache, 2, 4, c.kvHeads, 160, c.dim)
			}
			g.Output("y", q.Attention(spec))
			contents := map[*backend.StateSpec][]byte{}
			for _, st := range []*backend.StateSpec{spec.KeyState, spec.ValueState} {
				if st != nil {
					contents[st] = stored(rng, c.cache, st.Shape...).Data
				}
			}
			var got [2][]float32
			for i, b := range []backend.Backend{host, device} {
				got[i] = make([]float32, q.Elements())
				runWith(t, b, g, contents, in, got[i])
			}
			row, tolerance := 0, 2e-6
			if c.rounded {
				tolerance = 4e-3
			}
			for s, l := range lens {
				real := max(0, int(table[s][2]))
				if table[s][0] < 0 {
					real = 0
				}
				width := c.heads * c.dim
				golden.CompareWithin(t, fmt.Sprintf("segment %d", s), got[1][row*width:(row+real)*width], got[0][row*width:(row+real)*width], tolerance)
				row += l
			}
		})
	}
}

func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// runWith computes a graph of one output once, over states with given contents.
func runWith(t *testing.T, b backend.Backend, g *backend.Graph, contents map[*backend.StateSpec][]byte, in []backend.Buffer, out []float32) {
	t.Helper()
	p, err := backend.Compile(b, g, backend.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var states []backend.State
	for spec, data := range contents {
		st, err := b.NewState(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		if err := st.Write(data, 0); err != nil {
			t.Fatal(err)
		}
		states = append(states, st)
	}
	s, err := p.Bind(states...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range out {
		out[i] = float32(math.NaN())
	}
	if err := s.Run(t.Context(), in, []backend.Buffer{backend.BufferOf(out)}); err != nil {
		t.Fatal(err)
	}
}

// stored draws a weight; its elements are what its dtype holds.
func stored(rng *rand.Rand, dtype backend.DType, shape ...int) *backend.Weight {
	w := &backend.Weight{Name: fmt.Sprint(dtype, shape), DType: dtype, Shape: shape}
	w.Data = make([]byte, w.Elements()*dtype.Size())
	for i := range w.Elements() {
		v := float32(rng.NormFloat64())
		switch dtype {
		case backend.F32:
			copy(w.Data[4*i:], backend.BufferOf([]float32{v}))
		case backend.BF16:
			copy(w.Data[2*i:], backend.BufferOf([]uint16{uint16(math.Float32bits(v) >> 16)}))
		case backend.F16: // the sign, an exponent near 0, and ten random bits
			copy(w.Data[2*i:], backend.BufferOf([]uint16{uint16(rng.IntN(2)<<15 | (13+rng.IntN(3))<<10 | rng.IntN(1024))}))
		}
	}
	return w
}
