// Package bert is the bidirectional encoder of BERT and of its relatives
// DistilBERT, RoBERTa and XLM-RoBERTa, with the heads that their classes add.
package bert

import (
	"emily/arch"
	"emily/backend"
	"emily/loader"
)

func init() {
	type make func(*Model, *loader.Checkpoint) (arch.Model, error)
	for _, f := range []struct {
		names  []string
		family family
	}{
		{[]string{"Bert"}, bert},
		{[]string{"DistilBert"}, distilBERT},
		{[]string{"Roberta", "XLMRoberta"}, roBERTa},
	} {
		for _, name := range f.names {
			for _, c := range []struct {
				suffix string
				task   arch.Task
				make   make
			}{
				{"Model", arch.Embed, func(m *Model, _ *loader.Checkpoint) (arch.Model, error) { return m, nil }},
				{"ForQuestionAnswering", arch.Answer, newQuestionAnswering},
				{"ForSequenceClassification", arch.Classify, newSequenceClassification},
				{"ForTokenClassification", arch.Classify, newTokenClassification},
				{"ForMaskedLM", arch.Embed, newMaskedLM},
			} {
				arch.Register(arch.Class{Name: name + c.suffix, Task: c.task, New: func(s arch.Source) (arch.Model, error) {
					m, err := newModel(s, f.family)
					if err != nil {
						return nil, err
					}
					return c.make(m, s.Checkpoint)
				}})
			}
		}
	}
}

// Model is an encoder with its compiled programs. It is safe for concurrent use.
type Model struct {
	config     *Config
	embeddings embeddings
	layers     []arch.EncoderLayer
	pooler     pooler
	activation backend.Activation
	options    arch.Options
	bound      []any
	pool       arch.Pool[shape]
}

func newModel(s arch.Source, f family) (*Model, error) {
	c, err := readConfig(s.Config, f)
	if err != nil {
		return nil, err
	}
	m := &Model{config: c, options: s.Options}
	m.activation, _ = arch.ParseActivation(c.HiddenAct) // checked by readConfig
	prefix := ""
	if s.Checkpoint.Weight(f.prefix+".embeddings.word_embeddings.weight") != nil {
		prefix = f.prefix
	}
	if f.distil {
		return m, m.bindDistil(s.Checkpoint, prefix)
	}
	return m, m.bindBERT(s.Checkpoint, prefix)
}

// bind fills the fields of w and remembers it.
func (m *Model) bind(c *loader.Checkpoint, prefix string, w any) error {
	m.bound = append(m.bound, w)
	return loader.Bind(c, prefix, w, m.config.dims())
}

func (m *Model) bindBERT(c *loader.Checkpoint, prefix string) error {
	w := &encoder{Layers: make([]layer, m.config.NumHiddenLayers)}
	if err := m.bind(c, prefix, w); err != nil {
		return err
	}
	m.embeddings, m.pooler = w.Embeddings, w.Pooler
	for _, l := range w.Layers {
		m.layers = append(m.layers, arch.EncoderLayer{
			Attention: arch.Attention(l.Attention), AttentionNorm: l.AttentionNorm, MLP: arch.MLP(l.MLP), MLPNorm: l.MLPNorm,
		})
	}
	return nil
}

func (m *Model) bindDistil(c *loader.Checkpoint, prefix string) error {
	w := &distilEncoder{Layers: make([]distilLayer, m.config.NumHiddenLayers)}
	if err := m.bind(c, prefix, w); err != nil {
		return err
	}
	m.embeddings = w.Embeddings
	for _, l := range w.Layers {
		m.layers = append(m.layers, arch.EncoderLayer{
			Attention: arch.Attention(l.Attention), AttentionNorm: l.AttentionNorm, MLP: arch.MLP(l.MLP), MLPNorm: l.MLPNorm,
		})
	}
	return nil
}

// MaxTokens returns the positions that the model has embeddings for.
func (m *Model) MaxTokens() int { return m.config.MaxPositionEmbeddings - m.config.firstPosition() }

// HiddenSize returns hidden_size.
func (m *Model) HiddenSize() int { return m.config.HiddenSize }

// Vocab returns the number of different token ids.
func (m *Model) Vocab() int { return m.config.VocabSize }

// Weights returns the bound weights.
func (m *Model) Weights() []any { return m.bound }

// Close waits for running calls and frees the compiled programs.
func (m *Model) Close() error { return m.pool.Close() }
