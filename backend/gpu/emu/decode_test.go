package emu_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/gpu"
	"emily/backend/gpu/emu"
	"emily/internal/golden"
)

// decoder is a small model whose step one kernel runs.
type decoder struct {
	backendtest.Decoder
	name   string
	dtype  backend.DType
	grid   gpu.Grid
	places []int // positions of the steps
}

var plain = decoder{
	Decoder: backendtest.Decoder{Hidden: 64, Heads: 4, KVHeads: 2, HeadDim: 32, Inner: 96, Layers: 2, Vocabulary: 101, Rotated: 32,
		Capacity: 16, Slots: 1, QKNorm: true, Top: 1, Cache: backend.F32},
	dtype: backend.F32, grid: gpu.Grid{Blocks: 3, Warps: 2, Feeders: 1, Shared: 24 << 10}, places: []int{0, 1, 2},
}

func with(name string, change func(*decoder)) decoder {
	d := plain
	d.name = name
	change(&d)
	return d
}

var decoders = []decoder{
	with("plain", func(*decoder) {}),
	with("biases, no norm of heads, several best", func(d *decoder) {
		d.QKNorm, d.QKVBias, d.OutBias, d.MLPBias, d.DownBias, d.Top = false, true, true, true, true, 5
	}),
	with("all logits, heads partly rotated", func(d *decoder) { d.Top, d.Rotated = 0, 16 }),
	with("bf16", func(d *decoder) { d.dtype, d.Cache = backend.BF16, backend.BF16 }),
	with("one block", func(d *decoder) { d.grid = gpu.Grid{Blocks: 1, Warps: 1, Feeders: 1, Shared: 32 << 10} }),
	with("more blocks than rows of some", func(d *decoder) {
		d.Hidden, d.Inner, d.grid = 8, 24, gpu.Grid{Blocks: 7, Warps: 2, Feeders: 1, Shared: 16 << 10}
	}),
	with("rows of several tiles, warps that share them", func(d *decoder) {
		d.Hidden, d.Heads, d.KVHeads, d.HeadDim, d.Inner, d.Layers = 328, 2, 1, 128, 520, 1
		d.grid = gpu.Grid{Blocks: 2, Warps: 4, Feeders: 1, Shared: 32 << 10}
	}),
	with("rows longer than a tile", func(d *decoder) {
		d.Hidden, d.Heads, d.KVHeads, d.HeadDim, d.Rotated, d.Inner, d.Layers, d.Vocabulary = 2056, 2, 1, 8, 8, 24, 1, 11
		d.grid, d.places = gpu.Grid{Blocks: 2, Warps: 1, Feeders: 1, Shared: 56 << 10}, []int{4, 5}
	}),
	with("split keys, two slots", func(d *decoder) {
		d.Capacity, d.Slots, d.Cache, d.places = 256, 2, backend.BF16, []int{95, 96, 97, 150, 255}
		d.grid = gpu.Grid{Blocks: 9, Warps: 2, Feeders: 1, Shared: 24 << 10}
	}),
	with("split keys in bf16, odd heads, windows", func(d *decoder) {
		d.Heads, d.KVHeads, d.HeadDim, d.Rotated, d.Capacity, d.Window, d.dtype, d.places = 9, 3, 24, 24, 300, 130, backend.BF16, []int{7, 129, 140, 299}
		d.grid = gpu.Grid{Blocks: 10, Warps: 2, Feeders: 1, Shared: 24 << 10}
	}),
	with("one group of large heads", func(d *decoder) {
		d.Heads, d.KVHeads, d.HeadDim, d.Rotated, d.Top, d.places = 6, 1, 136, 136, 0, []int{0, 9}
		d.grid.Shared = 48 << 10
	}),
	with("heads of 8", func(d *decoder) {
		d.Heads, d.KVHeads, d.HeadDim, d.Rotated, d.Capacity, d.places = 8, 2, 8, 8, 600, []int{3, 500}
		d.grid.Blocks = 5
	}),
}

// random draws weights such that all numbers of a step stay of the size of 1.
func random() func(name string, shape ...int) *backend.Weight {
	rng := rand.New(rand.NewPCG(3, 4))
	return func(name string, shape ...int) *backend.Weight {
		w, size := &backend.Weight{Name: name, DType: backend.BF16, Shape: shape}, 1.0
		if len(shape) == 2 && name != "embedding" {
			size = 1 / math.Sqrt(float64(shape[1]))
		}
		for range w.Elements() {
			bits := math.Float32bits(float32(size * rng.NormFloat64()))
			w.Data = append(w.Data, byte(bits>>16), byte(bits>>24))
		}
		return w
	}
}

// result is what a decoder's steps leave.
type result struct {
	ids    [][]int32
	scores [][]float32
	caches [2][]float32
}

// run takes the steps on a device with a grid, over caches with random contents.
func (d decoder) run(t *testing.T, grid gpu.Grid) (r result) {
	t.Helper()
	b, err := emu.NewGrid(grid)
	if err != nil {
		t.Skip(err)
	}
	defer b.Close()
	g, keys, values := d.Step(random(), nil)
	p, err := backend.Compile(b, g, backend.Options{Strict: true, DType: d.dtype, Event: func(line string) { t.Error(line) }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	rng := rand.New(rand.NewPCG(5, 6))
	var states []backend.State
	for _, spec := range []*backend.StateSpec{keys, values} {
		st, err := b.NewState(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		data := make([]byte, 0, spec.Bytes())
		for len(data) < spec.Bytes() {
			bits := math.Float32bits(float32(rng.NormFloat64()))
			if d.Cache == backend.F32 {
				data = append(data, byte(bits), byte(bits>>8))
			}
			data = append(data, byte(bits>>16), byte(bits>>24))
		}
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
	for i, place := range d.places {
		ids, scores := make([]int32, d.Top), make([]float32, max(d.Top, 1))
		out := []backend.Buffer{backend.BufferOf(ids), backend.BufferOf(scores)}
		if d.Top == 0 {
			scores = make([]float32, d.Vocabulary)
			out = []backend.Buffer{backend.BufferOf(scores)}
		}
		slot := int32(i % d.Slots)
		in := []backend.Buffer{backend.BufferOf([]int32{int32(7 * (i + 1) % d.Vocabulary)}), backend.BufferOf([]int32{slot, int32(place), 1}), backend.BufferOf([]int32{0})}
		if err := s.Run(t.Context(), in, out); err != nil {
			t.Fatal(err)
		}
		r.ids, r.scores = append(r.ids, ids), append(r.scores, scores)
	}
	for i, st := range states {
		data := make([]byte, st.Spec().Bytes())
		if err := st.Read(data, 0); err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(data); at += st.Spec().DType.Size() {
			bits := uint32(data[at])<<16 | uint32(data[at+1])<<24
			if d.Cache == backend.F32 {
				bits = uint32(data[at]) | uint32(data[at+1])<<8 | uint32(data[at+2])<<16 | uint32(data[at+3])<<24
			}
			r.caches[i] = append(r.caches[i], math.Float32frombits(bits))
		}
	}
	return r
}

// TestDecode compares the kernel that runs a whole step with the kernels for
// its parts: best tokens, scores and what is in the caches.
func TestDecode(t *testing.T) {
	open(t) // skips without a compiler
	for _, d := range decoders {
		t.Run(d.name, func(t *testing.T) {
			want, got := d.run(t, gpu.Grid{}), d.run(t, d.grid)
			tolerance := 1e-5
			if d.dtype == backend.BF16 || d.Cache == backend.BF16 {
				tolerance = golden.BF16Tolerance
			}
			var scores [2][]float32 // of all steps, those that are comparable
			for i := range want.scores {
				if d.dtype == backend.F32 && !slices.Equal(want.ids[i], got.ids[i]) {
					t.Errorf("step %d: best %v, want %v", i, got.ids[i], want.ids[i])
				}
				if slices.Equal(want.ids[i], got.ids[i]) {
					scores[0], scores[1] = append(scores[0], want.scores[i]...), append(scores[1], got.scores[i]...)
				}
			}
			golden.CompareWithin(t, "scores", scores[1], scores[0], tolerance)
			for i, name := range []string{"keys", "values"} {
				golden.CompareWithin(t, name, got.caches[i], want.caches[i], tolerance)
			}
		})
	}
}

// TestDecodeSteps runs the closed loop, in which token and place are states.
func TestDecodeSteps(t *testing.T) {
	open(t) // skips without a compiler
	d := plain
	d.Closed = true
	var tokens [2][]int32
	for i, grid := range []gpu.Grid{{}, d.grid} {
		b, err := emu.NewGrid(grid)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		g, _, _ := d.Step(random(), nil)
		p, err := backend.Compile(b, g, backend.Options{Strict: true, Event: func(line string) { t.Error(line) }})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		var states []backend.State
		for _, spec := range p.Plan().States {
			st, err := b.NewState(spec)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			if spec.Name == "segments" {
				if err := st.Write(backend.BufferOf([]int32{0, 0, 1}), 0); err != nil {
					t.Fatal(err)
				}
			}
			states = append(states, st)
		}
		s, err := p.Bind(states...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if n, err := s.Steps(t.Context(), 10, func(v int32) bool { tokens[i] = append(tokens[i], v); return true }); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}
	if !slices.Equal(tokens[0], tokens[1]) {
		t.Errorf("tokens %v, want %v", tokens[1], tokens[0])
	}
}
