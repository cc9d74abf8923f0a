package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// The tests run one body for every Set of this machine, against plain loops in
// float64 kept here. Buffers touch unmapped pages, gaps between rows hold NaN
// where they are read and a sentinel where they are written.

var sizes = []int{0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100, 127, 128, 129, 255, 257, 300}

const sentinel = 12345

// arena is where a test takes its buffers and numbers from.
type arena struct {
	t     testing.TB
	atEnd bool
	rng   *rand.Rand
}

// models are Sets whose products in bf16 run on a model of a processor.
var models []*Set

// everySet runs f for every Set, with buffers at either end of a page.
func everySet(t *testing.T, f func(a arena, s *Set)) {
	for _, s := range All() {
		runSet(t, s.Name, s, f)
	}
}

// everyPairSet runs f for models, too.
func everyPairSet(t *testing.T, f func(a arena, s *Set)) {
	everySet(t, f)
	for _, s := range models {
		runSet(t, "model of "+s.Name, s, f)
	}
}

func runSet(t *testing.T, name string, s *Set, f func(a arena, s *Set)) {
	t.Run(name, func(t *testing.T) {
		for _, end := range []bool{true, false} {
			f(arena{t, end, rand.New(rand.NewPCG(1, 2))}, s)
		}
	})
}

// step runs f as one step whose buffers are unmapped when it ends.
func (a arena) step(name string, f func(a arena)) {
	a.t.(*testing.T).Run(name, func(t *testing.T) { f(arena{t, a.atEnd, a.rng}) })
}

func (a arena) floats(n int) []float32 {
	b := guarded(a.t, 4*n, a.atEnd)
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// filled returns n elements of value v.
func (a arena) filled(n int, v float32) []float32 {
	x := a.floats(n)
	for i := range x {
		x[i] = v
	}
	return x
}

// normal returns n normally distributed elements.
func (a arena) normal(n int) []float32 {
	x := a.floats(n)
	for i := range x {
		x[i] = float32(a.rng.NormFloat64())
	}
	return x
}

// matrix returns [rows,cols] with leading dimension ld and NaN in the gaps; no
// gap follows the last row.
func (a arena) matrix(rows, cols, ld int) []float32 {
	x := a.filled(extent(rows, cols, ld), float32(math.NaN()))
	for r := range rows {
		for c := range cols {
			x[r*ld+c] = float32(a.rng.NormFloat64())
		}
	}
	return x
}

// extent is the number of elements from the first to the last of a matrix.
func extent(rows, cols, ld int) int {
	if rows == 0 {
		return 0
	}
	return (rows-1)*ld + cols
}

// narrow returns x in dtype d, in a guarded buffer, and rounds x to it.
func (a arena) narrow(d stored, x []float32) []byte {
	w := guarded(a.t, len(x)*d.size(), a.atEnd)
	d.narrow(w, x)
	d.widen(x, w)
	return w
}

var dtypes = []struct {
	name  string
	dtype stored
	of    func(s *Set) Stored
}{
	{"f32", float32s, func(s *Set) Stored { return s.Float32 }},
	{"bf16", bfloat16s, func(s *Set) Stored { return s.BFloat16 }},
	{"f16", float16s, func(s *Set) Stored { return s.Float16 }},
}

// near fails unless got is within the rounding of a sum of n products whose
// absolute values add up to total, or is the same infinity or NaN.
func (a arena) near(what string, got float32, want, total float64, n int) {
	a.t.Helper()
	if !within(got, want, total, n) {
		a.t.Fatalf("%s: got %g, want %g, differs by %g, more than %g", what, got, want, math.Abs(float64(got)-want), rounding(total, n))
	}
}

func within(got float32, want, total float64, n int) bool {
	if math.IsInf(want, 0) || math.IsNaN(want) {
		return same(got, float32(want))
	}
	return math.Abs(float64(got)-want) <= rounding(total, n)
}

func rounding(total float64, n int) float64 { return float64(n+4) * 0x1p-24 * total }

// untouched fails if the gaps of a matrix lost their sentinel.
func (a arena) untouched(x []float32, rows, cols, ld int) {
	a.t.Helper()
	for i, f := range x {
		if (i%ld >= cols || i/ld >= rows) && f != sentinel {
			a.t.Fatalf("element %d, outside of [%d,%d] with leading dimension %d, was written: %g", i, rows, cols, ld, f)
		}
	}
}

func TestGemv(t *testing.T) {
	everySet(t, func(a arena, s *Set) {
		for _, d := range dtypes {
			for _, k := range sizes {
				a.step(fmt.Sprintf("%s/k=%d", d.name, k), func(a arena) {
					for _, rows := range []int{1, 2, 3, 4, 5, 6, 7, 8, 13, 16} {
						n := []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 18}[a.rng.IntN(10)]
						ldx, ldw, ldy := k+a.rng.IntN(3), k+a.rng.IntN(5), n+1
						x := a.matrix(rows, k, ldx)
						wide := a.matrix(n, k, ldw)
						if k > 0 && n > 2 && a.rng.IntN(2) == 0 {
							wide[2*ldw+a.rng.IntN(k)] = float32(math.Inf(1))
						}
						w := a.narrow(d.dtype, wide)
						y := a.filled(rows*ldy, sentinel)
						d.of(s).Gemv(y, ldy, x, ldx, w, ldw, rows, n, k)
						for r := range rows {
							for j := range n {
								want, total := product(x[min(r*ldx, len(x)):], 1, wide[min(j*ldw, len(wide)):], 1, k)
								a.near(fmt.Sprintf("rows %d, y[%d,%d]", rows, r, j), y[r*ldy+j], want, total, k)
							}
						}
						a.untouched(y, rows, n, ldy)
					}
				})
			}
		}
	})
}

// product returns Σ x·y over k elements at the given strides, and Σ |x·y|.
func product(x []float32, incx int, y []float32, incy, k int) (sum, total float64) {
	for p := range k {
		v := float64(x[p*incx]) * float64(y[p*incy])
		sum += v
		total += math.Abs(v)
	}
	return sum, total
}

func TestAccumulate(t *testing.T) {
	everySet(t, func(a arena, s *Set) {
		for _, d := range dtypes {
			for _, cols := range sizes {
				a.step(fmt.Sprintf("%s/d=%d", d.name, cols), func(a arena) {
					for _, rows := range []int{1, 2, 3, 4, 5, 6, 7, 8, 13, 16} {
						n := []int{0, 1, 2, 3, 4, 5, 8, 33}[a.rng.IntN(8)]
						ldp, ldv, ldy := n+1, cols+a.rng.IntN(5), cols+a.rng.IntN(3)
						p := a.matrix(rows, n, ldp)
						wide := a.matrix(n, cols, ldv)
						v := a.narrow(d.dtype, wide)
						y := a.filled(rows*max(ldy, 1), sentinel)
						before := a.normal(rows * cols)
						for r := range rows {
							copy(y[r*ldy:], before[r*cols:][:cols])
						}
						d.of(s).Accumulate(y, ldy, p, ldp, v, ldv, rows, n, cols)
						for r := range rows {
							for c := range cols {
								var want, total float64
								if n > 0 {
									want, total = product(p[r*ldp:], 1, wide[c:], ldv, n)
								}
								first := float64(before[r*cols+c])
								a.near(fmt.Sprintf("rows %d, n %d, y[%d,%d]", rows, n, r, c), y[r*ldy+c], want+first, total+math.Abs(first), n)
							}
						}
						a.untouched(y, rows, cols, max(ldy, 1))
					}
				})
			}
		}
	})
}

func TestPack(t *testing.T) {
	everySet(t, func(a arena, s *Set) {
		for _, d := range dtypes {
			for _, k := range sizes {
				a.step(fmt.Sprintf("%s/k=%d", d.name, k), func(a arena) {
					for n := 0; n <= s.NR; n++ {
						ldw := k + a.rng.IntN(5)
						wide := a.matrix(n, k, ldw)
						w := a.narrow(d.dtype, wide)
						dst := a.filled(k*s.NR, sentinel)
						d.of(s).Pack(dst, w, ldw, n, k)
						a.samePanel(dst, s.NR, n, k, func(j, p int) float32 { return wide[j*ldw+p] })
					}
				})
			}
		}
	})
}

// samePanel fails unless dst holds, for each of k columns, at(j, p) for j < n
// and then zeros, width elements in all.
func (a arena) samePanel(dst []float32, width, n, k int, at func(j, p int) float32) {
	a.t.Helper()
	for p := range k {
		for j := range width {
			var want float32
			if j < n {
				want = at(j, p)
			}
			if got := dst[p*width+j]; got != want {
				a.t.Fatalf("n %d, k %d: panel[%d,%d] is %g, want %g", n, k, p, j, got, want)
			}
		}
	}
}

func TestPackRows(t *testing.T) {
	everySet(t, func(a arena, s *Set) {
		for _, k := range sizes {
			a.step(fmt.Sprintf("k=%d", k), func(a arena) {
				for _, m := range []int{0, 1, 2, s.MR - 1, s.MR, s.MR + 1, 2*s.MR + 3} {
					lda := k + a.rng.IntN(3)
					x := a.matrix(m, k, lda)
					panels := (m + s.MR - 1) / s.MR
					dst := a.filled(panels*s.MR*k, sentinel)
					s.PackRows(dst, x, lda, m, k)
					for i := range panels {
						first := i * s.MR
						a.samePanel(dst[first*k:], s.MR, min(s.MR, m-first), k, func(r, p int) float32 { return x[(first+r)*lda+p] })
					}
				}
			})
		}
	})
}

func TestPackCols(t *testing.T) {
	everySet(t, func(a arena, s *Set) {
		for _, k := range []int{0, 1, 2, 3, 17} {
			a.step(fmt.Sprintf("k=%d", k), func(a arena) {
				for n := 0; n <= s.NR; n++ {
					ldb := n + a.rng.IntN(3)
					x := a.matrix(k, n, ldb)
					dst := a.filled(k*s.NR, sentinel)
					s.PackCols(dst, x, ldb, k, n)
					a.samePanel(dst, s.NR, n, k, func(j, p int) float32 { return x[p*ldb+j] })
				}
			})
		}
	})
}

func TestTile(t *testing.T) {
	everySet(t, func(a arena, s *Set) {
		for _, k := range tileDepths {
			a.step(fmt.Sprintf("k=%d", k), func(a arena) {
				lda := k*s.MR + 1
				left, right := a.normal(2*lda+k*s.MR), a.normal(k*s.NR)
				a.tiles(s, s.MR, k, func(c []float32, ldc, m, n int, accumulate bool) {
					s.Tile(c, ldc, left, lda, right, k, m, n, accumulate)
				}, func(i, j int) (want, total float64) {
					if k > 0 {
						want, total = product(left[i/s.MR*lda+i%s.MR:], s.MR, right[j:], s.NR, k)
					}
					return want, total
				})
			})
		}
	})
}

// tileDepths are how many elements of the panels a tile is tested with.
var tileDepths = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 64, 129}

// tiles multiplies tiles of every size and several panels of mr rows, half of
// them added to what is there, and compares each number with want: a sum of some
// terms, and of their sizes.
func (a arena) tiles(s *Set, mr, terms int, multiply func(c []float32, ldc, m, n int, accumulate bool), want func(i, j int) (want, total float64)) {
	rows := []int{mr + 1, 2 * mr, 2*mr + mr/2 + 1, 3 * mr}
	for m := range mr + 1 {
		rows = append(rows, m)
	}
	for _, m := range rows {
		for n := range s.NR + 1 {
			accumulate := (m+n)%2 == 0
			ldc := n + 1 + a.rng.IntN(3)
			c := a.filled(m*ldc, sentinel)
			for i := range m {
				for j := range n {
					c[i*ldc+j] = float32(i - j)
					if !accumulate {
						c[i*ldc+j] = float32(math.NaN())
					}
				}
			}
			multiply(c, ldc, m, n, accumulate)
			for i := range m {
				for j := range n {
					sum, total := want(i, j)
					if accumulate {
						sum += float64(i - j)
						total += math.Abs(float64(i - j))
					}
					if got := c[i*ldc+j]; !within(got, sum, total, terms) {
						a.near(fmt.Sprintf("m %d, n %d, c[%d,%d]", m, n, i, j), got, sum, total, terms)
					}
				}
			}
			a.untouched(c, m, n, ldc)
		}
	}
}

func TestNamed(t *testing.T) {
	for _, s := range All() {
		got, err := Named(s.Name)
		if err != nil || got.Name != s.Name {
			t.Errorf("Named(%q) = %v, %v", s.Name, got, err)
		}
	}
	if s, err := Named(""); err != nil || s.Name != Best().Name {
		t.Errorf("the empty name gives %v, %v, want %s", s, err, Best().Name)
	}
	if _, err := Named("sse9"); err == nil {
		t.Error("an unknown name gives no error")
	}
	if last := All()[len(All())-1]; last.Name != "generic" {
		t.Errorf("the last set is %s, want generic", last.Name)
	}
}
