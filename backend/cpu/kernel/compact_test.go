package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
)

// compacted encodes a plain matrix with the most frequent exponents in guarded buffers.
func (a arena) compacted(plain []byte, n, k int) *Compact {
	var counts [256]int
	for i := 0; i < len(plain); i += 2 {
		counts[binary.LittleEndian.Uint16(plain[i:])>>7&0xff]++
	}
	order := make([]int, 256)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return counts[y] - counts[x] })
	w := &Compact{N: n, K: k}
	var index [256]byte
	for i, e := range order {
		index[e] = byte(min(i, Escape))
		if i < Escape {
			w.Exponents[i] = byte(e)
		}
	}
	w.Blocks = guarded(a.t, n*CompactRowBytes(k), a.atEnd)
	first, escapes := []byte{0, 0, 0, 0}, []byte(nil)
	for j := range n {
		escapes = EncodeRow(w.Blocks[j*CompactRowBytes(k):][:CompactRowBytes(k)], plain[2*j*k:2*(j+1)*k], &index, escapes)
		first = binary.LittleEndian.AppendUint32(first, uint32(len(escapes)/EscapeBytes))
	}
	if w.First, w.Escapes = first, escapes; !w.Check() {
		a.t.Fatal("Check refuses what EncodeRow wrote")
	}
	w.First, w.Escapes = guarded(a.t, len(first), a.atEnd), guarded(a.t, len(escapes), a.atEnd)
	copy(w.First, first)
	copy(w.Escapes, escapes)
	return w
}

// weights are kinds of bf16 matrices: as trained ones are, with few exponents, and
// every bit pattern there is.
var weights = []struct {
	name string
	at   func(a arena) uint16
}{
	{"normal", func(a arena) uint16 { return toBFloat16(float32(a.rng.NormFloat64())) }},
	{"few exponents", func(a arena) uint16 { return toBFloat16(1 + a.rng.Float32()) }},
	{"any bits", func(a arena) uint16 { return uint16(a.rng.Uint32()) }},
	{"rare", func(a arena) uint16 { // NaN, Inf, subnormal and zero among normal ones
		rare := []uint16{0x7f80, 0xff80, 0x7fc1, 0xff81, 0x0001, 0x807f, 0, 0x8000, 0x7f7f, 0x0080}
		if a.rng.IntN(200) > 0 {
			return toBFloat16(float32(a.rng.NormFloat64()))
		}
		return rare[a.rng.IntN(len(rare))]
	}},
}

func (a arena) bfloat16s(n int, at func(arena) uint16) []byte {
	w := guarded(a.t, 2*n, a.atEnd)
	for i := range n {
		binary.LittleEndian.PutUint16(w[2*i:], at(a))
	}
	return w
}

// everyCompact runs f for every Set and kind of matrix.
func everyCompact(t *testing.T, f func(a arena, s *Set, plain []byte, w *Compact)) {
	everySet(t, func(a arena, s *Set) {
		for _, kind := range weights {
			for _, shape := range [][2]int{{0, 64}, {1, 1}, {3, 63}, {5, 64}, {2, 65}, {19, 128}, {9, 576}, {40, 320}, {3, 1000}} {
				a.step(fmt.Sprintf("%s/%v", kind.name, shape), func(a arena) {
					plain := a.bfloat16s(shape[0]*shape[1], kind.at)
					f(a, s, plain, a.compacted(plain, shape[0], shape[1]))
				})
			}
		}
	})
}

func TestExpandRows(t *testing.T) {
	everyCompact(t, func(a arena, s *Set, plain []byte, w *Compact) {
		for from := 0; from < w.K; from += BlockWeights {
			j := a.rng.IntN(w.N + 1)
			n, k := a.rng.IntN(w.N-j+1), 1+a.rng.IntN(w.K-from)
			got := guarded(a.t, 2*n*k, a.atEnd)
			s.ExpandRows(got, w, j, n, from, k)
			for r := range n {
				want := plain[2*((j+r)*w.K+from):][:2*k]
				if got := got[2*r*k:][:2*k]; !bytes.Equal(got, want) {
					a.t.Fatalf("row %d, columns %d to %d: got % x, want % x", j+r, from, from+k, got, want)
				}
			}
		}
	})
}

// TestGemvCompact compares with the plain product bit by bit.
func TestGemvCompact(t *testing.T) {
	everyCompact(t, func(a arena, s *Set, plain []byte, w *Compact) {
		for _, rows := range []int{1, 2, 3, 7, 16} {
			j := a.rng.IntN(w.N + 1)
			n := a.rng.IntN(w.N - j + 1)
			ldx, ldy := w.K+a.rng.IntN(3), n+1
			x := a.matrix(rows, w.K, ldx)
			if a.rng.IntN(4) == 0 {
				x[a.rng.IntN(w.K)] = float32(math.Inf(1))
			}
			got, want := a.filled(rows*ldy, sentinel), a.filled(rows*ldy, sentinel)
			s.GemvCompact(got, ldy, x, ldx, w, j, rows, n, guarded(a.t, s.CompactScratch(w.K), a.atEnd))
			s.BFloat16.Gemv(want, ldy, x, ldx, plain[2*j*w.K:], w.K, rows, n, w.K)
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] != got[i] && want[i] != want[i]) {
					a.t.Fatalf("rows %d, y[%d,%d] is %g, plain %g", rows, i/ldy, i%ldy, got[i], want[i])
				}
			}
		}
	})
}

func TestGemvInt8(t *testing.T) {
	everySet(t, func(a arena, s *Set) {
		for _, k := range sizes {
			a.step(fmt.Sprintf("k=%d", k), func(a arena) {
				n := a.rng.IntN(6)
				w, wide := guarded(a.t, n*k, a.atEnd), make([]float32, n*k)
				for i := range w {
					w[i] = byte(a.rng.Uint32())
					wide[i] = float32(int8(w[i]))
				}
				x, y := a.normal(k), a.filled(n, sentinel)
				s.GemvInt8(y, x, w)
				for j := range y {
					want, total := product(x, 1, wide[j*k:], 1, k)
					a.near(fmt.Sprintf("y[%d]", j), y[j], want, total, k)
				}
			})
		}
	})
}
