package kernel

import (
	"fmt"
	"math"
	"testing"
)

// evenSizes are the sizes that divide into pairs.
func evenSizes() (list []int) {
	for _, k := range sizes {
		if k%2 == 0 {
			list = append(list, k)
		}
	}
	return append(list, 2, 10, 34, 66, 286)
}

// samePairs fails unless dst holds the pairs of at(j, 2p) and at(j, 2p+1),
// rounded to bf16, for j < n and then zeros: width pairs in each of k/2 columns.
func (a arena) samePairs(dst []float32, width, n, k int, at func(j, p int) float32) {
	a.t.Helper()
	for p := range k / 2 {
		for j := range width {
			var low, high float32
			if j < n {
				low, high = fromBFloat16(toBFloat16(at(j, 2*p))), fromBFloat16(toBFloat16(at(j, 2*p+1)))
			}
			gotLow, gotHigh := unpair(dst[p*width+j])
			if !same(gotLow, low) || !same(gotHigh, high) {
				a.t.Fatalf("n %d, k %d: pair [%d,%d] is %g and %g, want %g and %g", n, k, p, j, gotLow, gotHigh, low, high)
			}
		}
	}
}

func TestPackPairs(t *testing.T) {
	everyPairSet(t, func(a arena, s *Set) {
		for _, d := range dtypes {
			for _, k := range evenSizes() {
				a.step(fmt.Sprintf("%s/k=%d", d.name, k), func(a arena) {
					for n := 0; n <= s.NR; n++ {
						ldw := k + a.rng.IntN(5)
						wide := a.matrix(n, k, ldw)
						if n > 0 && k > 4 {
							wide[1], wide[2], wide[3] = float32(math.Inf(1)), float32(math.NaN()), 0x1.018p0 // halfway between two bf16
						}
						w := a.narrow(d.dtype, wide)
						dst := a.filled(k/2*s.NR, sentinel)
						d.of(s).PackPairs(dst, w, ldw, n, k)
						a.samePairs(dst, s.NR, n, k, func(j, p int) float32 { return wide[j*ldw+p] })
					}
				})
			}
		}
	})
}

func TestPackRowPairs(t *testing.T) {
	everyPairSet(t, func(a arena, s *Set) {
		for _, k := range evenSizes() {
			a.step(fmt.Sprintf("k=%d", k), func(a arena) {
				for _, m := range []int{0, 1, 2, s.MRPairs - 1, s.MRPairs, s.MRPairs + 1, 2*s.MRPairs + 3} {
					lda := k + a.rng.IntN(3)
					x := a.matrix(m, k, lda)
					mr := s.MRPairs
					panels := (m + mr - 1) / mr
					dst := a.filled(panels*mr*k/2, sentinel)
					s.PackRowPairs(dst, x, lda, m, k)
					for i := range panels {
						first := i * mr
						panel := inColumns(s, dst[first*k/2:][:mr*k/2])
						a.samePairs(panel, mr, min(mr, m-first), k, func(r, p int) float32 { return x[(first+r)*lda+p] })
					}
				}
			})
		}
	})
}

// inColumns returns a panel of rows column by column, in which order all but AMX keep it.
func inColumns(s *Set, panel []float32) []float32 {
	if s.Name != "amx" {
		return panel
	}
	const side = 16 // pairs of a tile
	k := len(panel) / s.MRPairs
	columns := make([]float32, 0, len(panel))
	for p := range k {
		first := p / side * side
		for r := range s.MRPairs {
			columns = append(columns, panel[first*s.MRPairs+r*min(side, k-first)+p-first])
		}
	}
	return columns
}

func TestPackColPairs(t *testing.T) {
	everyPairSet(t, func(a arena, s *Set) {
		for _, k := range []int{0, 1, 2, 3, 17, 40} {
			a.step(fmt.Sprintf("k=%d", k), func(a arena) {
				for n := 0; n <= s.NR; n++ {
					ldb := n + a.rng.IntN(3)
					x := a.matrix(k, n, ldb)
					dst := a.filled((k+1)/2*s.NR, sentinel)
					s.PackColPairs(dst, x, ldb, k, n)
					a.samePairs(dst, s.NR, n, k+k%2, func(j, p int) float32 {
						if p == k {
							return 0
						}
						return x[p*ldb+j]
					})
				}
			})
		}
	})
}

func TestTilePairs(t *testing.T) {
	everyPairSet(t, func(a arena, s *Set) {
		for _, k := range tileDepths {
			a.step(fmt.Sprintf("k=%d", k), func(a arena) {
				const panels = 3
				mr := s.MRPairs
				x, w := a.normal(panels*mr*2*k), a.normal(s.NR*2*k)
				lda := mr*k + 1
				left, right := a.floats((panels-1)*lda+mr*k), a.floats(s.NR*k)
				for i := range panels {
					s.PackRowPairs(left[i*lda:], x[i*mr*2*k:], 2*k, mr, 2*k)
				}
				s.BFloat16.PackPairs(right, a.narrow(bfloat16s, w), 2*k, s.NR, 2*k)
				a.narrow(bfloat16s, x)
				a.tiles(s, mr, 2*k, func(c []float32, ldc, m, n int, accumulate bool) {
					s.TilePairs(c, ldc, left, lda, right, k, m, n, accumulate)
				}, func(i, j int) (want, total float64) {
					return product(x[i*2*k:], 1, w[j*2*k:], 1, 2*k)
				})
			})
		}
	})
}

// TestTilePairsSpecial multiplies what has no ordinary sum.
func TestTilePairsSpecial(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	everyPairSet(t, func(a arena, s *Set) {
		for _, x := range [][3]float32{{inf, 2, inf}, {-inf, 2, -inf}, {inf, 0, nan}, {nan, 1, nan}, {0x1p-60, 0x1p-60, 0x1p-120}, {0x1p100, 0x1p100, inf}} {
			left, right, c := a.floats(s.MRPairs), a.floats(s.NR), []float32{1}
			left[0], right[0] = pair(x[0], 0), pair(x[1], 1)
			s.TilePairs(c, 1, left, 0, right, 1, 1, 1, false)
			if !same(c[0], x[2]) {
				t.Errorf("%s: %g · %g is %g, want %g", s.Name, x[0], x[1], c[0], x[2])
			}
		}
	})
}

// TestPeaks counts operations: twice the rounds have twice as many.
func TestPeaks(t *testing.T) {
	for _, s := range All() {
		for name, peak := range map[string]func(int) int{"f32": s.Peak, "bf16": s.PeakBF16, "int8": s.PeakInt8} {
			if one, two := peak(3), peak(6); one <= 0 || two != 2*one || peak(0) != 0 {
				t.Errorf("%s, %s: %d operations in 3 rounds, %d in 6", s.Name, name, one, two)
			}
		}
	}
}
