package kernel

import (
	"encoding/binary"
	"math"
)

// stored names a stored dtype; its methods are the portable loops over it.
type stored uint8

const (
	float32s stored = iota
	bfloat16s
	float16s
)

// blockLen is how many weights the portable loops widen at a time, into a
// buffer that stays in the first-level cache.
const blockLen = 256

func (t stored) stored() Stored {
	return Stored{Gemv: t.gemv, Accumulate: t.accumulate, Pack: t.pack, PackPairs: t.packPairs(genericNR), Widen: t.widen, Narrow: t.narrow}
}

// size returns the bytes of one element.
func (t stored) size() int {
	if t == float32s {
		return 4
	}
	return 2
}

// at returns the n elements of w that start at element i.
func (t stored) at(w []byte, i, n int) []byte { return w[i*t.size() : (i+n)*t.size()] }

func (t stored) gemv(y []float32, ldy int, x []float32, ldx int, w []byte, ldw int, rows, n, k int) {
	var buf [blockLen]float32
	for j := range n {
		for r := range rows {
			y[r*ldy+j] = 0
		}
		for p := 0; p < k; p += blockLen {
			block := buf[:min(blockLen, k-p)]
			t.widen(block, t.at(w, j*ldw+p, len(block)))
			for r := range rows {
				y[r*ldy+j] += dot(x[r*ldx+p:][:len(block)], block)
			}
		}
	}
}

func (t stored) accumulate(y []float32, ldy int, p []float32, ldp int, v []byte, ldv int, rows, n, d int) {
	var buf [blockLen]float32
	for j := range n {
		for c := 0; c < d; c += blockLen {
			block := buf[:min(blockLen, d-c)]
			t.widen(block, t.at(v, j*ldv+c, len(block)))
			for r := range rows {
				axpy(y[r*ldy+c:][:len(block)], p[r*ldp+j], block)
			}
		}
	}
}

func (t stored) pack(dst []float32, w []byte, ldw, n, k int) {
	t.packPanel(genericNR, dst, w, ldw, n, k)
}

// packPanel packs rows of w into a panel of nr columns.
func (t stored) packPanel(nr int, dst []float32, w []byte, ldw, n, k int) {
	clear(dst[:nr*k])
	var buf [blockLen]float32
	for j := range n {
		for p := 0; p < k; p += blockLen {
			block := buf[:min(blockLen, k-p)]
			t.widen(block, t.at(w, j*ldw+p, len(block)))
			for i, f := range block {
				dst[(p+i)*nr+j] = f
			}
		}
	}
}

func (t stored) widen(dst []float32, src []byte) {
	src = src[:len(dst)*t.size()]
	switch t {
	case float32s:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case bfloat16s:
		for i := range dst {
			dst[i] = fromBFloat16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case float16s:
		for i := range dst {
			dst[i] = fromFloat16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	}
}

func (t stored) narrow(dst []byte, src []float32) {
	dst = dst[:len(src)*t.size()]
	switch t {
	case float32s:
		for i, f := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(f))
		}
	case bfloat16s:
		for i, f := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], toBFloat16(f))
		}
	case float16s:
		for i, f := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], toFloat16(f))
		}
	}
}
