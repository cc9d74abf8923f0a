package whisper

import (
	"context"
	"math"
	"slices"

	"emily/arch"
	"emily/backend"
)

// align records the attention of the alignment heads over the sound: tokens
// [T] -> [heads*T, P], each row a distribution.
func (m *Model) align(g *backend.Graph, rows int) {
	d, p := m.config.headDim(), m.config.MaxSourcePositions
	heads := m.alignmentHeads()
	scale := g.Scalar(float32(1 / math.Sqrt(float64(d))))
	slot := g.Ints([]int32{0}, 1)
	var weights []*backend.Tensor
	m.decode(g, rows, func(*backend.Tensor) {}, func(layer int, q *backend.Tensor) {
		for _, h := range heads {
			if h[0] != layer {
				continue
			}
			keys := g.ReadCache(m.specs.soundKeys, layer, slot).Slice(0, h[1], h[1]+1).Reshape(p, d)
			weights = append(weights, q.Slice(1, h[1]*d, (h[1]+1)*d).MatMulT(keys).Mul(scale).Softmax())
		}
	})
	g.Output("attention", backend.Concat(0, weights...))
}

// Align runs ids as the whole text of the window and returns how much each
// token attends to each of the first positions of the sound, [len(ids),
// positions]: the alignment heads' attention, normalised over the tokens,
// smoothed over time and averaged.
func (w *Window) Align(ctx context.Context, ids []int32, positions int) ([]float32, error) {
	w.length = 0
	p, rows, heads := w.model.config.MaxSourcePositions, decoderRows(len(ids)), len(w.model.alignmentHeads())
	positions = min(positions, p)
	attention := make([]float32, heads*rows*p)
	if err := w.decode(ctx, alignmentTap, ids, []backend.Buffer{backend.BufferOf(attention)}); err != nil {
		return nil, err
	}
	matrix := make([]float32, len(ids)*positions)
	for h := range heads {
		head := make([]float32, 0, len(matrix))
		for t := range ids {
			head = append(head, attention[(h*rows+t)*p:][:positions]...)
		}
		standardise(head, positions)
		for t := range ids {
			row := head[t*positions:][:positions]
			for i, v := range medianFilter(row, w.model.generation.MedianFilterWidth) {
				matrix[t*positions+i] += v / float32(heads)
			}
		}
	}
	return matrix, nil
}

// standardise gives each column of [rows, columns] mean 0 and deviation 1.
func standardise(x []float32, columns int) {
	n := float64(len(x) / columns)
	for c := range columns {
		var sum, squares float64
		for i := c; i < len(x); i += columns {
			sum += float64(x[i])
		}
		mean := sum / n
		for i := c; i < len(x); i += columns {
			squares += (float64(x[i]) - mean) * (float64(x[i]) - mean)
		}
		deviation := math.Sqrt(squares / n)
		for i := c; i < len(x); i += columns {
			if x[i] = float32(float64(x[i]) - mean); deviation > 0 {
				x[i] = float32(float64(x[i]) / deviation)
			}
		}
	}
}

// medianFilter replaces each element by the median of the width around it; the
// ends are mirrored.
func medianFilter(x []float32, width int) []float32 {
	half := width / 2
	if len(x) <= half {
		return x
	}
	out, around := make([]float32, len(x)), make([]float32, width)
	for i := range x {
		for k := range around {
			j := i + k - half
			if j < 0 {
				j = -j
			}
			if j >= len(x) {
				j = 2*len(x) - 2 - j
			}
			around[k] = x[j]
		}
		slices.Sort(around)
		out[i] = around[half]
	}
	return out
}

// warp finds the path of the largest sum through [rows, columns] from the
// first corner to the last that never goes back (dynamic time warping; Sakoe
// and Chiba 1978), and returns the column at which it enters each row.
func warp(x []float32, columns int) []int {
	rows := len(x) / columns
	const diagonal, down, right = 0, 1, 2
	sums := make([]float64, columns+1) // of the row above, then of the row
	for j := range sums {
		sums[j] = math.Inf(-1)
	}
	sums[0] = 0
	from := make([]uint8, len(x))
	for i := range rows {
		corner := sums[0] // of the row above, one column before
		sums[0] = math.Inf(-1)
		for j := range columns {
			above, left := sums[j+1], sums[j]
			best, step := above, uint8(down)
			switch {
			case corner > above && corner > left:
				best, step = corner, diagonal
			case above > corner && above > left:
			default:
				best, step = left, right
			}
			corner = above
			sums[j+1] = best + float64(x[i*columns+j])
			from[i*columns+j] = step
		}
	}
	enters := make([]int, rows)
	for i, j := rows-1, columns-1; i >= 0; {
		enters[i] = j
		switch step := from[i*columns+j]; {
		case step == diagonal:
			i, j = i-1, j-1
		case step == down:
			i--
		default:
			j--
		}
		if j < 0 { // only row 0 can start at column 0
			break
		}
	}
	return enters
}

// alignWords finds the time of each word of a window's segments by a second
// pass of the decoder over their text.
func (t *transcription) alignWords(ctx context.Context, segments []arch.Segment, offset, frames int) error {
	prefix := t.tokens.prefix(t.language, arch.TranscribeOptions{Translate: t.opt.Translate})
	ids := append(slices.Clone(prefix), t.tokens.noTimestamps)
	var text []int32
	for _, s := range segments {
		text = append(text, t.words(s.Tokens)...)
	}
	if room := t.model.config.MaxTargetPositions - len(ids) - 1; len(text) > room {
		text = text[:room]
	}
	positions := frames / 2
	if len(text) == 0 || positions == 0 {
		return nil
	}
	ids = append(append(ids, text...), t.tokens.end)
	matrix, err := t.window.Align(ctx, ids, positions)
	if err != nil {
		return err
	}
	// Row i, from that of the token before the text, predicts token i of the
	// text: it is where that token starts and the one before it ends.
	positions = len(matrix) / len(ids)
	starts := warp(matrix[len(prefix)*positions:(len(ids)-1)*positions], positions)
	at := func(token int) float64 {
		return t.seconds(offset + 2*starts[min(token, len(starts)-1)])
	}
	token := 0
	for i := range segments {
		for _, w := range t.split(t.words(segments[i].Tokens)) {
			segments[i].Words = append(segments[i].Words, arch.Word{Start: at(token), End: at(token + w.tokens), Text: w.text})
			token += w.tokens
		}
	}
	tighten(segments)
	for i := range segments {
		bound(&segments[i])
	}
	return nil
}
