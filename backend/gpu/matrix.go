package gpu

import "emily/backend"

// tileShape is a tile of the product kernels for matrix units.
type tileShape struct {
	rows, columns, threads int
	kernels                [2]map[backend.DType]kernel // by the terms of x: one, three
	stages                 map[backend.DType]int
}

var (
	smallTile = tileShape{64, 64, 128, [2]map[backend.DType]kernel{
		{backend.F32: small1Float, backend.BF16: small1BF16, backend.F16: small3F16},
		{backend.F32: small3Float, backend.BF16: small3BF16, backend.F16: small3F16},
	}, map[backend.DType]int{backend.F32: 4, backend.BF16: 4, backend.F16: 4}}
	largeTile = tileShape{128, 128, 256, [2]map[backend.DType]kernel{
		{backend.BF16: large1BF16},
		{backend.F32: large3Float, backend.BF16: large3BF16},
	}, map[backend.DType]int{backend.F32: 3, backend.BF16: 4}}
)

// slab is the number of elements of k in a stage of a tile's pipeline.
const slab = 32

// leastShare is the number of elements of k under which sharing them among
// blocks does not pay.
const leastShare = 128

// shared is the bytes of shared memory of a block.
func (s *tileShape) shared(d backend.DType) int {
	return s.stages[d] * slab * (4*s.rows + d.Size()*s.columns)
}

// blocks is the number of tiles of a product.
func (s *tileShape) blocks(p *product) (across, down int) {
	width, members := s.columns, p.n[:]
	if p.gated == 1 {
		width, members = width/2, members[:1]
	}
	for _, n := range members {
		across += (int(n) + width - 1) / width
	}
	return across, (int(p.m) + s.rows - 1) / s.rows
}

// matrices reports whether the product can run on the device's matrix units.
func (p *product) matrices(b *binder) bool {
	return b.backend.info.Matrix && p.wRow == 1 && p.count == 1 && p.k > 0 && p.aligned()
}

// multiplyMatrices adds the launches of a product on matrix units. Large tiles
// read less, small ones keep more multiprocessors busy; where even they are too
// few, several blocks share k.
func (b *binder) multiplyMatrices(p *product) {
	tile, units := &largeTile, b.backend.info.Units
	across, down := tile.blocks(p)
	if _, ok := tile.kernels[p.terms()][p.dtype]; !ok || across*down < units {
		tile = &smallTile
		across, down = tile.blocks(p)
	}
	p.share(across*down, 2*units, slab)
	b.multiplyShares(p, tile.kernels[p.terms()][p.dtype], p.x, [3]int{across, down, int(p.splits)}, tile.threads, tile.shared(p.dtype))
}

// share shares k, in whole slabs, among as many blocks as the device is to have of few tiles.
func (p *product) share(tiles, blocks, slab int) {
	k := int(p.k)
	p.splits, p.span = 1, p.k
	if tiles > 0 && 2*tiles < blocks {
		splits := max(1, min(blocks/tiles, k/leastShare))
		span := ((k+splits-1)/splits + slab - 1) / slab * slab
		p.span, p.splits = i32(span), i32((k+span-1)/span)
	}
}

// multiplyShares adds a kernel for tiles of a product and, where blocks share k,
// the one that adds up their sums.
func (b *binder) multiplyShares(p *product, k kernel, x operand, grid [3]int, threads, shared int) {
	members := append(p.members[:len(p.members):len(p.members)], make([]member, mostMembers-len(p.members))...)
	for i := range members {
		members[i].w.width = x.width // both are matrices, or neither
	}
	shares := operand{}
	if p.splits > 1 {
		shares = b.scratch(4 * int(p.splits*p.m*(p.n[0]+p.n[1]+p.n[2])))
	}
	operands := []operand{x, members[0].w, members[0].bias, members[0].y, p.residual, shares}
	finish := []operand{shares, members[0].bias, members[0].y, p.residual}
	for _, m := range members[1:] {
		operands = append(operands, m.w, m.bias, m.y)
		finish = append(finish, m.bias, m.y)
	}
	args := bytesOf(p.productArgs)
	b.launch(k, grid, threads, args, operands...)
	if last := len(b.launches) - 1; grid[0]*grid[1] > 0 {
		b.launches[last].shared, b.launches[last].cluster = shared, int(p.cluster)
	}
	if p.splits > 1 {
		n := int(p.n[0] + p.n[1] + p.n[2])
		if p.gated == 1 {
			n = int(p.n[0])
		}
		b.each(sharesSum, int(p.m)*n, args, finish...)
	}
}

// meets is a weight as rows meet it: many that are bf16 meet f32 rounded to
// bf16 too, where the device has matrix units, as in a bf16 model.
func (b *binder) meets(s backend.Slot, w operand, rows int, exact bool) (operand, backend.DType) {
	dtype := s.Tensor.DType()
	if !exact || !b.rounds() || !b.backend.info.Matrix || rows <= mostVectorRows || dtype != backend.F32 || s.Place != backend.InWeight {
		return w, dtype
	}
	w.memory, w.offset, w.bytes = b.upload(s.Weight, b.backend.uploadedBF16), w.offset/2, w.bytes/2
	return w, backend.BF16
}

// terms chooses among kernels: 0 if x is bf16 already, 1 if it has to be split.
func (p *product) terms() int {
	if p.exact {
		return 0
	}
	return 1
}
