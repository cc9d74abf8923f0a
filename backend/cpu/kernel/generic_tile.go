package kernel

// The portable tile is computed two rows at a time: 8 sums, 4 columns and 2
// rows fill the 16 vector registers that most processors have.
const (
	genericMR = 4
	genericNR = 4
)

// registerKC is KC for tiles in registers.
const registerKC = 256

func packRows(dst, a []float32, lda, m, k int) { packRowPanels(genericMR, dst, a, lda, m, k) }

// packRowPanels packs a into panels of mr rows.
func packRowPanels(mr int, dst, a []float32, lda, m, k int) {
	for i := 0; i < m; i += mr {
		panel := dst[i*k:][:mr*k]
		for r := range mr {
			if i+r >= m {
				for p := range k {
					panel[p*mr+r] = 0
				}
				continue
			}
			for p, f := range a[(i+r)*lda:][:k] {
				panel[p*mr+r] = f
			}
		}
	}
}

func packCols(dst, b []float32, ldb, k, n int) { packColPanel(genericNR, dst, b, ldb, k, n) }

// packColPanel packs b into one panel of nr columns.
func packColPanel(nr int, dst, b []float32, ldb, k, n int) {
	for p := range k {
		row := dst[p*nr:][:nr]
		copy(row, b[p*ldb:][:n])
		clear(row[n:])
	}
}

func tile(c []float32, ldc int, a []float32, lda int, b []float32, k, m, n int, accumulate bool) {
	for i := 0; i < m; i += 2 {
		s := tileRows(a[i/genericMR*lda:], b, i%genericMR, k)
		for r := range min(2, m-i) {
			row := c[(i+r)*ldc:][:n]
			for j := range row {
				if accumulate {
					row[j] += s[r][j]
				} else {
					row[j] = s[r][j]
				}
			}
		}
	}
}

// tileRows returns the products of rows i and i+1 of panel a with panel b.
func tileRows(a, b []float32, i, k int) [2][genericNR]float32 {
	var s00, s01, s02, s03, s10, s11, s12, s13 float32
	for p := range k {
		a := a[p*genericMR+i:][:2]
		b := b[p*genericNR:][:genericNR]
		a0, a1 := a[0], a[1]
		b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
		s00 += a0 * b0
		s01 += a0 * b1
		s02 += a0 * b2
		s03 += a0 * b3
		s10 += a1 * b0
		s11 += a1 * b1
		s12 += a1 * b2
		s13 += a1 * b3
	}
	return [2][genericNR]float32{{s00, s01, s02, s03}, {s10, s11, s12, s13}}
}

func peak(rounds int) int {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	x := 1 / float32(rounds+1)
	for range rounds {
		s0 = s0*x + x
		s1 = s1*x + x
		s2 = s2*x + x
		s3 = s3*x + x
		s4 = s4*x + x
		s5 = s5*x + x
		s6 = s6*x + x
		s7 = s7*x + x
	}
	if s0+s1+s2+s3+s4+s5+s6+s7 == -1 { // never: it keeps the sums alive
		return 0
	}
	return 16 * rounds
}
