//go:build (amd64 || arm64) && !noasm

package kernel

import "unsafe"

// compactLoops holds the assembly over compact blocks; gemv may be nil.
type compactLoops struct {
	gemv   func(y, x *float32, w, tables, first, escapes *byte, n, blocks int)
	expand func(dst, w, tables *byte, blocks int)
}

// into replaces the functions of s.
func (l compactLoops) into(s *Set) {
	s.expand = func(dst, blocks []byte, tables *[32]byte) {
		n := len(blocks) / BlockBytes
		dst = dst[:2*n*BlockWeights]
		l.expand(unsafe.SliceData(dst), unsafe.SliceData(blocks), &tables[0], n)
	}
	if l.gemv != nil {
		s.gemvCompact = func(y, x []float32, blocks, first, escapes []byte, tables *[32]byte) {
			n := len(x) / BlockWeights
			blocks, first = blocks[:len(y)*n*BlockBytes], first[:4*(len(y)+1)]
			l.gemv(unsafe.SliceData(y), unsafe.SliceData(x), unsafe.SliceData(blocks), &tables[0],
				unsafe.SliceData(first), unsafe.SliceData(escapes), len(y), n)
		}
	}
}

// gemvInt8 makes Set.GemvInt8 of assembly for one row of activations.
func gemvInt8(gemv gemvFunc, least int) func(y, x []float32, w []byte) {
	return func(y, x []float32, w []byte) {
		n, k := len(y), len(x)
		if n == 0 || k < least {
			dotInt8(y, x, w)
			return
		}
		w = w[:n*k]
		gemv(&y[0], 4*n, &x[0], 4*k, &w[0], k, n, k)
	}
}
