package cpu

// attentionProducts are the two products of attention for a block of query
// rows, a block of keys at a time. q and acc are [rows, d], scores has rows of
// attentionKeys, keys and values have rows of ld elements.
type attentionProducts struct {
	*attention
	rows, ld       int
	q, acc, scores []float32

	// What the tiles of many rows need; packed is nil for few.
	packed, weights []float32 // panels of q and of scores
	panel           []float32 // of keys or values
	values          []float32 // in f32
}

// products packs the queries if they are many.
func (at *attention) products(w *worker, q, acc, scores []float32, ld int) attentionProducts {
	p := attentionProducts{attention: at, rows: len(q) / at.d, ld: ld, q: q, acc: acc, scores: scores}
	if p.rows <= maxGemv {
		return p
	}
	t := at.tiling
	queries, weights := t.padded(p.rows)*at.d/t.lane, t.padded(p.rows)*attentionKeys/t.lane
	panel := at.set.NR * max(at.d, attentionKeys) / t.lane
	scratch := w.second(queries + weights + panel + attentionKeys*at.d)
	p.packed, scratch = scratch[:queries], scratch[queries:]
	p.weights, scratch = scratch[:weights], scratch[weights:]
	p.panel, p.values = scratch[:panel], scratch[panel:]
	t.packRows(p.packed, q, at.d, p.rows, at.d)
	return p
}

// score sets scores[rows, keys] = q·kᵀ.
func (p *attentionProducts) score(k []byte, keys int) {
	stored, size := p.stored[0], p.size[0]
	if p.packed == nil {
		stored.Gemv(p.scores, attentionKeys, p.q, p.d, k, p.ld, p.rows, keys, p.d)
		return
	}
	pack := p.tiling.pack(stored)
	for j := 0; j < keys; j += p.set.NR {
		n := min(p.set.NR, keys-j)
		pack(p.panel, k[j*p.ld*size:], p.ld, n, p.d)
		p.column(p.scores[j:], attentionKeys, p.packed, p.d/p.tiling.lane, n, false)
	}
}

// accumulate adds scores·v to acc.
func (p *attentionProducts) accumulate(v []byte, keys int) {
	stored, size := p.stored[1], p.size[1]
	if p.packed == nil {
		stored.Accumulate(p.acc, p.d, p.scores, attentionKeys, v, p.ld, p.rows, keys, p.d)
		return
	}
	values, ld := floats(v), p.ld
	if size != 4 {
		values, ld = p.values, p.d
		for r := range keys {
			stored.Widen(values[r*p.d:(r+1)*p.d], v[r*p.ld*size:])
		}
	}
	lane := p.tiling.lane
	even := (keys + lane - 1) / lane * lane
	if even > keys { // a pair's other half: the weight of no key
		for r := range p.rows {
			p.scores[r*attentionKeys+keys] = 0
		}
	}
	p.tiling.packRows(p.weights, p.scores, attentionKeys, p.rows, even)
	for j := 0; j < p.d; j += p.set.NR {
		n := min(p.set.NR, p.d-j)
		p.tiling.packCols(p.panel, values[j:], ld, keys, n)
		p.column(p.acc[j:], p.d, p.weights, even/lane, n, true)
	}
}

// column multiplies all rows with the panel, k elements long.
func (p *attentionProducts) column(c []float32, ldc int, a []float32, k, n int, add bool) {
	p.tiling.tile(c, ldc, a, p.tiling.rows*k, p.panel, k, p.rows, n, add)
}
