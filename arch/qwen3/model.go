// Package qwen3 is the decoder of Qwen3 and of its relatives Qwen2, Llama and
// Mistral: one forward pass, whose differences are read from config.json.
package qwen3

import (
	"context"
	"sync"
	"sync/atomic"

	"emily/arch"
	"emily/backend"
	"emily/loader"
)

func init() {
	for name, f := range families {
		arch.Register(arch.Class{Name: name, Task: arch.Generate, New: func(s arch.Source) (arch.Model, error) { return newModel(s, f) }})
	}
}

// Model is a decoder with its compiled programs. It is safe for concurrent
// use: each sequence has its own cache.
type Model struct {
	config             *Config
	weights            weights
	head               *backend.Weight // the embedding if tied
	activation         backend.Activation
	inverseFrequencies []float32
	rotaryScale        float32
	options            arch.Options

	gate     arch.Gate
	programs arch.Programs[shape]
	specs    map[int][2]*backend.StateSpec // by capacity
	specsMu  sync.Mutex
	loop     loopStates
	apart    atomic.Bool // see runApart
}

func newModel(s arch.Source, f family) (*Model, error) {
	c, err := readConfig(s.Config, f)
	if err != nil {
		return nil, err
	}
	m := &Model{config: c, options: s.Options, specs: map[int][2]*backend.StateSpec{}, loop: newLoopStates()}
	if m.options.KV == backend.Invalid {
		m.options.KV = backend.F32
	}
	m.activation, _ = arch.ParseActivation(c.HiddenAct) // checked by readConfig
	if m.inverseFrequencies, m.rotaryScale, err = c.Frequencies(c.HeadDim, c.MaxPositionEmbeddings); err != nil {
		return nil, err
	}
	m.weights.Layers = make([]layer, c.NumHiddenLayers)
	if err := loader.Bind(s.Checkpoint, "", &m.weights, c.dims()); err != nil {
		return nil, err
	}
	m.head = m.weights.Head
	if c.TieWordEmbeddings {
		m.head = m.weights.Embed
	}
	return m, nil
}

// Vocab returns the number of logits.
func (m *Model) Vocab() int { return m.config.VocabSize }

// Context returns max_position_embeddings.
func (m *Model) Context() int { return m.config.MaxPositionEmbeddings }

// Weights returns the bound weights.
func (m *Model) Weights() []any { return []any{&m.weights} }

// Close waits for running calls and frees the compiled programs.
func (m *Model) Close() error {
	if !m.gate.Close() {
		return nil
	}
	return m.programs.Close()
}

// cacheSpecs returns the specs of the caches of a capacity, the same each time,
// since programs and states meet by them.
func (m *Model) cacheSpecs(capacity int) (keys, values *backend.StateSpec) {
	m.specsMu.Lock()
	defer m.specsMu.Unlock()
	s, ok := m.specs[capacity]
	if !ok {
		s[0], s[1] = m.config.cache(m.options.KV).Specs(capacity)
		m.specs[capacity] = s
	}
	return s[0], s[1]
}

// shape is what a program depends on.
type shape struct {
	rows, capacity int
	want           int  // rows whose logits are computed
	topK           int  // 0 for all logits
	tap            bool // hidden states instead of logits
	loop           bool // one step of the closed loop
	apart          bool // in the native lane, whatever the options say
}

// program compiles the graph of a shape, once.
func (m *Model) program(s shape) (backend.Program, error) {
	return m.programs.Get(s, func() (backend.Program, error) {
		g := backend.NewGraph()
		keys, values := m.cacheSpecs(s.capacity)
		if s.loop {
			m.loop.record(m, g, keys, values)
		} else {
			m.record(g, s, keys, values)
		}
		opt := m.options
		if s.apart {
			opt.Lane = backend.Native
		}
		return opt.Compile(g)
	})
}

// runApart reports whether a run that gave no numbers is to be run again in the native lane, as are
// all of one row from then on. The kernel with which a GPU runs a whole decoder adds up in fixed
// point, which has less range.
func (m *Model) runApart(s shape) bool {
	if s.rows > 1 || s.apart || m.options.Lane != backend.Fuse {
		return false
	}
	if m.apart.CompareAndSwap(false, true) && m.options.Event != nil {
		m.options.Event("the largest logit is not a number: a token is run in the native lane from here on")
	}
	return true
}

// record records a pass over rows that the caller gives.
func (m *Model) record(g *backend.Graph, s shape, keys, values *backend.StateSpec) {
	tap := func(*backend.Tensor) {}
	if s.tap {
		tap = func(t *backend.Tensor) { g.Output("hidden", t) }
	}
	x := m.hidden(g, g.Input("ids", backend.I32, s.rows), g.SegmentsInput(s.rows), keys, values, tap)
	if s.tap {
		g.Output("final", x.RMSNorm(m.weights.Norm, m.config.RMSNormEps))
		return
	}
	logits := m.score(x.Rows(g.Input("want", backend.I32, s.want)))
	if s.topK == 0 {
		g.Output("logits", logits)
		return
	}
	ids, best := logits.TopK(s.topK)
	g.Output("ids", ids)
	g.Output("values", best)
}

// NewSequence returns an empty sequence.
func (m *Model) NewSequence() (arch.Sequence, error) {
	return &sequence{model: m, sessions: map[shape]backend.Session{}}, nil
}

// Tap runs ids as a new sequence and returns its hidden states.
func (m *Model) Tap(ctx context.Context, ids []int32) ([][]float32, error) {
	s := &sequence{model: m, sessions: map[shape]backend.Session{}}
	defer s.Close()
	if err := s.reserve(len(ids)); err != nil {
		return nil, err
	}
	var out [][]float32
	var buffers []backend.Buffer
	for range m.config.NumHiddenLayers + 2 {
		x := make([]float32, len(ids)*m.config.HiddenSize)
		out, buffers = append(out, x), append(buffers, backend.BufferOf(x))
	}
	err := s.run(ctx, shape{rows: len(ids), capacity: s.capacity, tap: true}, ids, nil, buffers)
	return out, err
}
