//go:build !noasm

package kernel

import "unsafe"

// pairLoops holds the assembly for products in bf16, whose packing masks its tails.
type pairLoops struct {
	tile                       tileFunc
	packRows                   packFunc
	packCols                   func(dst, b *float32, ldb int, k, n int)
	float32, bfloat16, float16 packFunc // of weights
	peak                       func(rounds int) int
}

// into replaces the functions of s, which has the tile of the same size.
func (l pairLoops) into(s *Set) {
	s.DotBF16 = true
	s.TilePairs = tileLoops{rows: s.MR, columns: s.NR}.runTile(l.tile)
	s.PackRowPairs = packRowPairsWith(s.MR, l.packRows)
	s.PackColPairs = packColPairsWith(s.NR, l.packCols)
	s.Float32.PackPairs = packPairsWith(s.NR, float32s, l.float32)
	s.BFloat16.PackPairs = packPairsWith(s.NR, bfloat16s, l.bfloat16)
	s.Float16.PackPairs = packPairsWith(s.NR, float16s, l.float16)
	s.PeakBF16 = l.peak
}

func packRowPairsWith(mr int, pack packFunc) func(dst, a []float32, lda, m, k int) {
	return func(dst, a []float32, lda, m, k int) {
		if m == 0 || k == 0 {
			return
		}
		a = a[:span(m, k, lda)]
		for i := 0; i < m; i += mr {
			panel := dst[i*(k/2):][:mr*(k/2)]
			pack(unsafe.SliceData(panel), 4*mr, (*byte)(unsafe.Pointer(&a[i*lda])), 4*lda, min(mr, m-i), k/2)
		}
	}
}

func packColPairsWith(nr int, pack func(dst, b *float32, ldb int, k, n int)) func(dst, b []float32, ldb, k, n int) {
	return func(dst, b []float32, ldb, k, n int) {
		if n == 0 || k == 0 {
			clear(dst[:nr*((k+1)/2)])
			return
		}
		pack(first(dst, nr*((k+1)/2)), first(b, span(k, n, ldb)), 4*ldb, k, n)
	}
}

// packPairsWith packs a panel of nr columns, one vector of columns at a time.
func packPairsWith(nr int, t stored, pack packFunc) func(dst []float32, w []byte, ldw, n, k int) {
	const lanes = 16
	size := t.size()
	return func(dst []float32, w []byte, ldw, n, k int) {
		if n == 0 || k == 0 {
			clear(dst[:nr*(k/2)])
			return
		}
		dst, w = dst[:nr*(k/2)], w[:span(n, k, ldw)*size]
		for j := 0; j < nr; j += lanes {
			rows := max(0, min(lanes, n-j))
			pack(&dst[j], 4*nr, &w[min(j, n-1)*ldw*size], ldw*size, rows, k/2)
		}
	}
}
