package gpu

import "emily/backend"

const (
	// attentionWarps share the keys of a block of the attention.
	attentionWarps = 8
	// mostHeadDim is the largest head that a warp of the attention holds.
	mostHeadDim = 256
	// leastSplit is the number of keys under which sharing them among blocks does not pay.
	leastSplit = 256
	// flashTile is the number of keys that a block on matrix units takes at a time, and of its rows
	flashTile = 64
	// or, where such blocks would leave much of the device idle:
	narrowTile = 16
	// leastFlash is the number of rows of a segment from which such a block pays.
	leastFlash = 16
)

func bindAttention(b *binder, n *backend.Tensor) bool {
	a, t := n.Attrs(), n.Attrs().Attention(n.Args())
	rows := n.Dim(0)
	args := attentionArgs{heads: i32(a.Heads), kvHeads: i32(a.KVHeads), dim: i32(n.Dim(1) / a.Heads), causal: flag(a.Causal),
		window: i32(a.Window), keys: i32(a.Keys), splits: 1, keyType: i32(int(backend.F32)), valueType: i32(int(backend.F32)), round: flag(b.round), scale: a.Scale}
	o := attentionOperands{q: b.arg(0), y: b.out(0)}
	if a.State != nil {
		o.k, o.v = b.state(a.State), b.state(a.Values)
		args.cached, args.layer, args.slots, args.capacity = 1, i32(a.Layer), i32(a.State.Shape[1]), i32(a.State.Shape[3])
		o.exact = b.exactArg(0) && a.State.DType == backend.BF16 && a.Values.DType == backend.BF16
		args.keyType, args.valueType = i32(int(a.State.DType)), i32(int(a.Values.DType))
	} else {
		o.k, o.v = b.arg(1), b.arg(2)
		o.exact = b.exactArg(0) && b.exactArg(1) && b.exactArg(2)
	}
	if t.Table != nil {
		o.table = b.arg(len(n.Args()) - 1)
	} else { // one segment without padding
		o.table = b.constant(backend.BufferOf([]int32{0, 0, int32(rows)}))
	}
	least := leastFlash // rows of a segment for matrix units
	if !b.flashes(args, o) {
		least = rows + 1
	}
	tile := b.flashRows(args, a.Segments, least)
	var few, tiles []int32 // segment, index there, row
	row := 0
	for s, l := range a.Segments {
		list, step := &few, 1
		if l >= least {
			list, step = &tiles, tile
		}
		for i := 0; i < l; i += step {
			*list = append(*list, int32(s), int32(i), int32(row+i))
		}
		row += l
	}
	b.flash(args, o, tile, tiles)
	b.attend(args, o, few)
	return true
}

// attentionOperands are the buffers of an attention; exact says that queries,
// keys and values are bf16 in whatever dtype they are.
type attentionOperands struct {
	q, k, v, table, y operand
	exact             bool
}

// attend adds the attention of some rows, a block for each head of each row
// and, of a long cache, for each share of the keys.
func (b *binder) attend(args attentionArgs, o attentionOperands, list []int32) {
	if len(list) == 0 {
		return
	}
	rows, heads := len(list)/3, int(args.heads)
	args.rows = i32(rows)
	partial, places := operand{}, b.constant(backend.BufferOf(list))
	if args.cached == 1 {
		spare := 2 * b.backend.info.Units / (rows * heads)
		args.splits = i32(max(1, min(spare, int(args.capacity)/leastSplit)))
	}
	if args.splits > 1 {
		partial = b.scratch(4 * int(args.splits) * rows * heads * int(args.dim+2))
	}
	kernel, wide := attention1, warpSize // elements of a head
	if args.keyType == args.valueType && args.dim%8 == 0 && (o.q.offset|o.k.offset|o.v.offset)%16 == 0 {
		kernel, wide = eights64, 2*warpSize
	}
	for ; wide < int(args.dim); wide *= 2 {
		kernel++
	}
	b.launch(kernel, [3]int{rows, heads, int(args.splits)}, attentionWarps*warpSize, bytesOf(args), o.q, o.k, o.v, o.table, places, o.y, partial)
	if args.splits > 1 {
		b.launch(attentionMerge, [3]int{rows, heads, 1}, rowThreads(int(args.dim)), bytesOf(args), partial, o.table, places, o.y)
	}
}

// flashes reports whether the attention can run on the device's matrix units.
func (b *binder) flashes(args attentionArgs, o attentionOperands) bool {
	same := args.keyType == args.valueType && args.keyType != i32(int(backend.F16))
	return b.backend.info.Matrix && same && args.dim%8 == 0 && args.dim <= 128 && (o.q.offset|o.k.offset|o.v.offset)%16 == 0
}

// flashRows is the number of rows of a block on matrix units for segments of at least so many.
func (b *binder) flashRows(args attentionArgs, segments []int, least int) int {
	blocks := 0
	for _, l := range segments {
		if l >= least {
			blocks += (l + flashTile - 1) / flashTile * int(args.heads)
		}
	}
	if args.dim <= 64 && blocks < b.backend.info.Units {
		return narrowTile
	}
	return flashTile
}

// flash adds the attention of some tiles of rows on matrix units.
func (b *binder) flash(args attentionArgs, o attentionOperands, tile int, tiles []int32) {
	if len(tiles) == 0 {
		return
	}
	kernel, width, size := flash1BF16At64, 64, 2
	if args.dim > 64 {
		kernel, width = flash1BF16At128, 128
	} else if tile == narrowTile {
		kernel = narrow1BF16At64
	}
	if args.keyType == i32(int(backend.F32)) {
		kernel, size = kernel+2, 4
	}
	if !o.exact {
		kernel++
	}
	args.rows = i32(len(tiles) / 3)
	b.launch(kernel, [3]int{len(tiles) / 3, int(args.heads), 1}, 4*warpSize, bytesOf(args), o.q, o.k, o.v, o.table, b.constant(backend.BufferOf(tiles)), o.y)
	b.launches[len(b.launches)-1].shared = width * (4*tile + 2*size*flashTile)
}
