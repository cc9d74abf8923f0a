//go:build (amd64 || arm64) && !noasm

package kernel

import "unsafe"

// compactLoops holds the assembly over compact blocks; gemv may be nil.
type compactLoops struct {
	gemv   func(y, x *float32, w, tables *byte, n, blocks int)
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
		s.gemvCompact = func(y, x []float32, blocks []byte, tables *[32]byte) {
			n := len(x) / BlockWeights
			blocks = blocks[:len(y)*n*BlockBytes]
			l.gemv(unsafe.SliceData(y), unsafe.SliceData(x), unsafe.SliceData(blocks), &tables[0], len(y), n)
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
