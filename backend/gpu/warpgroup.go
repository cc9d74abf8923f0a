package gpu

import "emily/backend"

// groupTile is a tile of the products of warpgroups.
type groupTile struct {
	kernel
	rows, columns int
	terms         [2]int // of x, of the weights
	products      int    // of terms, for each element
}

var groupTiles = []groupTile{
	{group11At128x256, 128, 256, [2]int{1, 1}, 1},
	{group11At128x128, 128, 128, [2]int{1, 1}, 1},
	{group11At64x128, 64, 128, [2]int{1, 1}, 1},
	{group31At128x128, 128, 128, [2]int{3, 1}, 3},
	{group31At64x128, 64, 128, [2]int{3, 1}, 3},
	{group33At128x128, 128, 128, [2]int{3, 3}, 6},
	{group33At64x128, 64, 128, [2]int{3, 3}, 6},
}

const (
	// groupSlab is the number of elements of k in a stage of the ring.
	groupSlab = 64
	// groupShared is the most shared memory of a block.
	groupShared = 227 << 10
	// mostStages is the number of stages from which on more do not pay.
	mostStages = 8
	// mostTerms is the number of bf16 numbers whose sum holds an f32.
	mostTerms = 3
)

// What a multiprocessor of compute capability 9.0 does in a cycle, and what
// takes so many cycles, for the choice of a tile.
const (
	productsPerCycle = 2048 // of matrix units
	bytesPerCycle    = 26   // from and to the L2 cache, where all multiprocessors use it
	startCycles      = 2000 // until a block has the first slab
	launchCycles     = 4000 // of one more kernel
)

// threads of a block: a warpgroup for each 64 rows, and a warp that feeds them.
func (t *groupTile) threads() int { return t.rows/64*4*warpSize + warpSize }

// stage is the bytes of the ring's stage.
func (t *groupTile) stage() int { return 2 * groupSlab * (t.terms[0]*t.rows + t.terms[1]*t.columns) }

// ring returns the number of stages, and the bytes of shared memory of a block:
// those of its stages with two gates each, and of a sheet for each 16 rows.
func (t *groupTile) ring(slabs int) (stages, bytes int) {
	const gates = 2 * 8
	pitch := 64 + 4
	if t.rows == 64 {
		pitch = 32 + 8
	}
	sheets := 4 * pitch * t.rows
	stages = min(max(slabs, 2), mostStages, (groupShared-sheets)/(t.stage()+gates))
	return stages, stages*(t.stage()+gates) + sheets
}

// layout is how the blocks of a product's launch divide it.
type layout struct {
	*groupTile
	across, down, cluster int // tiles of clusters, and a cluster's blocks
	splits, span          int // shares of k
}

// layout divides k among at most so many blocks. Of tiles below each other a cluster takes as many as it has blocks.
func (t *groupTile) layout(p *product, cluster, splits int) layout {
	l := layout{groupTile: t, cluster: 1}
	l.across, l.down = (&tileShape{rows: t.rows, columns: t.columns}).blocks(p)
	if l.down > 1 {
		l.cluster = cluster
		l.down = (l.down + cluster - 1) / cluster
	}
	k := int(p.k)
	l.span = ((k+splits-1)/splits + groupSlab - 1) / groupSlab * groupSlab
	l.splits = (k + l.span - 1) / l.span
	return l
}

func (l *layout) tiles() int { return l.across * l.down * l.splits }
func (l *layout) slabs() int { return (l.span + groupSlab - 1) / groupSlab }

// cycles estimates how long the product takes.
func (l *layout) cycles(units int) int {
	elements := l.rows * l.columns
	slab := max(l.products*elements*groupSlab/productsPerCycle, 2*groupSlab*(l.terms[0]*l.rows+l.terms[1]*l.columns/l.cluster)/bytesPerCycle)
	clusters := max(1, units/l.cluster)
	waves := (l.tiles() + clusters - 1) / clusters
	cycles := startCycles + waves*(l.slabs()*slab+4*elements/bytesPerCycle)
	if l.splits > 1 {
		cycles += launchCycles + 4*elements*l.tiles()*l.cluster/(units*bytesPerCycle)
	}
	return cycles
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

// fastest chooses the layout of a product.
func (p *product) fastest(on *Info) layout {
	var best layout
	for i := range groupTiles {
		t := &groupTiles[i]
		if t.terms != [2]int{p.xTerms(), p.wTerms} {
			continue
		}
		for splits := 1; splits <= max(1, int(p.k)/leastShare); splits++ {
			if l := t.layout(p, max(1, on.Cluster), splits); best.groupTile == nil || l.cycles(on.Units) < best.cycles(on.Units) {
				best = l
			}
		}
	}
	return best
}

// multiplyWarpgroups adds the launches of a product on warpgroups.
func (b *binder) multiplyWarpgroups(p *product) {
	units := b.backend.info.Units
	l := p.fastest(&b.backend.info)
	clusters := min(l.tiles(), max(1, units/l.cluster))
	stages, shared := l.ring(l.slabs())
	p.splits, p.span, p.stages = i32(l.splits), i32(l.span), i32(stages)
	p.across, p.cluster, p.step = i32(l.across), i32(l.cluster), i32(clusters)
	p.wide = flag(p.residual.offset%16 == 0)
	for _, n := range p.n {
		p.wide &= flag(n%4 == 0)
	}
	for i := range p.members {
		p.wide &= flag(p.members[i].y.offset%16 == 0)
	}
	if p.split == (operand{}) {
		p.split = b.split(p.x, int(p.m), int(p.k), p.xTerms())
	}
	b.multiplyShares(p, l.kernel, p.split, [3]int{clusters * l.cluster, 1, 1}, l.threads(), shared)
}
