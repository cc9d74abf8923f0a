package backendtest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"emily/backend"
)

// DecoderCase is a decoder and the steps that it takes: one for each of Places,
// positions in a cache with random contents, the slots by turns.
type DecoderCase struct {
	Decoder
	Name   string
	DType  backend.DType
	Places []int
}

var plainDecoder = DecoderCase{
	Decoder: Decoder{Hidden: 64, Heads: 4, KVHeads: 2, HeadDim: 32, Inner: 96, Layers: 2, Vocabulary: 101, Rotated: 32,
		Capacity: 16, Slots: 1, QKNorm: true, Top: 1, Cache: backend.F32},
	DType: backend.F32, Places: []int{0, 1, 2},
}

func decoderCase(name string, change func(*DecoderCase)) DecoderCase {
	c := plainDecoder
	c.Name = name
	change(&c)
	return c
}

// DecoderCases are decoders with all that a step may have, in sizes that divide nothing evenly.
var DecoderCases = []DecoderCase{
	decoderCase("plain", func(*DecoderCase) {}),
	decoderCase("biases, no norm of heads, several best", func(c *DecoderCase) {
		c.QKNorm, c.QKVBias, c.OutBias, c.MLPBias, c.DownBias, c.Top = false, true, true, true, true, 5
	}),
	decoderCase("all logits, heads partly rotated", func(c *DecoderCase) { c.Top, c.Rotated = 0, 16 }),
	decoderCase("bf16", func(c *DecoderCase) { c.DType, c.Cache = backend.BF16, backend.BF16 }),
	decoderCase("few rows", func(c *DecoderCase) { c.Hidden, c.Inner = 8, 24 }),
	decoderCase("long rows", func(c *DecoderCase) {
		c.Hidden, c.Heads, c.KVHeads, c.HeadDim, c.Inner, c.Layers = 328, 2, 1, 128, 520, 1
	}),
	decoderCase("longer rows", func(c *DecoderCase) {
		c.Hidden, c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Inner, c.Layers, c.Vocabulary = 2056, 2, 1, 8, 8, 24, 1, 11
		c.Places = []int{4, 5}
	}),
	decoderCase("long rows in turn", func(c *DecoderCase) {
		c.Hidden, c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Inner, c.Layers, c.Vocabulary = 2600, 2, 1, 8, 8, 24, 1, 41
		c.Places, c.Top = []int{4, 5}, 0
	}),
	decoderCase("five pairs of the row a thread", func(c *DecoderCase) {
		c.Hidden, c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Inner, c.OutBias, c.DownBias = 2560, 2, 1, 8, 8, 24, true, true
		c.Places = []int{4, 5}
	}),
	decoderCase("long rows of the last product in turn", func(c *DecoderCase) { c.Hidden, c.Inner, c.Layers = 64, 5600, 1 }),
	decoderCase("rows that warps share unevenly", func(c *DecoderCase) { c.Hidden, c.Inner, c.Layers = 32, 1280, 1 }),
	decoderCase("many keys, two slots", func(c *DecoderCase) {
		c.Capacity, c.Slots, c.Cache, c.Places = 256, 2, backend.BF16, []int{95, 96, 97, 150, 255}
	}),
	decoderCase("many keys in bf16, odd heads, windows", func(c *DecoderCase) {
		c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Capacity, c.Window, c.DType, c.Places = 9, 3, 24, 24, 300, 230, backend.BF16, []int{7, 192, 240, 299}
	}),
	decoderCase("four heads on matrix units", func(c *DecoderCase) {
		c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Capacity, c.Slots, c.Cache, c.Places = 8, 2, 64, 64, 300, 2, backend.BF16, []int{0, 5, 17, 150, 191, 192, 299}
	}),
	decoderCase("two heads on matrix units in bf16, windows", func(c *DecoderCase) {
		c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Capacity, c.Window, c.DType, c.Cache, c.Places = 4, 2, 128, 128, 700, 610, backend.BF16, backend.BF16, []int{1, 58, 128, 300, 620, 699}
	}),
	decoderCase("a large head on matrix units", func(c *DecoderCase) {
		c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Capacity, c.Cache, c.Layers, c.Places = 2, 1, 256, 256, 260, backend.BF16, 1, []int{3, 40, 255}
	}),
	decoderCase("one group of large heads", func(c *DecoderCase) {
		c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Top, c.Places = 6, 1, 136, 136, 0, []int{0, 9}
	}),
	decoderCase("heads of 8", func(c *DecoderCase) {
		c.Heads, c.KVHeads, c.HeadDim, c.Rotated, c.Capacity, c.Places = 8, 2, 8, 8, 600, []int{3, 500}
	}),
}

// RandomWeights draws weights, always the same, such that all numbers of a step
// stay of the size of 1.
func RandomWeights() func(name string, shape ...int) *backend.Weight {
	rng := rand.New(rand.NewPCG(3, 4))
	return func(name string, shape ...int) *backend.Weight {
		w, size := &backend.Weight{Name: name, DType: backend.BF16, Shape: shape}, 1.0
		if len(shape) == 2 && name != "embedding" {
			size = 1 / math.Sqrt(float64(shape[1]))
		}
		w.Data = make([]byte, 0, 2*w.Elements())
		for range w.Elements() {
			w.Data = binary.LittleEndian.AppendUint16(w.Data, uint16(math.Float32bits(float32(size*rng.NormFloat64()))>>16))
		}
		return w
	}
}

// DecoderResult is what a decoder's steps leave: the best tokens and the scores of
// each, and keys and values.
type DecoderResult struct {
	IDs    [][]int32
	Scores [][]float32
	Caches [2][]float32
}

// Run takes the steps on a backend. Any event fails the test.
func (c DecoderCase) Run(t *testing.T, b backend.Backend) (r DecoderResult) {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	g, keys, values := c.Step(RandomWeights(), nil)
	p, err := backend.Compile(b, g, backend.Options{Strict: true, DType: c.DType, Event: func(line string) { t.Error(line) }})
	fatal(err)
	defer p.Close()
	rng := rand.New(rand.NewPCG(5, 6))
	var states []backend.State
	for _, spec := range []*backend.StateSpec{keys, values} {
		st, err := b.NewState(spec)
		fatal(err)
		defer st.Close()
		fatal(st.Write(randomNumbers(rng, spec), 0))
		states = append(states, st)
	}
	s, err := p.Bind(states...)
	fatal(err)
	defer s.Close()
	for i, place := range c.Places {
		ids, scores := make([]int32, c.Top), make([]float32, max(c.Top, 1))
		out := []backend.Buffer{backend.BufferOf(ids), backend.BufferOf(scores)}
		if c.Top == 0 {
			scores = make([]float32, c.Vocabulary)
			out = []backend.Buffer{backend.BufferOf(scores)}
		}
		fatal(s.Run(t.Context(), []backend.Buffer{
			backend.BufferOf([]int32{int32(7 * (i + 1) % c.Vocabulary)}),
			backend.BufferOf([]int32{int32(i % c.Slots), int32(place), 1}),
			backend.BufferOf([]int32{0}),
		}, out))
		r.IDs, r.Scores = append(r.IDs, ids), append(r.Scores, scores)
	}
	for i, st := range states {
		data := make([]byte, st.Spec().Bytes())
		fatal(st.Read(data, 0))
		for at := 0; at < len(data); at += c.Cache.Size() {
			bits := uint32(0)
			if c.Cache == backend.F32 {
				bits = binary.LittleEndian.Uint32(data[at:])
			} else {
				bits = uint32(binary.LittleEndian.Uint16(data[at:])) << 16
			}
			r.Caches[i] = append(r.Caches[i], math.Float32frombits(bits))
		}
	}
	return r
}

// randomNumbers fills a state.
func randomNumbers(rng *rand.Rand, spec *backend.StateSpec) []byte {
	data := make([]byte, 0, spec.Bytes())
	for len(data) < spec.Bytes() {
		bits := math.Float32bits(float32(rng.NormFloat64()))
		if spec.DType == backend.F32 {
			data = binary.LittleEndian.AppendUint32(data, bits)
		} else {
			data = binary.LittleEndian.AppendUint16(data, uint16(bits>>16))
		}
	}
	return data
}

// Check compares what two backends found: in f32 up to the order of sums, 1e-5 of
// the range, scores of f32 activations over a cache in bf16 up to 1e-4, and what is in bf16 up to its rounding, 2e-2.
func (c DecoderCase) Check(t *testing.T, got, want DecoderResult) {
	t.Helper()
	exact := c.DType == backend.F32 && c.Cache == backend.F32
	ofScores, ofCaches := 2e-2, 2e-2 // of the largest: a number that lies between two of bf16 may become either
	switch {
	case exact:
		ofScores, ofCaches = 1e-5, 1e-5
	case c.DType == backend.F32:
		ofScores = 1e-4
	}
	var scores [2][]float32 // of all steps, those that are comparable
	for i := range want.Scores {
		same := slices.Equal(want.IDs[i], got.IDs[i])
		if exact && !same {
			t.Errorf("step %d: best %v, want %v", i, got.IDs[i], want.IDs[i])
		}
		if same {
			scores[0], scores[1] = append(scores[0], want.Scores[i]...), append(scores[1], got.Scores[i]...)
		}
	}
	if len(scores[0]) == 0 {
		t.Errorf("no step found the best tokens %v: %v", want.IDs, got.IDs)
		return
	}
	checkRange(t, "scores", scores[1], scores[0], ofScores)
	checkRange(t, "keys", got.Caches[0], want.Caches[0], ofCaches)
	checkRange(t, "values", got.Caches[1], want.Caches[1], ofCaches)
}

func checkRange(t *testing.T, name string, got, want []float32, tolerance float64) {
	t.Helper()
	size, worst := 0.0, 0.0
	for i, w := range want {
		if got[i] != got[i] {
			t.Errorf("%s: element %d is NaN", name, i)
			return
		}
		size, worst = max(size, math.Abs(float64(w))), max(worst, math.Abs(float64(got[i]-w)))
	}
	if worst > tolerance*size {
		t.Errorf("%s: error %.3g of the largest number", name, worst/size)
	}
}
