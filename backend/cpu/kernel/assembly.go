//go:build (amd64 || arm64) && !noasm

package kernel

import "unsafe"

// The assembly functions take pointers and trust them: the functions below
// check the lengths first, by slicing, and split the work into what one
// assembly function can do. Strides of the assembly are in bytes.

type (
	// gemvFunc multiplies n rows of w with a fixed number of rows of x.
	gemvFunc func(y *float32, ldy int, x *float32, ldx int, w *byte, ldw, n, k int)
	// accumulateFunc adds n rows of v, times numbers of p, to a fixed number of rows of y.
	accumulateFunc func(y *float32, ldy int, p *float32, ldp int, v *byte, ldv, n, d int)
)

// storedLoops holds the assembly for one stored dtype. Element i of gemv and
// accumulate handles i+1 rows. Where widen or narrow is nil the portable function
// stays in place.
type storedLoops struct {
	dtype      stored
	gemv       []gemvFunc
	accumulate []accumulateFunc
	pack       packFunc
	widen      func(dst *float32, src *byte, n int)
	narrow     func(dst *byte, src *float32, n int)
	lanes      int  // elements of a vector
	masks      bool // tails are masked: any k, d and n will do
}

// cacheBlock is how many bytes of weights several passes read from the first-level cache.
const cacheBlock = 8 << 10

func (l storedLoops) stored(nr int) Stored {
	s := l.dtype.stored()
	s.Gemv = l.runGemv
	s.Accumulate = l.runAccumulate
	s.Pack = func(dst []float32, w []byte, ldw, n, k int) { l.runPack(nr, dst, w, ldw, n, k) }
	s.PackPairs = l.dtype.packPairs(nr)
	if l.dtype == float32s { // these processors are little endian
		s.Widen = func(dst []float32, src []byte) { copy(rawBytes(dst), src[:4*len(dst)]) }
		s.Narrow = func(dst []byte, src []float32) { copy(dst[:4*len(src)], rawBytes(src)) }
	}
	if l.widen != nil {
		s.Widen = l.runWiden
	}
	if l.narrow != nil {
		s.Narrow = l.runNarrow
	}
	return s
}

// span returns the number of elements from the first to the last of a matrix.
func span(rows, cols, ld int) int { return (rows-1)*ld + cols }

func (l storedLoops) runGemv(y []float32, ldy int, x []float32, ldx int, w []byte, ldw int, rows, n, k int) {
	if rows == 0 || n == 0 {
		return
	}
	if k == 0 || k < l.lanes && !l.masks {
		l.dtype.gemv(y, ldy, x, ldx, w, ldw, rows, n, k)
		return
	}
	size := l.dtype.size()
	y, x, w = y[:span(rows, n, ldy)], x[:span(rows, k, ldx)], w[:span(n, k, ldw)*size]
	passes, block := 1, n
	if rows > len(l.gemv) { // weights of a block stay in the cache from pass to pass
		together := min(len(l.gemv), 6) // more activations would drive the weights out
		passes = (rows + together - 1) / together
		block = max(4, cacheBlock/(k*size)&^3)
	}
	for j := 0; j < n; j += block {
		for r, left := 0, passes; left > 0; left-- {
			together := (rows - r + left - 1) / left
			l.gemv[together-1](&y[r*ldy+j], 4*ldy, &x[r*ldx], 4*ldx, &w[j*ldw*size], ldw*size, min(block, n-j), k)
			r += together
		}
	}
}

func (l storedLoops) runAccumulate(y []float32, ldy int, p []float32, ldp int, v []byte, ldv int, rows, n, d int) {
	if rows == 0 || n == 0 || d == 0 {
		return
	}
	size := l.dtype.size()
	y, p, v = y[:span(rows, d, ldy)], p[:span(rows, n, ldp)], v[:span(n, d, ldv)*size]
	whole := l.whole(d)
	if whole < d {
		l.dtype.accumulate(y[whole:], ldy, p, ldp, v[whole*size:], ldv, rows, n, d-whole)
		if whole == 0 {
			return
		}
	}
	passes := (rows + len(l.accumulate) - 1) / len(l.accumulate)
	block := n
	if passes > 1 {
		block = max(8, cacheBlock/(d*size))
	}
	for j := 0; j < n; j += block {
		for r, left := 0, passes; left > 0; left-- {
			together := (rows - r + left - 1) / left
			l.accumulate[together-1](&y[r*ldy], 4*ldy, &p[r*ldp+j], 4*ldp, &v[j*ldv*size], ldv*size, min(block, n-j), whole)
			r += together
		}
	}
}

// runPack packs a panel of nr columns, one vector of columns at a time.
func (l storedLoops) runPack(nr int, dst []float32, w []byte, ldw, n, k int) {
	whole := l.whole(k)
	if whole == 0 || n == 0 {
		l.dtype.packPanel(nr, dst, w, ldw, n, k)
		return
	}
	size := l.dtype.size()
	dst, w = dst[:nr*k], w[:span(n, k, ldw)*size]
	for j := 0; j < nr; j += l.lanes {
		rows := max(0, min(l.lanes, n-j))
		l.pack(&dst[j], 4*nr, &w[min(j, n-1)*ldw*size], ldw*size, rows, whole)
	}
	if whole < k {
		l.dtype.packPanel(nr, dst[nr*whole:], w[whole*size:], ldw, n, k-whole)
	}
}

// whole returns how many of n elements the assembly handles.
func (l storedLoops) whole(n int) int {
	if l.masks {
		return n
	}
	return n / l.lanes * l.lanes
}

// rawBytes views x as bytes.
func rawBytes(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

func (l storedLoops) runWiden(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	n := l.whole(len(dst))
	l.widen(unsafe.SliceData(dst), unsafe.SliceData(src), n)
	l.dtype.widen(dst[n:], src[2*n:])
}

func (l storedLoops) runNarrow(dst []byte, src []float32) {
	dst = dst[:2*len(src)]
	n := l.whole(len(src))
	l.narrow(unsafe.SliceData(dst), unsafe.SliceData(src), n)
	l.dtype.narrow(dst[2*n:], src[n:])
}
