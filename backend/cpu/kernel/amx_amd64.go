//go:build !noasm

package kernel

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// AMX multiplies tiles of 16 rows of 16 pairs with tiles of 16 pairs of 16
// columns. A panel of columns is made of such tiles as it is; a panel of rows
// keeps them one after the other, for each 16 pairs those of all its rows: the
// last of them, if the pairs are fewer, has shorter rows.
const (
	tileSide = 16           // rows, columns or pairs of a tile
	amxSide  = 2 * tileSide // rows and columns of sums that are kept in tiles
	// amxKC keeps a panel of columns, and the rows that pass by, in a first-level cache of 48 KiB.
	amxKC = 128
)

// amxLoops holds the assembly for products in bf16 by tiles.
type amxLoops struct {
	tile     func(c *float32, ldc int, a *float32, lda, row int, b *float32, steps, groups, m, n int, accumulate int, config tileConfig)
	packRows packFunc // of one tile's rows, stride bytes apart, and of the tiles after it
	peak     func(rounds int, config tileConfig) int
}

// hasAMX reports whether processor and operating system multiply tiles of bf16.
var hasAMX = sync.OnceValue(func() bool {
	x := &cpu.X86
	return x.HasAMXTile && x.HasAMXBF16 && x.HasAVX512BF16 && permitTiles()
})

// into replaces the functions of s, whose panels have 32 columns.
func (l amxLoops) into(s *Set) {
	s.DotBF16 = true
	s.MRPairs, s.KCPairs = amxSide, amxKC
	s.PackRowPairs = l.runPackRows
	s.TilePairs = l.runTile
	s.PeakBF16 = func(rounds int) int {
		return l.peak(rounds, configure(amxSide, amxSide, tileSide))
	}
}

func (l amxLoops) runPackRows(dst, a []float32, lda, m, k int) {
	if m == 0 || k == 0 {
		return
	}
	a = a[:span(m, k, lda)]
	pairs := k / 2
	whole := pairs / tileSide * tileSide
	for i := 0; i < m; i += amxSide {
		panel, rows := dst[i*pairs:][:amxSide*pairs], min(amxSide, m-i)
		if rows < amxSide {
			clear(panel)
		}
		pack := func(p, count int) {
			if count > 0 {
				w := (*byte)(unsafe.Pointer(&a[i*lda+2*p]))
				l.packRows(&panel[p*amxSide], 4*min(count, tileSide), w, 4*lda, rows, count)
			}
		}
		pack(0, whole)
		pack(whole, pairs-whole)
	}
}

// runTile multiplies whole steps of 16 pairs, then the pairs that are left; of
// both all whole groups of 32 rows, then the rows that are left.
func (l amxLoops) runTile(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool) {
	if m == 0 || n == 0 {
		return
	}
	c, a, b = c[:span(m, n, ldc)], a[:(m-1)/amxSide*lda+amxSide*k], b[:amxSide*k]
	if k == 0 {
		for i := range m {
			if !accumulate {
				clear(c[i*ldc:][:n])
			}
		}
		return
	}
	rows := func(i, groups, rows, p, depth, steps int, accumulate bool) {
		l.tile(&c[i*ldc], 4*ldc, &a[i/amxSide*lda+p*amxSide], 4*lda, 4*depth, &b[p*amxSide], steps, groups, rows, n,
			number(accumulate), configure(rows, n, depth))
	}
	pairs := func(p, depth, steps int, accumulate bool) {
		groups := m / amxSide
		if groups > 0 {
			rows(0, groups, amxSide, p, depth, steps, accumulate)
		}
		if left := m % amxSide; left > 0 {
			rows(m-left, 1, left, p, depth, steps, accumulate)
		}
	}
	steps, left := k/tileSide, k%tileSide
	if steps > 0 {
		pairs(0, tileSide, steps, accumulate)
	}
	if left > 0 {
		pairs(k-left, left, 1, accumulate || steps > 0)
	}
}

// A tileConfig is what LDTILECFG reads: the palette, at byte 16 the bytes of a
// row of each tile, 16 bits each, and at byte 48 its rows (Intel SDM volume 2).
type tileConfig = [64]byte

// configure makes tiles for m rows and n columns of sums, 1 to 32, and depth
// pairs, 1 to 16. Tiles that are not needed have no size.
func configure(m, n, depth int) (t tileConfig) {
	t[0] = 1
	size := func(tile, rows, columns int) {
		if rows > 0 && columns > 0 {
			t[16+2*tile], t[48+tile] = byte(4*columns), byte(rows)
		}
	}
	rows := [2]int{min(m, tileSide), max(m-tileSide, 0)}
	columns := [2]int{min(n, tileSide), max(n-tileSide, 0)}
	for half := range 2 {
		size(2*half, rows[half], columns[0])
		size(2*half+1, rows[half], columns[1])
		size(4+half, rows[half], depth)
		size(6+half, depth, columns[half])
	}
	return t
}
