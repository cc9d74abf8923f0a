//go:build !noasm

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// dots adds to the Set for NEON what the processor has of dot products: of
// bf16 since Armv8.6, of int8 since Armv8.4.
func dots(s *Set) {
	if cpu.ARM64.HasASIMDDP {
		s.DotInt8, s.PeakInt8 = true, peakInt8NEON
	}
	if !hasBF16() {
		return
	}
	s.DotBF16, s.PeakBF16 = true, peakBF16NEON
	s.TilePairs = tileLoops{rows: s.MR, columns: s.NR}.runTile(tileBF16NEON)
	s.BFloat16.Narrow = narrowBFloat16
	s.PackRowPairs = packRowPairsNEON(s.MR)
	s.PackColPairs = func(dst, b []float32, ldb, k, n int) {
		if n < s.NR || k%2 != 0 || k == 0 {
			packColPairs(s.NR)(dst, b, ldb, k, n)
			return
		}
		packColPairsNEON(first(dst, s.NR*k/2), first(b, span(k, n, ldb)), 4*ldb, k)
	}
	// A pair of bf16 moves like one f32.
	s.BFloat16.PackPairs = func(dst []float32, w []byte, ldw, n, k int) {
		whole := k / 16 * 16
		if n > 0 && whole > 0 {
			packFloat32NEON(first(dst, s.NR*whole/2), 4*s.NR, &w[:2*span(n, k, ldw)][0], 2*ldw, n, whole/2)
		} else {
			whole = 0
		}
		bfloat16s.packPairs(s.NR)(dst[s.NR*whole/2:], w[min(2*whole, len(w)):], ldw, n, k-whole)
	}
}

func narrowBFloat16(dst []byte, src []float32) {
	dst = dst[:2*len(src)]
	whole := len(src) / 8 * 8
	narrowBFloat16NEON(unsafe.SliceData(dst), unsafe.SliceData(src), whole)
	bfloat16s.narrow(dst[2*whole:], src[whole:])
}

// packRowPairsNEON rounds some columns of a panel's rows at a time and packs
// the pairs as if they were f32.
func packRowPairsNEON(mr int) func(dst, a []float32, lda, m, k int) {
	const most, block = 12, 256 // rows and columns
	return func(dst, a []float32, lda, m, k int) {
		var rounded [most * block * 2]byte
		whole := k / 16 * 16
		for i := 0; i < m; i += mr {
			rows, panel := min(mr, m-i), dst[i*(k/2):][:mr*(k/2)]
			for p := 0; p < whole; p += block {
				n := min(block, whole-p)
				for r := range rows {
					narrowBFloat16(rounded[2*r*block:][:2*n], a[(i+r)*lda+p:][:n])
				}
				packRowsNEON(&panel[mr*p/2], 4*mr, &rounded[0], 2*block, rows, n/2)
			}
			if whole < k {
				packRowPairs(mr)(panel[mr*whole/2:], a[i*lda+whole:], lda, rows, k-whole)
			}
		}
	}
}
