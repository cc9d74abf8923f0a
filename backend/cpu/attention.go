package cpu

import (
	"math"

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
	lane         int // numbers in an element of the tiles' panels
	blocks       []attentionBlock
}

// attentionBlock is some rows of one segment and key head.
type attentionBlock struct {
	segment, head int
	base          int // the segment's first row
	from, to      int // rows within the segment
}

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
	at.lane = 1
	if b.dots() && at.d%2 == 0 {
		at.lane = 2
	}
	base, work := 0, 0
	for s, l := range a.Segments {
		pieces := (l*at.group + attentionRows - 1) / attentionRows
		for h := range a.KVHeads {
			for i := range pieces {
				at.blocks = append(at.blocks, attentionBlock{s, h, base, i * l / pieces, (i + 1) * l / pieces})
			}
		}
		base += l
		work = max(work, (l+pieces)/max(pieces, 1))
	}
	work *= at.group * at.d * max(64, n.Dim(0)/2) / 8
	b.ranges(len(at.blocks), work, func(f *frame, w *worker, from, to int) {
		for _, blk := range at.blocks[from:to] {
			at.block(f, w, blk)
		}
	})
	return true
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

func (at *attention) block(f *frame, w *worker, blk attentionBlock) {
	slot, pos, real := 0, 0, at.a.Segments[blk.segment]
	if at.table >= 0 {
		t := f.i32(at.table)[3*blk.segment:]
		slot, pos, real = int(t[0]), int(t[1]), min(int(t[2]), real)
	}
	n := min(blk.to, real) - blk.from
	if slot < 0 || n <= 0 {
		return
	}
	rows := n * at.group
	scratch := w.floats(rows * (2*at.d + attentionKeys + 2))
	cut := func(n int) []float32 {
		s := scratch[:n]
		scratch = scratch[n:]
		return s
	}
	q, acc, scores, top, sum := cut(rows*at.d), cut(rows*at.d), cut(rows*attentionKeys), cut(rows), cut(rows)
	at.load(f, q, blk, n)
	clear(acc)
	clear(sum)
	for r := range top {
		top[r] = float32(math.Inf(-1))
	}
	k, v, ld := at.operands(f, slot, blk)
	products := at.products(w, q, acc, scores, ld)
	lo, _ := at.visible(pos, real, blk.from)
	_, hi := at.visible(pos, real, blk.from+n-1)
	for ; lo < hi; lo += attentionKeys {
		keys := min(attentionKeys, hi-lo)
		products.score(k[lo*ld*at.size[0]:], keys)
		for r := range rows {
			from, to := at.visible(pos, real, blk.from+r/at.group)
			at.soften(scores[r*attentionKeys:][:keys], acc[r*at.d:][:at.d], max(from-lo, 0), min(to-lo, keys), &top[r], &sum[r])
		}
		products.accumulate(v[lo*ld*at.size[1]:], keys)
	}
	for r := range rows {
		dst := f.f32(at.out)[at.at(blk, r)*at.d:][:at.d]
		at.set.MulScalar(dst, acc[r*at.d:][:at.d], 1/sum[r])
	}
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
