package main

const (
	tileRows    = 12
	tileColumns = 8
)

// tile keeps 12 rows of 8 sums in V0 to V23.
func tile(name string, multiply byLane) {
	function(name, "(c *float32, ldc int, a, b *float32, k, m, n, accumulate int)", 64,
		"computes c[m,n] = a·b, added to c if accumulate is not 0; ldc is in bytes, m and n are at least 1. k counts elements of the panels.")
	params("c", "ldc", "a", "b", "k", "m", "n", "accumulate")
	const a, b = 24, 27
	for i := range 24 {
		zero(vreg(i))
	}
	loop("products", "R4", 1, func() {
		asm("VLD1.P 48(R2), [V%d.S4, V%d.S4, V%d.S4]", a, a+1, a+2)
		asm("VLD1.P 32(R3), [V%d.S4, V%d.S4]", b, b+1)
		for r := range tileRows {
			for c := range 2 {
				word(multiply.encode(vreg(2*r+c), vreg(b+c), vreg(a+r/4), r%4))
			}
		}
	})
	for r := range tileRows {
		storeTileRow(vreg(2 * r))
		asm("SUB $1, R5, R5")
		asm("CBZ R5, done")
		asm("ADD R1, R0, R0")
	}
	label("done")
	asm("RET")
}

// storeTileRow stores the first R6 of 8 sums in v and v+1 at R0.
func storeTileRow(v vreg) {
	const old = 30
	part, add, stored := newLabel("part"), newLabel("add"), newLabel("stored")
	asm("CMP $%d, R6", tileColumns)
	asm("BNE %s", part)
	asm("CBZ R7, %s", add)
	asm("VLD1 (R0), [V%d.S4, V%d.S4]", old, old+1)
	do3("fadd", v, v, old)
	do3("fadd", v+1, v+1, old+1)
	label(add)
	asm("VST1 [V%d.S4, V%d.S4], (R0)", v, v+1)
	asm("B %s", stored)

	label(part)
	low := newLabel("low")
	asm("MOVD R0, R8")
	asm("MOVD R6, R9")
	asm("CMP $4, R9")
	asm("BLT %s", low)
	whole := newLabel("whole")
	asm("CBZ R7, %s", whole)
	asm("VLD1 (R8), [V%d.S4]", old)
	do3("fadd", v, v, old)
	label(whole)
	asm("VST1.P [V%d.S4], 16(R8)", v)
	asm("VMOV V%d.B16, V%d.B16", v+1, v)
	asm("SUB $4, R9, R9")
	label(low)
	one := newLabel("one")
	asm("CBZ R9, %s", stored)
	asm("CBZ R7, %s", one)
	asm("FMOVS (R8), F%d", old)
	do3("fadd", old, old, v)
	asm("VMOV V%d.S[0], V%d.S[0]", old, v)
	label(one)
	asm("FMOVS F%d, (R8)", v)
	asm("ADD $4, R8, R8")
	asm("VEXT $4, V%d.B16, V%d.B16, V%d.B16", v, v, v)
	asm("SUB $1, R9, R9")
	asm("B %s", low)
	label(stored)
}

// peak runs multiply-adds, of so many numbers in each lane, that depend on nothing but themselves.
func peak(name string, numbers int, multiply func(d, n, m vreg) (uint32, string)) {
	const sums = 24
	function(name, "(rounds int) int", 16, "runs rounds of independent multiply-adds and returns how many operations that were.")
	params("rounds")
	for i := range sums + 2 {
		zero(vreg(i))
	}
	asm("MOVD $%d, R1", 2*4*sums*numbers)
	asm("MUL R0, R1, R1")
	loop("round", "R0", 1, func() {
		for i := range sums {
			word(multiply(vreg(i), sums, sums+1))
		}
	})
	asm("MOVD R1, ret+8(FP)")
	asm("RET")
}
