package cpu

import (
	"math"
	"slices"

	"emily/backend"
	"emily/backend/cpu/kernel"
)

const (
	// attentionRows is the number of query rows, over all heads that share keys,
	// that one pass over the keys serves: enough to outweigh the packing of keys
	// and values, where there are many.
	attentionRows = 96
	// attentionKeys is the block of keys of the online softmax (Milakov and
	// Gimelshein 2018; Dao et al. 2022): its scores stay in L1, so that no
	// rows x keys matrix is ever stored.
	attentionKeys = 256
	// attentionPart is the part of a cache's keys that one unit of work serves
	// when no segment has more than attentionPartRows rows: heads alone may be
	// too few for the threads. It does not depend on their number, so neither do
	// the results.
	attentionPart, attentionPartRows = 512, 16
)

// attention computes blocks of query rows of one key head.
type attention struct {
	set          *kernel.Set
	a            backend.Attrs
	group, d     int
	q, k, v, out ref
	table        ref // -1 without segments
	keys, values cache
	stored       [2]*kernel.Stored // of keys and values
	size         [2]int
	tiling       tiling
	blocks       []attentionBlock
	parts        int // of the keys
}

// attentionBlock is some rows of one segment and key head.
type attentionBlock struct {
	segment, head int
	base          int // the segment's first row
	from, to      int // rows within the segment
}

// sums is the state of the online softmax of some rows: the values weighted by
// exp(score-top), [rows, head_dim], the largest score and the sum of weights.
type sums struct{ acc, top, sum []float32 }

func bindAttention(b *binder, n *backend.Tensor) bool {
	a := n.Attrs()
	at := &attention{set: b.set, a: a, group: a.Heads / a.KVHeads, d: n.Dim(1) / a.Heads, q: b.arg(0), out: b.out(0), table: -1}
	next := 1
	if a.State == nil {
		at.k, at.v, next = b.arg(1), b.arg(2), 3
		at.stored, at.size = [2]*kernel.Stored{&b.set.Float32, &b.set.Float32}, [2]int{4, 4}
	} else {
		at.keys, at.values = b.cache(a.State, a.Layer), b.cache(a.Values, a.Layer)
		at.stored, at.size = [2]*kernel.Stored{at.keys.stored, at.values.stored}, [2]int{at.keys.size, at.values.size}
	}
	if len(n.Args()) > next {
		at.table = b.arg(next)
	}
	at.tiling = tilingOf(b.set, b.dots() && at.d%2 == 0)
	rows := at.divide()
	at.parts = 1
	if a.State != nil && slices.Max(append([]int{0}, a.Segments...))*at.group <= attentionPartRows {
		at.parts = (at.keys.capacity + attentionPart - 1) / attentionPart
	}
	if at.parts > 1 {
		at.bindParts(b, n.Dim(0))
		return true
	}
	work := rows * at.group * at.d * max(64, n.Dim(0)/2) / 8
	b.ranges(len(at.blocks), work, func(f *frame, w *worker, from, to int) {
		for _, blk := range at.blocks[from:to] {
			at.block(f, w, blk)
		}
	})
	return true
}

// divide cuts the segments into blocks of about as many rows each, and returns how many.
func (at *attention) divide() (rows int) {
	base := 0
	for s, l := range at.a.Segments {
		pieces := (l*at.group + attentionRows - 1) / attentionRows
		for h := range at.a.KVHeads {
			for i := range pieces {
				at.blocks = append(at.blocks, attentionBlock{s, h, base, i * l / pieces, (i + 1) * l / pieces})
			}
		}
		base += l
		rows = max(rows, (l+pieces)/max(pieces, 1))
	}
	return rows
}

// bindParts adds a phase for each part of the keys of each block and one that
// joins the parts.
func (at *attention) bindParts(b *binder, rows int) {
	heads := rows * at.a.Heads
	b.share(at.parts * heads * (at.d + 2))
	area := func(f *frame, part int) sums { // of all rows and heads
		s := f.shared[part*heads*(at.d+2):]
		return sums{s[2*heads:][:heads*at.d], s[:heads], s[heads:][:heads]}
	}
	b.phase(len(at.blocks)*at.parts, func(f *frame, w *worker, c int) {
		at.part(f, w, at.blocks[c/at.parts], c%at.parts, area(f, c%at.parts))
	})
	b.ranges(heads, at.parts*at.d, func(f *frame, w *worker, from, to int) {
		for i := from; i < to; i++ {
			at.join(f.f32(at.out)[i*at.d:][:at.d], i, func(part int) sums { return area(f, part) })
		}
	})
}

// visible returns the keys that row i of a segment sees: lo to hi (exclusive).
func (at *attention) visible(pos, real, i int) (lo, hi int) {
	row := i
	if at.a.State != nil {
		row += pos
	}
	switch {
	case at.a.Causal:
		hi = row + 1
	case at.a.State != nil:
		hi = at.a.Keys
	default:
		hi = real
	}
	if at.a.Window > 0 {
		lo = max(0, row-at.a.Window+1)
	}
	if at.a.State != nil {
		hi = min(hi, at.keys.capacity)
	}
	return min(lo, hi), hi
}

// block computes all that a block of rows sees.
func (at *attention) block(f *frame, w *worker, blk attentionBlock) {
	s := at.attend(f, w, blk, 0, math.MaxInt)
	for r := range s.sum {
		dst := f.f32(at.out)[at.at(blk, r)*at.d:][:at.d]
		at.set.MulScalar(dst, s.acc[r*at.d:][:at.d], 1/s.sum[r])
	}
}

// part computes one part of the keys for a block of rows and puts it among the
// sums of all rows and heads; where nothing is visible the sum is 0.
func (at *attention) part(f *frame, w *worker, blk attentionBlock, part int, all sums) {
	s := at.attend(f, w, blk, part*attentionPart, (part+1)*attentionPart)
	for r := range (blk.to - blk.from) * at.group {
		i := at.at(blk, r)
		all.sum[i] = 0
		if r < len(s.sum) {
			copy(all.acc[i*at.d:][:at.d], s.acc[r*at.d:])
			all.top[i], all.sum[i] = s.top[r], s.sum[r]
		}
	}
}

// join adds up the parts of a row and head. A row that sees nothing becomes
// NaN, as it does without parts.
func (at *attention) join(dst []float32, i int, area func(part int) sums) {
	top, sum := float32(math.Inf(-1)), float32(0)
	for p := range at.parts {
		if s := area(p); s.sum[i] != 0 && (s.top[i] > top || s.top[i] != s.top[i]) {
			top = s.top[i]
		}
	}
	clear(dst)
	for p := range at.parts {
		if s := area(p); s.sum[i] != 0 {
			weight := float32(math.Exp(float64(s.top[i] - top)))
			sum += weight * s.sum[i]
			at.set.Axpy(dst, weight, s.acc[i*at.d:][:at.d])
		}
	}
	at.set.MulScalar(dst, dst, 1/sum)
}

// attend runs the online softmax of a block's rows over those keys from..to
// that they see. Padding has no sums.
func (at *attention) attend(f *frame, w *worker, blk attentionBlock, from, to int) (s sums) {
	slot, pos, real := 0, 0, at.a.Segments[blk.segment]
	if at.table >= 0 {
		t := f.i32(at.table)[3*blk.segment:]
		slot, pos, real = int(t[0]), int(t[1]), min(int(t[2]), real)
	}
	n := min(blk.to, real) - blk.from
	if slot < 0 || n <= 0 {
		return s
	}
	lo, _ := at.visible(pos, real, blk.from)
	_, hi := at.visible(pos, real, blk.from+n-1)
	lo, hi = max(lo, from), min(hi, to)
	rows := n * at.group
	scratch := w.floats(rows * (2*at.d + attentionKeys + 2))
	cut := func(n int) []float32 {
		piece := scratch[:n]
		scratch = scratch[n:]
		return piece
	}
	q, scores := cut(rows*at.d), cut(rows*attentionKeys)
	s = sums{acc: cut(rows * at.d), top: cut(rows), sum: cut(rows)}
	at.load(f, q, blk, n)
	clear(s.acc)
	clear(s.sum)
	for r := range s.top {
		s.top[r] = float32(math.Inf(-1))
	}
	k, v, ld := at.operands(f, slot, blk)
	products := at.products(w, q, s.acc, scores, ld)
	for ; lo < hi; lo += attentionKeys {
		keys := min(attentionKeys, hi-lo)
		products.score(k[lo*ld*at.size[0]:], keys)
		for r := range rows {
			from, to := at.visible(pos, real, blk.from+r/at.group)
			at.soften(scores[r*attentionKeys:][:keys], s.acc[r*at.d:][:at.d], max(from-lo, 0), min(to-lo, keys), &s.top[r], &s.sum[r])
		}
		products.accumulate(v[lo*ld*at.size[1]:], keys)
	}
	return s
}

// at is the index of row r of a block in [rows, heads].
func (at *attention) at(blk attentionBlock, r int) int {
	row := blk.base + blk.from + r/at.group
	return row*at.a.Heads + blk.head*at.group + r%at.group
}

// load copies the block's queries, times the scale.
func (at *attention) load(f *frame, q []float32, blk attentionBlock, n int) {
	for r := range n * at.group {
		at.set.MulScalar(q[r*at.d:(r+1)*at.d], f.f32(at.q)[at.at(blk, r)*at.d:][:at.d], at.a.Scale)
	}
}

// operands returns the keys and values of the block's head and the distance of their rows.
func (at *attention) operands(f *frame, slot int, blk attentionBlock) (k, v []byte, ld int) {
	if at.a.State != nil {
		return at.keys.head(f, slot, blk.head), at.values.head(f, slot, blk.head), at.d
	}
	ld = at.a.KVHeads * at.d
	skip := 4 * (blk.base*ld + blk.head*at.d)
	return f.bytes(at.k)[skip:], f.bytes(at.v)[skip:], ld
}

// soften turns a row of scores into weights relative to the largest score so
// far and rescales what was accumulated under an older one.
func (at *attention) soften(scores, acc []float32, from, to int, top, sum *float32) {
	clear(scores[:min(from, len(scores))])
	clear(scores[max(to, 0):])
	if from >= to {
		return
	}
	seen := scores[from:to]
	m := at.set.MaxOf(seen)
	if m > *top || m != m {
		scale := float32(math.Exp(float64(*top - m)))
		at.set.MulScalar(acc, acc, scale)
		*sum *= scale
		*top = m
	}
	*sum += at.set.ExpSum(seen, seen, *top)
}
