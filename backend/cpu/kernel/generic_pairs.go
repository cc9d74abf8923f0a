package kernel

import "math"

// A pair is the bits of two bf16 in an f32 that is moved but never computed with.

func pair(low, high float32) float32 {
	return math.Float32frombits(uint32(toBFloat16(low)) | uint32(toBFloat16(high))<<16)
}

func unpair(p float32) (low, high float32) {
	bits := math.Float32bits(p)
	return math.Float32frombits(bits << 16), math.Float32frombits(bits &^ 0xffff)
}

// packRowPairs packs a into panels of mr rows.
func packRowPairs(mr int) func(dst, a []float32, lda, m, k int) {
	return func(dst, a []float32, lda, m, k int) {
		for i := 0; i < m; i += mr {
			panel := dst[i*(k/2):][:mr*(k/2)]
			clear(panel)
			for r := range min(mr, m-i) {
				row := a[(i+r)*lda:][:k]
				for p := range k / 2 {
					panel[p*mr+r] = pair(row[2*p], row[2*p+1])
				}
			}
		}
	}
}

// packColPairs packs b into one panel of nr columns.
func packColPairs(nr int) func(dst, b []float32, ldb, k, n int) {
	return func(dst, b []float32, ldb, k, n int) {
		for p := 0; p < k; p += 2 {
			row := dst[p/2*nr:][:nr]
			clear(row)
			for j, low := range b[p*ldb:][:n] {
				var high float32
				if p+1 < k {
					high = b[(p+1)*ldb+j]
				}
				row[j] = pair(low, high)
			}
		}
	}
}

// packPairs packs rows of w into a panel of nr columns.
func (t stored) packPairs(nr int) func(dst []float32, w []byte, ldw, n, k int) {
	return func(dst []float32, w []byte, ldw, n, k int) {
		clear(dst[:nr*(k/2)])
		var buf [blockLen]float32
		for j := range n {
			for p := 0; p < k; p += blockLen {
				block := buf[:min(blockLen, k-p)]
				t.widen(block, t.at(w, j*ldw+p, len(block)))
				for i := 0; i < len(block); i += 2 {
					dst[(p+i)/2*nr+j] = pair(block[i], block[i+1])
				}
			}
		}
	}
}

// tilePairs multiplies panels of mr rows and nr columns.
func tilePairs(mr, nr int) func(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool) {
	return func(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool) {
		for i := range m {
			a := a[i/mr*lda:]
			row := c[i*ldc:][:n]
			if !accumulate {
				clear(row)
			}
			for j := range row {
				var sum float32
				for p := range k {
					a0, a1 := unpair(a[p*mr+i%mr])
					b0, b1 := unpair(b[p*nr+j])
					sum += a0*b0 + a1*b1
				}
				row[j] += sum
			}
		}
	}
}

func peakBF16(rounds int) int {
	var sums [4]float32
	x, y := unpair(pair(1, float32(rounds)))
	for range rounds {
		for i := range sums {
			sums[i] += x*y + y*x
		}
	}
	if sums[0]+sums[1]+sums[2]+sums[3] == -1 { // never: it keeps the sums alive
		return 0
	}
	return 4 * len(sums) * rounds
}

func peakInt8(rounds int) int {
	var sums [4]int32
	x, y := int8(rounds), uint8(rounds)
	for range rounds {
		for i := range sums {
			for range 4 {
				sums[i] += int32(x) * int32(y)
			}
		}
	}
	if x == 0 && sums[0]+sums[1]+sums[2]+sums[3] != 0 { // never: it keeps the sums alive
		return 0
	}
	return 2 * 4 * len(sums) * rounds
}
