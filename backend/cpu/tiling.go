package cpu

import "emily/backend/cpu/kernel"

// tiling is how a Set multiplies many rows: on tiles of f32, or of pairs of bf16.
type tiling struct {
	lane     int // numbers in an element of the panels
	rows     int // of a panel of rows
	depth    int // the part of the sum that one pass covers, in elements of the panels
	packRows func(dst, a []float32, lda, m, k int)
	packCols func(dst, b []float32, ldb, k, n int)
	tile     func(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool)
}

func tilingOf(s *kernel.Set, pairs bool) tiling {
	if pairs {
		return tiling{2, s.MRPairs, s.KCPairs, s.PackRowPairs, s.PackColPairs, s.TilePairs}
	}
	return tiling{1, s.MR, s.KC, s.PackRows, s.PackCols, s.Tile}
}

// padded is a number of rows with those that fill the last panel.
func (t tiling) padded(rows int) int { return (rows + t.rows - 1) / t.rows * t.rows }

// pack returns what packs weights of a dtype into a panel of columns.
func (t tiling) pack(s *kernel.Stored) func(dst []float32, w []byte, ldw, n, k int) {
	if t.lane == 2 {
		return s.PackPairs
	}
	return s.Pack
}
