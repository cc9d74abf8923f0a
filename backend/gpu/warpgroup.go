package gpu

import "emily/backend"

// groupTile is a tile of the products of warpgroups.
type groupTile struct {
	kernel
	rows, columns int
	terms         [2]int // of x, of the weights
	// speed is that of a device full of such tiles, relative to the others of the same terms.
	speed float64
	// together is how many a multiprocessor has registers for.
	together int
}

// groupTiles are from the largest to the smallest.
var groupTiles = []groupTile{
	{group11At128x256, 128, 256, [2]int{1, 1}, 1, 1},
	{group11At128x128, 128, 128, [2]int{1, 1}, 0.8, 2},
	{group11At64x128, 64, 128, [2]int{1, 1}, 0.55, 2},
	{group31At128x128, 128, 128, [2]int{3, 1}, 1, 1},
	{group31At64x128, 64, 128, [2]int{3, 1}, 0.7, 1},
	{group33At128x128, 128, 128, [2]int{3, 3}, 1, 1},
	{group33At64x128, 64, 128, [2]int{3, 3}, 0.8, 1},
}

const (
	// groupSlab is the number of elements of k in a stage of the ring.
	groupSlab = 64
	// groupShared is the shared memory of a multiprocessor that its blocks share.
	groupShared = 227 << 10
	// groupBlock is what the device takes of it for each block.
	groupBlock = 1 << 10
	// mostStages is the number of stages from which on more do not pay.
	mostStages = 8
	// mostTerms is the number of bf16 numbers whose sum holds an f32.
	mostTerms = 3
)

// blocks is the number of tiles of a product.
func (t *groupTile) blocks(p *product) (across, down int) {
	return (&tileShape{rows: t.rows, columns: t.columns}).blocks(p)
}

// threads of a block: a warpgroup for each 64 rows, and a warp that feeds them.
func (t *groupTile) threads() int { return t.rows/64*4*warpSize + warpSize }

// ring returns the number of stages of which so many blocks share a
// multiprocessor, and the bytes of shared memory of a block: those of its stages
// with two gates each, or of the tile's sums where they are more.
func (t *groupTile) ring(together, slabs int) (stages, bytes int) {
	stage := 2*groupSlab*(t.terms[0]*t.rows+t.terms[1]*t.columns) + 16
	stages = min(max(slabs, 2), mostStages, ((groupShared+groupBlock)/together-groupBlock)/stage)
	return stages, max(stages*stage, 4*t.rows*(t.columns+8))
}

// fits is the share of a full device's speed that a product has with these tiles.
func (t *groupTile) fits(p *product, units int) float64 {
	across, down := t.blocks(p)
	blocks := across * down
	width := 0
	for _, n := range p.n {
		width += int(n)
	}
	waves := max(1, (blocks+units-1)/units)
	return t.speed * float64(int(p.m)*width) / float64(waves*units*t.rows*t.columns)
}

// warpgroups reports whether the product can run on the device's warpgroups.
func (p *product) warpgroups(b *binder) bool {
	return b.backend.info.Warpgroups && p.dtype == backend.BF16 && p.m > mostVectorRows && !p.few(b) && p.matrices(b)
}

// xTerms is the number of bf16 terms that hold an element of x.
func (p *product) xTerms() int {
	if p.exact && p.wTerms == 1 {
		return 1
	}
	return mostTerms
}

// inTerms is an f32 weight as m rows of x meet it on warpgroups: in bf16 terms,
// which the device keeps beside it. Other weights stay as they are.
func (b *binder) inTerms(s backend.Slot, w, x operand, m, k int) (operand, backend.DType, int) {
	dtype := s.Tensor.DType()
	p := linear(x, m, k, backend.BF16)
	if dtype != backend.F32 || s.Place != backend.InWeight || w.bytes == 0 || w.bytes != len(s.Weight.Data) || !p.warpgroups(b) {
		return w, dtype, 1
	}
	w.memory, w.bytes = b.upload(s.Weight, b.backend.uploadedTerms), 2*mostTerms*w.bytes/4
	return w, backend.BF16, mostTerms
}

// split adds the kernel that takes x apart.
func (b *binder) split(x operand, m, k, terms int) operand {
	y := b.terms(m, k, terms)
	b.each(splitTerms, m*k/8, bytesOf(splitArgs{i32(m), i32(k), i32(terms)}), x, y)
	return y
}

// terms is scratch for the bf16 terms of m rows.
func (b *binder) terms(m, k, terms int) operand {
	y := b.scratch(2 * m * k * terms)
	y.width = k
	return y
}

// tile chooses the tile with which a product is fastest.
func (p *product) tile(units int) *groupTile {
	var best *groupTile
	for i := range groupTiles {
		t := &groupTiles[i]
		if t.terms == [2]int{p.xTerms(), p.wTerms} && (best == nil || t.fits(p, units) > best.fits(p, units)) {
			best = t
		}
	}
	return best
}

// multiplyWarpgroups adds the launches of a product on warpgroups.
func (b *binder) multiplyWarpgroups(p *product) {
	units := b.backend.info.Units
	tile := p.tile(units)
	across, down := tile.blocks(p)
	p.share(across*down, units, groupSlab)
	together := min(tile.together, max(1, across*down*int(p.splits)/units))
	stages, shared := tile.ring(together, (int(p.span)+groupSlab-1)/groupSlab)
	p.stages, p.wide = i32(stages), 1
	for _, n := range p.n {
		p.wide &= flag(n%4 == 0)
	}
	for i := range p.members {
		p.wide &= flag(p.members[i].y.offset%16 == 0)
	}
	if p.split == (operand{}) {
		p.split = b.split(p.x, int(p.m), int(p.k), p.xTerms())
	}
	b.multiplyShares(p, tile.kernel, p.split, [3]int{across, down, int(p.splits)}, tile.threads(), shared)
}
