package vit

import (
	"context"
	"errors"
	"fmt"

	"emily/arch"
	"emily/backend"
)

var (
	_ arch.ImageEncoder    = (*Model)(nil)
	_ arch.ImageClassifier = (*Classifier)(nil)
	_ arch.ImageClassifier = (*DistilledClassifier)(nil)
)

// batchRows is the number of rows up to which images share a run.
const batchRows = 2048

// output is what a program computes.
type output uint8

const (
	hiddenStates output = iota // the last norm's
	allStates                  // every layer's, for Tap
	pooled
	logits
)

// Places of the special tokens.
const classToken, distillationToken = 0, 1

// shape is what a program depends on.
type shape struct {
	output output
	images int
}

// head is what comes after the encoder.
type head struct {
	want []int // the special tokens that it reads; nil for all rows
	on   func(g *backend.Graph, x *backend.Tensor) *backend.Tensor
}

// run computes an output of n elements for each image of a batch.
func (m *Model) run(ctx context.Context, pixels [][]float32, kind output, n int, head head) ([][]float32, error) {
	for i, p := range pixels {
		if len(p) != m.config.pixels() {
			return nil, fmt.Errorf("image %d: %d pixel values, want %d x %d x %d", i+1, len(p), m.config.NumChannels, m.config.ImageSize.height, m.config.ImageSize.width)
		}
	}
	var results [][]float32
	for _, images := range arch.Buckets(len(pixels), batchRows/m.rows()) {
		out := make([]float32, images*n)
		if err := m.exec(ctx, shape{kind, images}, pixels[:images], head, []backend.Buffer{backend.BufferOf(out)}); err != nil {
			return nil, err
		}
		pixels = pixels[images:]
		for ; len(out) > 0; out = out[n:] {
			results = append(results, out[:n:n])
		}
	}
	return results, nil
}

// exec runs one program.
func (m *Model) exec(ctx context.Context, s shape, pixels [][]float32, head head, out []backend.Buffer) error {
	in := pixels[0]
	if s.images > 1 {
		in = make([]float32, 0, s.images*len(in))
		for _, p := range pixels {
			in = append(in, p...)
		}
	}
	return m.pool.Run(ctx, s, func() (backend.Program, error) {
		g := backend.NewGraph()
		if s.output == allStates {
			g.Output("final", m.hidden(g, s.images, nil, func(x *backend.Tensor) { g.Output("hidden", x) }))
			return m.options.Compile(g)
		}
		g.Output("output", head.on(g, m.hidden(g, s.images, head.want, func(*backend.Tensor) {})))
		return m.options.Compile(g)
	}, []backend.Buffer{backend.BufferOf(in)}, out)
}

// Hidden returns the normalised last hidden state of each image, [tokens,
// hidden]: the class token, for DeiT the distillation token, then the patches
// row by row. pixels are [3, height, width] each.
func (m *Model) Hidden(ctx context.Context, pixels [][]float32) ([][]float32, error) {
	return m.run(ctx, pixels, hiddenStates, m.rows()*m.config.HiddenSize,
		head{on: func(_ *backend.Graph, x *backend.Tensor) *backend.Tensor { return x }})
}

// Pooled returns the pooler's output of each image, [hidden]: tanh of a linear
// layer of the class token. Checkpoints without a pooler give an error.
func (m *Model) Pooled(ctx context.Context, pixels [][]float32) ([][]float32, error) {
	w := m.weights.Pooler
	if w.Weight == nil {
		return nil, errors.New("the checkpoint has no pooler")
	}
	return m.run(ctx, pixels, pooled, m.config.HiddenSize, head{[]int{classToken}, func(_ *backend.Graph, x *backend.Tensor) *backend.Tensor {
		return w.forward(x)
	}})
}

// Tap returns all hidden states of one image, [tokens, hidden] each: the
// embedding, each layer's output, and last the final norm's.
func (m *Model) Tap(ctx context.Context, pixels []float32) ([][]float32, error) {
	if len(pixels) != m.config.pixels() {
		return nil, fmt.Errorf("%d pixel values, want %d", len(pixels), m.config.pixels())
	}
	states := make([][]float32, m.config.NumHiddenLayers+2)
	out := make([]backend.Buffer, len(states))
	for i := range states {
		states[i] = make([]float32, m.rows()*m.config.HiddenSize)
		out[i] = backend.BufferOf(states[i])
	}
	return states, m.exec(ctx, shape{allStates, 1}, [][]float32{pixels}, head{}, out)
}

// Labels names the logits.
func (m *Classifier) Labels() arch.Labels { return m.config.labels }

// Classify returns the logits of each image.
func (m *Classifier) Classify(ctx context.Context, pixels [][]float32) ([][]float32, error) {
	return m.run(ctx, pixels, logits, len(m.config.labels.Names), head{[]int{classToken}, func(_ *backend.Graph, x *backend.Tensor) *backend.Tensor {
		return m.head.forward(x)
	}})
}

// Labels names the logits.
func (m *DistilledClassifier) Labels() arch.Labels { return m.config.labels }

// Classify returns the logits of each image, the average of both heads.
func (m *DistilledClassifier) Classify(ctx context.Context, pixels [][]float32) ([][]float32, error) {
	return m.run(ctx, pixels, logits, len(m.config.labels.Names), head{[]int{classToken, distillationToken}, m.head.forward})
}
