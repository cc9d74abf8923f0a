package gpu

import "emily/backend"

const (
	// mostFewRows is that of the kernels, of which each reads its weights once;
	// more are faster as tiles, and more than fewOfWarpgroups as those of warpgroups.
	mostFewRows     = 48
	fewOfWarpgroups = 16
	// fewColumns is the number of rows of weights that a warp multiplies by.
	fewColumns = 16
	// fewWarps is the most that a block has.
	fewWarps = 16
	// leastFewShares is the number of warps that read a row of weights side by
	// side, since memory gives 64 bytes here and there slowly.
	leastFewShares = 4
	mostFewGroups  = fewWarps / leastFewShares
	// fewShared is shared memory that a block can have on every device with matrix units.
	fewShared = 96 << 10
	// What memory gives a block in the time that it takes to begin, and in that in
	// which blocks that share k find the last of them.
	beginBytes   = 40 << 10
	meetingBytes = 40 << 10
)

// fewKernels are by the terms of x; those for more than 16 rows follow with a distance.
var fewKernels = [2]map[backend.DType]kernel{
	{backend.F32: few1FloatOf16, backend.BF16: few1BF16Of16, backend.F16: few3F16Of16},
	{backend.F32: few3FloatOf16, backend.BF16: few3BF16Of16, backend.F16: few3F16Of16},
}

// few reports whether the product of some rows by stored weights runs on matrix
// units that take them straight from memory.
func (p *product) few(b *binder) bool {
	most := int32(mostFewRows)
	if b.backend.info.Warpgroups && p.dtype == backend.BF16 {
		most = fewOfWarpgroups
	}
	return p.m > 1 && p.m <= most && p.storedWeights() && p.matrices(b)
}

// fewShape is how such a product is shared: groups of warps of a block have
// columns of their own, shares of them parts of k, and so have splits of blocks.
type fewShape struct {
	tiles, groups, shares, splits, span, shared int
}

// shape chooses that with which the busiest multiprocessor reads least.
func (p *product) shape(units int) (best fewShape) {
	m, k, least := int(p.m), int(p.k), -1
	terms := p.xTerms()
	if p.dtype == backend.F16 {
		terms = 3 // always
	}
	width, members := fewColumns, p.n[:]
	if p.gated == 1 {
		width, members = width/2, members[:1]
	}
	warps := 0
	for _, n := range members {
		warps += (int(n) + width - 1) / width
	}
	for groups := 1; groups <= mostFewGroups; groups++ {
		for splits := 1; splits <= (k+slab-1)/slab; splits++ {
			span := ((k+splits-1)/splits + slab - 1) / slab * slab
			if (k+span-1)/span != splits {
				continue
			}
			s := fewShape{tiles: (warps + groups - 1) / groups, groups: groups, splits: splits, span: span}
			waves := (s.tiles*splits + units - 1) / units
			s.shares = min(fewWarps/groups, span/slab)
			if waves > 1 { // blocks of half the size, side by side
				s.shares = min(s.shares, fewWarps/2/groups)
			}
			if s.shares < min(leastFewShares, span/slab) {
				continue
			}
			s.shared = max(2*terms*m*slab*(span/slab|1), 4*s.shares*m*(fewColumns*groups+8))
			if s.shared > fewShared {
				continue
			}
			sums := 4 * m * fewColumns * groups
			bytes := beginBytes + span*(fewColumns*groups*p.dtype.Size()+4*m)
			if p.norm[0] != (operand{}) {
				bytes += 4 * m * k
			}
			if splits > 1 {
				bytes += meetingBytes + sums
			}
			if bytes *= waves; splits > 1 {
				bytes += splits * sums
			}
			if least < 0 || bytes < least {
				best, least = s, bytes
			}
		}
	}
	return best
}

// multiplyFew adds the launch of a product of few rows.
func (b *binder) multiplyFew(p *product) {
	s := p.shape(b.backend.info.Units)
	p.groups, p.splits, p.span = i32(s.groups), i32(s.splits), i32(s.span)
	operands, partial, counts := p.operands(), operand{}, operand{}
	if s.splits > 1 {
		partial = b.scratch(4 * s.tiles * s.splits * int(p.m) * fewColumns * s.groups)
		counts = b.counts(s.tiles)
	}
	k := fewKernels[p.terms()][p.dtype]
	if p.m > 16 {
		k += few1FloatOf48 - few1FloatOf16
	}
	b.launch(k, [3]int{s.tiles, 1, s.splits}, s.groups*s.shares*warpSize, bytesOf(p.productArgs), append(operands, partial, counts)...)
	if s.tiles > 0 {
		b.launches[len(b.launches)-1].shared = s.shared
	}
}

// counts are n counters of blocks that every launch leaves at zero.
func (b *binder) counts(n int) operand {
	b.countBytes = max(b.countBytes, 4*n)
	return operand{kind: inCounts, bytes: 4 * n}
}
