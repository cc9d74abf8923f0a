package bert

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"emily/arch"
	"emily/backend"
)

// batchRows is the number of rows, padding included, up to which texts share a run.
const batchRows = 2048

// output is what a program computes.
type output uint8

const (
	hiddenStates output = iota // every token's last hidden state
	allStates                  // every layer's, for Tap
	pooled
	spans
	textLabels
	tokenLabels
	maskLogits
)

// shape is what a program depends on.
type shape struct {
	output        output
	texts, length int // all padded to one length
	positions     int // maskLogits: the rows that are scored
}

func (s shape) rows() int { return s.texts * s.length }

// head is what comes after the encoder.
type head struct {
	want rows // that it reads
	on   func(x *backend.Tensor) *backend.Tensor
}

// run computes an output of width columns for each text of a batch: of every
// token, or one row if the head reads one. Texts of about one length run together.
func (m *Model) run(ctx context.Context, batch []arch.Tokens, kind output, width int, head head) ([][]float32, error) {
	for i, t := range batch {
		if err := m.check(t); err != nil {
			if len(batch) > 1 {
				err = fmt.Errorf("text %d: %w", i+1, err)
			}
			return nil, err
		}
	}
	results := make([][]float32, len(batch))
	for length, texts := range m.byLength(batch) {
		for _, n := range arch.Buckets(len(texts), batchRows/length) {
			s := shape{output: kind, texts: n, length: length}
			if err := m.piece(ctx, s, batch, texts[:n], width, head, results); err != nil {
				return nil, err
			}
			texts = texts[n:]
		}
	}
	return results, nil
}

// piece runs some texts of a batch together and keeps what is not padding.
func (m *Model) piece(ctx context.Context, s shape, batch []arch.Tokens, texts []int, width int, head head, results [][]float32) error {
	each := s.length * width // elements of one text
	if head.want != nil {
		each = width
	}
	out := make([]float32, s.texts*each)
	if err := m.exec(ctx, s, batch, texts, head, nil, []backend.Buffer{backend.BufferOf(out)}); err != nil {
		return err
	}
	for i, text := range texts {
		used := min(each, len(batch[text].IDs)*width)
		results[text] = out[i*each:][:used:used]
	}
	return nil
}

// exec runs one program on the texts of a batch that texts names.
func (m *Model) exec(ctx context.Context, s shape, batch []arch.Tokens, texts []int, head head, more, out []backend.Buffer) error {
	ids, types, segments := make([]int32, s.rows()), make([]int32, s.rows()), make([]int32, 3*s.texts)
	for i, text := range texts {
		t := batch[text]
		copy(ids[i*s.length:], t.IDs)
		if m.config.TypeVocabSize > 1 {
			copy(types[i*s.length:], t.TypeIDs)
		}
		copy(segments[3*i:], []int32{0, int32(m.config.firstPosition()), int32(len(t.IDs))})
	}
	in := append([]backend.Buffer{backend.BufferOf(ids), backend.BufferOf(types), backend.BufferOf(segments)}, more...)
	return m.pool.Run(ctx, s, func() (backend.Program, error) {
		g := backend.NewGraph()
		if s.output == allStates {
			m.hidden(g, s, nil, func(x *backend.Tensor) { g.Output("hidden", x) })
			return m.options.Compile(g)
		}
		g.Output("output", head.on(m.hidden(g, s, head.want, func(*backend.Tensor) {})))
		return m.options.Compile(g)
	}, in, out)
}

func (m *Model) check(t arch.Tokens) error {
	outside := func(n int) func(int32) bool { return func(id int32) bool { return id < 0 || int(id) >= n } }
	switch {
	case len(t.IDs) == 0:
		return errors.New("there is no token to run")
	case len(t.IDs) > m.MaxTokens():
		return fmt.Errorf("it has %d tokens, more than the model's %d", len(t.IDs), m.MaxTokens())
	case t.TypeIDs != nil && len(t.TypeIDs) != len(t.IDs):
		return fmt.Errorf("%d type ids for %d tokens", len(t.TypeIDs), len(t.IDs))
	}
	if i := slices.IndexFunc(t.IDs, outside(m.config.VocabSize)); i >= 0 {
		return fmt.Errorf("token id %d is outside the model's vocabulary of %d", t.IDs[i], m.config.VocabSize)
	}
	if i := slices.IndexFunc(t.TypeIDs, outside(m.config.TypeVocabSize)); i >= 0 && m.config.TypeVocabSize > 1 {
		return fmt.Errorf("token type %d is outside the model's %d types", t.TypeIDs[i], m.config.TypeVocabSize)
	}
	return nil
}

// byLength groups the indices of texts by the length that they are padded to.
func (m *Model) byLength(batch []arch.Tokens) map[int][]int {
	groups := map[int][]int{}
	for i, t := range batch {
		n := m.padded(len(t.IDs))
		groups[n] = append(groups[n], i)
	}
	return groups
}

// padded is the length of the program that runs texts of n tokens.
func (m *Model) padded(n int) int { return min(arch.PadLength(n), m.MaxTokens()) }
