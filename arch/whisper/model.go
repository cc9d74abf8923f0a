// Package whisper is OpenAI's Whisper: an encoder of sound, a decoder of text
// that attends to it, and on top of them the transcription of sound of any length.
package whisper

import (
	"sync"

	"emily/arch"
	"emily/backend"
	"emily/loader"
)

func init() {
	arch.Register(arch.Class{Name: "WhisperForConditionalGeneration", Task: arch.Transcribe, New: func(s arch.Source) (arch.Model, error) { return newModel(s) }})
}

// Model is an encoder and decoder with their compiled programs. It is safe for
// concurrent use: each Window has its own states.
type Model struct {
	config     *Config
	generation generation
	weights    weights
	layers     []arch.EncoderLayer
	head       *backend.Weight // the embedding if tied
	activation backend.Activation
	options    arch.Options
	folder     *loader.Folder
	specs      specs
	programs   arch.Programs[shape]
	gate       arch.Gate
	speech     func() (*speech, error) // reads the tokenizer once
}

// specs are the states that the encoder fills and the decoder reads.
type specs struct{ keys, values, soundKeys, soundValues *backend.StateSpec }

// all lists the specs.
func (s *specs) all() []*backend.StateSpec {
	return []*backend.StateSpec{s.keys, s.values, s.soundKeys, s.soundValues}
}

func newModel(s arch.Source) (*Model, error) {
	c, err := readConfig(s.Config)
	if err != nil {
		return nil, err
	}
	m := &Model{config: c, options: s.Options, folder: s.Folder}
	if m.generation, err = readGeneration(s.Folder, s.Config, c); err != nil {
		return nil, err
	}
	m.activation, _ = arch.ParseActivation(c.ActivationFunction) // checked by readConfig
	kv := s.Options.KV
	if kv == backend.Invalid {
		kv = backend.F32
	}
	m.specs = c.specs(kv)
	m.weights.Encoder.Layers = make([]encoderLayer, c.EncoderLayers)
	m.weights.Decoder.Layers = make([]decoderLayer, c.DecoderLayers)
	if err := loader.Bind(s.Checkpoint, "", &m.weights, c.dims()); err != nil {
		return nil, err
	}
	for _, l := range m.weights.Encoder.Layers {
		m.layers = append(m.layers, arch.EncoderLayer{
			Attention: arch.Attention(l.Attention), AttentionNorm: l.AttentionNorm, MLP: arch.MLP(l.MLP), MLPNorm: l.MLPNorm,
		})
	}
	m.head = m.weights.Head
	if c.TieWordEmbeddings {
		m.head = m.weights.Decoder.Embed
	}
	m.speech = sync.OnceValues(m.readSpeech)
	return m, nil
}

// Vocab returns the number of logits.
func (m *Model) Vocab() int { return m.config.VocabSize }

// Context returns the largest number of tokens of a window's text, max_target_positions.
func (m *Model) Context() int { return m.config.MaxTargetPositions }

// FeatureShape returns the shape of a window's features: mel bins by frames.
func (m *Model) FeatureShape() (mels, frames int) { return m.config.NumMelBins, m.config.frames() }

// Weights returns the bound weights.
func (m *Model) Weights() []any { return []any{&m.weights} }

// Close waits for running calls and frees the compiled programs. Windows and
// transcriptions that are not at their end get arch.ErrClosed.
func (m *Model) Close() error {
	if !m.gate.Close() {
		return nil
	}
	return m.programs.Close()
}

// kind is what a program computes.
type kind uint8

const (
	encodeSound  kind = iota // features -> the states of the sound
	decodeText               // tokens -> logits of the row that "want" names
	encoderTap               // features -> every hidden state
	decoderTap               // tokens -> every hidden state and all logits
	alignmentTap             // tokens -> attention of the alignment heads
)

// shape is what a program depends on.
type shape struct {
	kind kind
	rows int
}

// program compiles the graph of a shape, once.
func (m *Model) program(s shape) (backend.Program, error) {
	return m.programs.Get(s, func() (backend.Program, error) {
		g := backend.NewGraph()
		ignore := func(*backend.Tensor) {}
		tap := func(x *backend.Tensor) { g.Output("hidden", x) }
		switch s.kind {
		case encodeSound:
			m.keep(g, m.encode(g, ignore))
		case encoderTap:
			g.Output("final", m.encode(g, tap))
		case decodeText:
			x := m.decode(g, s.rows, ignore, nil)
			g.Output("logits", m.logits(x.Rows(g.Input("want", backend.I32, 1))))
		case decoderTap:
			g.Output("logits", m.logits(m.decode(g, s.rows, tap, nil)))
		case alignmentTap:
			m.align(g, s.rows)
		}
		return m.options.Compile(g)
	})
}
