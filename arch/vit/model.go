// Package vit is the vision transformer of ViT and DeiT, as an encoder of
// images and as a classifier.
package vit

import (
	"emily/arch"
	"emily/backend"
	"emily/loader"
)

func init() {
	for _, f := range []struct {
		name, prefix string
		distilled    bool
	}{{"ViT", "vit", false}, {"DeiT", "deit", true}} {
		register := func(suffix string, task arch.Task, wrap func(*Model, *loader.Checkpoint) (arch.Model, error)) {
			arch.Register(arch.Class{Name: f.name + suffix, Task: task, New: func(s arch.Source) (arch.Model, error) {
				m, err := newModel(s, f.prefix, f.distilled)
				if err != nil {
					return nil, err
				}
				return wrap(m, s.Checkpoint)
			}})
		}
		register("Model", arch.Embed, func(m *Model, _ *loader.Checkpoint) (arch.Model, error) { return m, nil })
		register("ForImageClassification", arch.Classify, newClassifier)
		if f.distilled {
			register("ForImageClassificationWithTeacher", arch.Classify, newDistilledClassifier)
		}
	}
}

// Model is an encoder with its compiled programs. It is safe for concurrent use.
type Model struct {
	config     *Config
	weights    encoder
	patch      *backend.Weight // the patch embedding's kernel as the matrix of a linear layer
	layers     []arch.EncoderLayer
	activation backend.Activation
	distilled  bool // a distillation token follows the class token
	options    arch.Options
	bound      []any
	pool       arch.Pool[shape]
}

func newModel(s arch.Source, prefix string, distilled bool) (*Model, error) {
	c, err := readConfig(s.Config)
	if err != nil {
		return nil, err
	}
	m := &Model{config: c, options: s.Options, distilled: distilled}
	m.activation, _ = arch.ParseActivation(c.HiddenAct) // checked by readConfig
	if s.Checkpoint.Weight(prefix+".embeddings.cls_token") == nil {
		prefix = ""
	}
	m.weights.Layers = make([]layer, c.NumHiddenLayers)
	if err := m.bind(s.Checkpoint, prefix, &m.weights); err != nil {
		return nil, err
	}
	for _, l := range m.weights.Layers {
		m.layers = append(m.layers, arch.EncoderLayer{
			Attention: arch.Attention(l.Attention), AttentionNorm: l.AttentionNorm, MLP: arch.MLP(l.MLP), MLPNorm: l.MLPNorm,
		})
	}
	flat := *m.weights.Embeddings.Patch
	flat.Shape = []int{c.HiddenSize, c.NumChannels * c.PatchSize.height * c.PatchSize.width}
	m.patch = &flat
	return m, nil
}

// bind fills the fields of w and remembers it.
func (m *Model) bind(c *loader.Checkpoint, prefix string, w any) error {
	m.bound = append(m.bound, w)
	return loader.Bind(c, prefix, w, m.config.dims(m.distilled))
}

// specials is the number of tokens before the patches.
func (m *Model) specials() int { return 1 + arch.Flag(m.distilled) }

// rows is the number of tokens of an image.
func (m *Model) rows() int { return m.specials() + m.config.grid().height*m.config.grid().width }

// ImageSize returns the height and width of the input in pixels.
func (m *Model) ImageSize() (height, width int) {
	return m.config.ImageSize.height, m.config.ImageSize.width
}

// HiddenSize returns hidden_size.
func (m *Model) HiddenSize() int { return m.config.HiddenSize }

// Weights returns the bound weights.
func (m *Model) Weights() []any { return m.bound }

// Close waits for running calls and frees the compiled programs.
func (m *Model) Close() error { return m.pool.Close() }

// Classifier is an encoder with a head on the class token.
type Classifier struct {
	*Model
	head classifier
}

func newClassifier(m *Model, c *loader.Checkpoint) (arch.Model, error) {
	k := &Classifier{Model: m}
	return k, m.bind(c, "", &k.head)
}

// DistilledClassifier is DeiT with both of its heads.
type DistilledClassifier struct {
	*Model
	head distilledClassifier
}

func newDistilledClassifier(m *Model, c *loader.Checkpoint) (arch.Model, error) {
	k := &DistilledClassifier{Model: m}
	return k, m.bind(c, "", &k.head)
}
