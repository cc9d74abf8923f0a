package gpu

import (
	"fmt"
	"strings"

	"emily/backend"
)

// decodeSizes are the macros of the kernel "decode": sizes of the model and of the grid.
type decodeSizes struct {
	hidden, heads, kvHeads, dim, inner, layers, vocabulary, pairs int
	rounded                                                       bool // activations are bf16
	keyType, valueType                                            backend.DType
	qkNorm, qkvBias, outBias, mlpBias, downBias                   bool

	blocks, warps, feeders, ring, portion, pace, piece, keyLanes, jobHeads, downSlices, sums int
	splits                                                                                   [numProducts]int // warps that share a row
	few, many                                                                                int              // cycles from one piece to the next, with few keys and with many
	profiled                                                                                 bool             // the kernel counts cycles
}

// sliceRows are the rows of the weights of out and down that a warp multiplies at a time.
const sliceRows = 16

// mostWidth is the largest number of columns of a slice of down: its rows that a warp multiplies are half a portion.
const mostWidth = mostPortion / 4 / sliceRows

// mostSlices is the largest number of slices whose results a sum counts in its uppermost byte.
const mostSlices = 255

// The products of a layer whose rows warps may share.
const (
	qkvProduct = iota
	mlpProduct
	numProducts
)

// decodeProduct is the shape of one: pairs of rows of k elements.
type decodeProduct struct{ pairs, k, members int }

func (s *decodeSizes) products() [numProducts]decodeProduct {
	return [numProducts]decodeProduct{
		qkvProduct: {(s.heads + 2*s.kvHeads) * s.dim / 2, s.hidden, 1},
		mlpProduct: {s.inner, s.hidden, 2},
	}
}

// sizes returns the model's part of the macros, or why the kernel does not have them.
func (d *decodeStep) sizes() (*decodeSizes, error) {
	first := d.layers[0]
	s := &decodeSizes{
		hidden: d.embedding.Shape[1], heads: d.heads, kvHeads: d.keys.Shape[2], dim: d.keys.Shape[4], inner: first.gate.Shape[0],
		layers: len(d.layers), vocabulary: d.head.Shape[0], pairs: d.pairs, rounded: d.plan.Options.DType == backend.BF16,
		keyType: d.keys.DType, valueType: d.values.DType, qkNorm: d.qkNorm,
		qkvBias: first.queryBias != nil, outBias: first.outBias != nil, mlpBias: first.gateBias != nil, downBias: first.downBias != nil,
	}
	qDim, kvDim := s.heads*s.dim, s.kvHeads*s.dim
	if s.hidden%8 != 0 || s.dim%8 != 0 || s.inner%8 != 0 {
		return nil, &refusal{fmt.Sprintf("hidden %d, head_dim %d and intermediate %d must be multiples of 8", s.hidden, s.dim, s.inner)}
	}
	if s.dim > mostHeadDim || 2*s.pairs > s.dim {
		return nil, &refusal{fmt.Sprintf("heads of %d elements, %d of them rotated", s.dim, 2*s.pairs)}
	}
	if s.heads > mostSlices {
		return nil, &refusal{fmt.Sprintf("%d heads of queries, more than %d", s.heads, mostSlices)}
	}
	for _, spec := range []*backend.StateSpec{d.keys, d.values} {
		if spec.DType != backend.F32 && spec.DType != backend.BF16 {
			return nil, &refusal{fmt.Sprintf("the cache is %s, not f32 or bf16", spec.DType)}
		}
	}
	if d.keys.Shape[1] != d.values.Shape[1] || d.keys.Shape[0] != s.layers {
		return nil, &refusal{fmt.Sprintf("caches %s and %s of %d layers", d.keys, d.values, s.layers)}
	}
	check := func(w *backend.Weight, rows, columns int) error {
		if w.DType != backend.BF16 {
			return &refusal{fmt.Sprintf("%s is stored in %s, not in bf16", w.Name, w.DType)}
		}
		if w.Shape[0] != rows || w.Shape[1] != columns {
			return &refusal{fmt.Sprintf("%s is %v, not [%d %d]", w.Name, w.Shape, rows, columns)}
		}
		return nil
	}
	if err := check(d.embedding, d.embedding.Shape[0], s.hidden); err != nil {
		return nil, err
	}
	if err := check(d.head, s.vocabulary, s.hidden); err != nil {
		return nil, err
	}
	for i, l := range d.layers {
		for _, c := range []struct {
			w             *backend.Weight
			rows, columns int
		}{{l.query, qDim, s.hidden}, {l.key, kvDim, s.hidden}, {l.value, kvDim, s.hidden}, {l.out, s.hidden, qDim},
			{l.gate, s.inner, s.hidden}, {l.up, s.inner, s.hidden}, {l.down, s.hidden, s.inner}} {
			if err := check(c.w, c.rows, c.columns); err != nil {
				return nil, err
			}
		}
		same := (l.queryNorm != nil) == s.qkNorm && (l.keyNorm != nil) == s.qkNorm && (l.queryBias != nil) == s.qkvBias &&
			(l.outBias != nil) == s.outBias && (l.gateBias != nil) == s.mlpBias && (l.downBias != nil) == s.downBias
		if !same {
			return nil, &refusal{fmt.Sprintf("layer %d has other norms or biases than the first", i)}
		}
	}
	return s, nil
}

// fit chooses the grid's part of the macros for what a device has, or says why it is too small.
func (s *decodeSizes) fit(g Grid) error {
	s.warps, s.feeders = g.Warps, g.Feeders
	perLane := 1
	if s.dim >= 128 {
		perLane = 2
	}
	s.keyLanes = 1
	for s.keyLanes*perLane*8 < s.dim {
		s.keyLanes *= 2
	}
	group := s.heads / s.kvHeads
	for s.jobHeads = group; s.jobHeads > 1 && (group%s.jobHeads != 0 || s.jobHeads*s.dim > 256); s.jobHeads-- {
	}
	s.blocks = s.fewestBlocks(g.Blocks)
	if s.downSlices, _ = s.sliced(s.blocks); s.downSlices == 0 {
		return &refusal{fmt.Sprintf("intermediate %d has no divisor that makes slices of at most %d columns", s.inner, mostWidth)}
	}
	s.sums = 0
	for i, p := range s.products() {
		s.splits[i] = s.split(p)
		if s.splits[i] > 1 {
			s.sums = max(s.sums, 2*s.splits[i]*ceil(p.pairs, s.blocks))
		}
	}
	return s.chooseRing(g)
}

// portions is the number of gates of the ring.
const portions = 16

// chooseRing makes the ring of what else leaves of shared memory, and portions as large as leaves enough of them in it.
func (s *decodeSizes) chooseRing(g Grid) error {
	least := max(sliceRows*2*max(s.dim, s.inner/s.downSlices), 2*2*8*warpSize*s.warps) // rows of a slice, and a step of a pair that all warps share
	for s.portion = mostPortion; s.portion/2 >= least && s.portion > g.Shared/7; s.portion /= 2 {
	}
	for ; ; s.portion /= 2 {
		s.ring = (g.Shared - s.shared()) &^ 127
		if s.ring >= 4*s.portion {
			s.choosePace(g)
			return nil
		}
		if s.portion/2 < least {
			return &refusal{fmt.Sprintf("shared memory of %d bytes a block holds %d bytes of weights, %d are needed", g.Shared, max(s.ring, 0), 4*s.portion)}
		}
	}
}

// mostPortion is the largest portion in bytes: what a block waits for at a time.
const mostPortion = 32 << 10

// choosePace chooses how much of what it reads a block has on its way. Where the ring holds half of what it reads in a layer,
// time goes by waiting for other blocks, which copies in bursts would make longer: there they come in pieces, at intervals of a
// part of the time that memory takes for a piece of each block. A step with many keys reads more, so that its part is larger.
func (s *decodeSizes) choosePace(g Grid) {
	layer := 2 * s.hidden * (s.heads*s.dim + s.inner)
	for _, p := range s.products() {
		layer += 2 * 2 * p.pairs * p.k
	}
	s.pace, s.piece, s.few, s.many = 2, s.portion, 0, 0
	switch {
	case layer/s.blocks > 2*s.ring:
	case g.Read == 0:
		s.pace = 1
	default:
		s.piece = s.portion / 4
		cycles := float64(s.piece*s.blocks) / g.Read
		s.few, s.many = int(0.6*cycles), int(0.77*cycles)
	}
}

func ceil(a, b int) int { return (a + b - 1) / b }

// fewestBlocks returns the number of blocks, at most the given, that share the rows
// best: all wait for the one with most of them. Of equals it is the smallest. Each has some rows of the
// products whose rows are shared, since nobody would wait for one that has none.
func (s *decodeSizes) fewestBlocks(most int) int {
	for _, p := range s.products() {
		most = min(most, p.pairs)
	}
	best, least := most, 0
	for n := most; n >= max(1, most*3/4); n-- {
		cost := 0
		for _, p := range s.products() {
			cost += ceil(p.pairs, n) * p.k
		}
		_, down := s.sliced(n)
		cost += (s.share(n, s.heads, s.dim) + down) / 2
		if n == most || cost <= least {
			best, least = n, cost
		}
	}
	return best
}

// share is the number of elements of a weight that the busiest block reads where its columns are shared out in slices of a width.
func (s *decodeSizes) share(blocks, slices, width int) int {
	parts := max(1, blocks/slices) // of the rows
	return ceil(slices*parts, blocks) * ceil(ceil(s.hidden, sliceRows), parts) * sliceRows * width
}

// sliced returns the number of slices of down's columns with which the busiest of some blocks reads least, and what it reads. Of equals it is the one
// nearest to 16: with fewer slices a block waits for more of the others, with more it adds to more sums.
func (s *decodeSizes) sliced(blocks int) (slices, elements int) {
	far := func(n int) int { return max(16*16/n, n) }
	for n := 1; n <= min(mostSlices, s.inner/8); n++ {
		if s.inner%(8*n) != 0 || s.inner/n > mostWidth {
			continue
		}
		e := s.share(blocks, n, s.inner/n)
		if slices == 0 || e < elements || e == elements && far(n) < far(slices) {
			slices, elements = n, e
		}
	}
	return slices, elements
}

// split returns how many warps share the columns of a row: as many as make the
// warps read least from shared memory, of which x is a part. What it costs to add up
// their sums is counted as reads too.
func (s *decodeSizes) split(p decodeProduct) int {
	const addUp, registers = 12, 16
	terms := s.terms()
	steps, pairs := ceil(p.k, 8*warpSize), ceil(p.pairs, s.blocks)
	best, least := 1, 0
	for n := 1; n <= s.warps; n *= 2 {
		slice, turns := ceil(steps, n), ceil(pairs, s.warps/n)
		x := slice * terms
		if x > registers {
			x *= turns
		}
		cost := 2*slice*turns + x
		if n > 1 {
			cost += addUp
		}
		if n == 1 || cost < least {
			best, least = n, cost
		}
	}
	return best
}

// terms is the number of bf16 numbers that an activation is.
func (s *decodeSizes) terms() int {
	if s.rounded {
		return 1
	}
	return mostTerms
}

// matrixKeys reports whether matrix units take the keys of the cache.
func (s *decodeSizes) matrixKeys() bool {
	return s.keyType == backend.BF16 && s.valueType == backend.BF16 && s.dim%64 == 0
}

// shared counts the bytes of shared memory without the ring, as src/decode.cu lays them out.
func (s *decodeSizes) shared() int {
	terms, queries := s.terms(), 1
	if s.matrixKeys() {
		queries = (terms + 1) / 2 // in bf16
	}
	vector := func(n int) int { return (2*terms*n + 15) / 16 * 16 }
	floats := s.hidden + warpSize*s.warps + s.sums + 2*s.warps + 2*s.pairs + (s.jobHeads+1)*s.dim
	floats = (floats+3)&^3 + queries*s.jobHeads*s.dim + s.warps*s.jobHeads*(s.dim+2)
	return vector(s.hidden) + vector(max(s.dim, s.inner/s.downSlices)) + 20*portions + 16*s.hidden + 4*floats
}

func (s *decodeSizes) sharedWithRing() int { return s.shared() + s.ring }

// macros are the sizes as src/decode.h wants them.
func (s *decodeSizes) macros() string {
	types := map[backend.DType]string{backend.F32: "F32", backend.BF16: "BF16"}
	var b strings.Builder
	for _, m := range []struct {
		name  string
		value any
	}{
		{"HIDDEN", s.hidden}, {"HEADS", s.heads}, {"KV_HEADS", s.kvHeads}, {"DIM", s.dim}, {"INNER", s.inner}, {"LAYERS", s.layers},
		{"VOCABULARY", s.vocabulary}, {"PAIRS", s.pairs}, {"ROUNDED", flag(s.rounded)}, {"KEY_TYPE", types[s.keyType]}, {"VALUE_TYPE", types[s.valueType]},
		{"QK_NORM", flag(s.qkNorm)}, {"HAS_QKV_BIAS", flag(s.qkvBias)}, {"HAS_OUT_BIAS", flag(s.outBias)}, {"HAS_MLP_BIAS", flag(s.mlpBias)},
		{"HAS_DOWN_BIAS", flag(s.downBias)}, {"BLOCKS", s.blocks}, {"WARPS", s.warps}, {"FEEDERS", s.feeders}, {"RING", s.ring}, {"PORTION", s.portion}, {"PORTIONS", portions}, {"PACE", s.pace}, {"PIECE", s.piece}, {"INTERVAL_FEW", s.few}, {"INTERVAL_MANY", s.many},
		{"LANES_A_KEY", s.keyLanes}, {"MATRIX_KEYS", flag(s.matrixKeys())}, {"JOB_HEADS", s.jobHeads}, {"DOWN_SLICES", s.downSlices}, {"SUMS", s.sums}, {"SHARED_GIVEN", s.sharedWithRing()},
		{"SPLIT_QKV", s.splits[qkvProduct]}, {"SPLIT_MLP", s.splits[mlpProduct]},
	} {
		fmt.Fprintf(&b, "#define %s %v\n", m.name, m.value)
	}
	if s.profiled {
		b.WriteString("#define PROFILED\n")
	}
	return b.String()
}

// exchange counts the bytes in which blocks meet, as src/decode.h lays them out.
func (s *decodeSizes) exchange() int {
	word := 8
	if s.rounded {
		word = 4
	}
	qkv := (s.heads + 2*s.kvHeads) * s.dim
	splits := min(max(s.blocks/(s.heads/s.jobHeads), 1), warpSize)
	n := 256 + word*(qkv+s.inner) + 32*s.hidden + 16*s.blocks + 8*splits*s.heads*(s.dim+2)
	if s.profiled {
		n += 8 * s.blocks * len(ticks)
	}
	return n
}
