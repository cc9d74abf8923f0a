//go:build (amd64 || arm64) && !noasm

package kernel

import "unsafe"

// tileLoops holds the assembly for the matrix product; packCols may be nil.
type tileLoops struct {
	rows, columns int // of the tile
	step          int // packRows takes a multiple of so many columns
	tile          tileFunc
	packRows      packFunc
	packCols      func(dst, b *float32, ldb, k, n int)
	peak          func(rounds int) int
}

// tileFunc multiplies two panels of k elements: see Set.Tile.
type tileFunc func(c *float32, ldc int, a, b *float32, k, m, n, accumulate int)

// packFunc transposes up to one row per lane: see storedLoops.pack.
type packFunc func(dst *float32, stride int, w *byte, ldw, n, k int)

// into replaces the functions of s.
func (l tileLoops) into(s *Set) {
	s.MR, s.NR, s.MRPairs = l.rows, l.columns, l.rows
	s.Tile = l.runTile(l.tile)
	s.PackRows = l.runPackRows
	s.PackCols = l.runPackCols
	s.Peak = l.peak
	s.PackRowPairs = packRowPairs(l.rows)
	s.PackColPairs = packColPairs(l.columns)
	s.TilePairs = tilePairs(l.rows, l.columns)
}

func (l tileLoops) runTile(tile tileFunc) func(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool) {
	return func(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool) {
		if m == 0 || n == 0 {
			return
		}
		c = c[:span(m, n, ldc)]
		for i := 0; i < m; i += l.rows {
			panel := first(a[i/l.rows*lda:], k*l.rows)
			tile(&c[i*ldc], 4*ldc, panel, first(b, k*l.columns), k, min(l.rows, m-i), n, number(accumulate))
		}
	}
}

// number is 1 for true, 0 for false.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (l tileLoops) runPackRows(dst, a []float32, lda, m, k int) {
	if m == 0 || k == 0 {
		return
	}
	a = a[:span(m, k, lda)]
	whole := k / l.step * l.step
	for i := 0; i < m; i += l.rows {
		panel := dst[i*k:][:l.rows*k]
		rows := min(l.rows, m-i)
		w := (*byte)(unsafe.Pointer(&a[i*lda]))
		l.packRows(unsafe.SliceData(panel), 4*l.rows, w, 4*lda, rows, whole)
		if whole < k {
			packRowPanels(l.rows, panel[whole*l.rows:], a[i*lda+whole:], lda, rows, k-whole)
		}
	}
}

func (l tileLoops) runPackCols(dst, b []float32, ldb, k, n int) {
	if n == 0 || k == 0 || l.packCols == nil {
		packColPanel(l.columns, dst, b, ldb, k, n)
		return
	}
	l.packCols(first(dst, k*l.columns), first(b, span(k, n, ldb)), 4*ldb, k, n)
}
