package main

import "fmt"

type dtype struct {
	name string
	size int
}

var dtypes = []dtype{{"Float32", 4}, {"BFloat16", 2}, {"Float16", 2}}

// int8s are read only, by one row of activations.
var int8s = dtype{"Int8", 1}

func storedLoops() {
	for _, d := range dtypes {
		for rows := 1; rows <= 4; rows++ {
			gemv(d, rows)
		}
		for rows := 1; rows <= 4; rows++ {
			accumulate(d, rows)
		}
	}
	gemv(int8s, 1)
	for _, d := range dtypes[1:] {
		widen(d)
	}
}

// decode8 widens 8 stored numbers at pointer p into lo and lo+1 and moves p on.
func decode8(d dtype, p string, lo, raw vreg) {
	if d.size == 4 {
		asm("VLD1.P 32(%s), [V%d.S4, V%d.S4]", p, lo, lo+1)
		return
	}
	if d.size == 1 {
		asm("VLD1.P 8(%s), [V%d.B8]", p, raw)
		word(encode2("sxtl.8h", raw, raw))
		word(encode2("sxtl2", lo+1, raw))
		word(encode2("sxtl", lo, raw))
		word(encode2("scvtf", lo, lo))
		word(encode2("scvtf", lo+1, lo+1))
		return
	}
	asm("VLD1.P 16(%s), [V%d.H8]", p, raw)
	if d.name == "BFloat16" {
		word(encode2("shll", lo, raw))
		word(encode2("shll2", lo+1, raw))
		return
	}
	word(encode2("fcvtl", lo, raw))
	word(encode2("fcvtl2", lo+1, raw))
}

// decode1 widens one stored number into the first lane, zeros elsewhere.
func decode1(d dtype, p string, dst vreg) {
	if d.size == 4 {
		asm("FMOVS.P 4(%s), F%d", p, dst)
		return
	}
	if d.size == 1 {
		asm("MOVB.P 1(%s), R19", p)
		asm("SCVTFWS R19, F%d", dst)
		return
	}
	asm("MOVHU.P 2(%s), R19", p)
	if d.name == "BFloat16" {
		asm("LSL $16, R19, R19")
		asm("FMOVS R19, F%d", dst)
		return
	}
	asm("FMOVS R19, F%d", dst)
	asm("FCVTHS F%d, F%d", dst, dst)
}

const gemvSignature = "(y *float32, ldy int, x *float32, ldx int, w *byte, ldw, n, k int)"

// gemv multiplies n weight rows with rows of activations, 4 weight rows at a
// time: the sums stay in V0 to V15, 8 columns of x in V16 to V23.
func gemv(d dtype, rows int) {
	function(fmt.Sprintf("gemv%d%s", rows, d.name), gemvSignature, 64,
		fmt.Sprintf("sets y[r,j] = Σ x[r,p]·w[j,p] for %d rows of x and n rows of w; ldy, ldx and ldw are in bytes.", rows))
	params("y", "ldy", "x", "ldx", "w", "ldw", "n", "k")
	loop("rows4", "R6", 4, func() { gemvBlock(d, rows, 4) })
	loop("rows1", "R6", 1, func() { gemvBlock(d, rows, 1) })
	asm("RET")
}

func gemvBlock(d dtype, rows, count int) {
	sums := 1
	if rows == 1 {
		sums = 2 // one for each half of a step
	}
	sum := func(s, r, j int) vreg { return vreg((s%sums*rows+r)*count + j) }
	xp := func(r int) string { return fmt.Sprintf("R%d", 8+r) }
	wp := func(j int) string { return fmt.Sprintf("R%d", 12+j) }
	const x, w, raw = 16, 24, 26
	for i := range sums * rows * count {
		zero(vreg(i))
	}
	pointers("R2", "R3", rows, xp)
	pointers("R4", "R5", count, wp)
	asm("MOVD R7, R17")
	loop("columns8", "R17", 8, func() {
		if rows == 1 {
			for j := range count {
				asm("PRFM 1024(%s), PLDL1STRM", wp(j))
			}
		}
		for r := range rows {
			asm("VLD1.P 32(%s), [V%d.S4, V%d.S4]", xp(r), x+2*r, x+2*r+1)
		}
		for j := range count {
			decode8(d, wp(j), w, raw)
			for h := range 2 {
				for r := range rows {
					do3("fmla", sum(h, r, j), w+vreg(h), vreg(x+2*r+h))
				}
			}
		}
	})
	loop("columns1", "R17", 1, func() {
		for r := range rows {
			asm("FMOVS.P 4(%s), F%d", xp(r), x+2*r)
		}
		for j := range count {
			decode1(d, wp(j), w)
			for r := range rows {
				do3("fmla", sum(0, r, j), w, vreg(x+2*r))
			}
		}
	})
	if sums == 2 {
		for j := range count {
			do3("fadd", sum(0, 0, j), sum(0, 0, j), sum(1, 0, j))
		}
	}
	asm("MOVD R0, R17")
	for r := range rows {
		s := sum(0, r, 0)
		if count == 4 {
			do3("faddp", s, s, s+1)
			do3("faddp", s+2, s+2, s+3)
			do3("faddp", s, s, s+2)
			asm("VST1 [V%d.S4], (R17)", s)
		} else {
			do3("faddp", s, s, s)
			do3("faddp", s, s, s)
			asm("FMOVS F%d, (R17)", s)
		}
		if r+1 < rows {
			asm("ADD R1, R17, R17")
		}
	}
	asm("ADD $%d, R0, R0", 4*count)
	asm("ADD R5, R4, R4")
	if count == 4 {
		asm("ADD R5<<1, R4, R4")
		asm("ADD R5, R4, R4")
	}
}

// pointers sets pointers to count rows from base, ld bytes apart.
func pointers(base, ld string, count int, p func(i int) string) {
	asm("MOVD %s, %s", base, p(0))
	for i := 1; i < count; i++ {
		asm("ADD %s, %s, %s", ld, p(i-1), p(i))
	}
}

// accumulate keeps 16, then 8 columns of y in registers while v goes by.
func accumulate(d dtype, rows int) {
	function(fmt.Sprintf("accumulate%d%s", rows, d.name), "(y *float32, ldy int, p *float32, ldp int, v *byte, ldv, n, d int)", 64,
		fmt.Sprintf("adds y[r,:] += Σ p[r,j]·v[j,:] for %d rows of y and n rows of v; ldy, ldp and ldv are in bytes, d is a multiple of 8.", rows))
	params("y", "ldy", "p", "ldp", "v", "ldv", "n", "d")
	for _, columns := range []int{16, 8} {
		loop(fmt.Sprintf("columns%d", columns), "R7", columns, func() { accumulateBlock(d, rows, columns/4) })
	}
	asm("RET")
}

func accumulateBlock(d dtype, rows, vectors int) {
	const values, factor, raw = 16, 24, 25
	sum := func(r, c int) vreg { return vreg(r*vectors + c) }
	move := func(instruction string) {
		asm("MOVD R0, R17")
		for r := range rows {
			asm("MOVD R17, R19")
			for c := 0; c < vectors; c += 2 {
				if instruction == "VLD1" {
					asm("VLD1.P 32(R19), [V%d.S4, V%d.S4]", sum(r, c), sum(r, c+1))
				} else {
					asm("VST1.P [V%d.S4, V%d.S4], 32(R19)", sum(r, c), sum(r, c+1))
				}
			}
			asm("ADD R1, R17, R17")
		}
	}
	move("VLD1")
	pp := func(r int) string { return fmt.Sprintf("R%d", 8+r) }
	pointers("R2", "R3", rows, pp)
	asm("MOVD R4, R12")
	asm("MOVD R6, R14")
	loop("sum", "R14", 1, func() {
		asm("MOVD R12, R13")
		for c := 0; c < vectors; c += 2 {
			decode8(d, "R13", vreg(values+c), raw)
		}
		for r := range rows {
			asm("VLD1R.P 4(%s), [V%d.S4]", pp(r), factor)
			for c := range vectors {
				do3("fmla", sum(r, c), vreg(values+c), factor)
			}
		}
		asm("ADD R5, R12, R12")
	})
	move("VST1")
	asm("ADD $%d, R0, R0", 16*vectors)
	asm("ADD $%d, R4, R4", 4*vectors*d.size)
}

func widen(d dtype) {
	function("widen"+d.name, "(dst *float32, src *byte, n int)", 24, "converts n elements to f32; n is a multiple of 8.")
	params("dst", "src", "n")
	loop("eight", "R2", 8, func() {
		decode8(d, "R1", 0, 2)
		asm("VST1.P [V0.S4, V1.S4], 32(R0)")
	})
	asm("RET")
}
