package main

// narrowBF16 rounds to bf16, on processors that have it.
func narrowBF16() {
	function("narrowBFloat16", "(dst *byte, src *float32, n int)", 24, "rounds n elements to the dtype. n is a multiple of 8.")
	params("dst", "src", "n")
	loop("eight", "R2", 8, func() {
		asm("VLD1.P 32(R1), [V0.S4, V1.S4]")
		word(encode2("bfcvtn", 2, 0))
		word(encode2("bfcvtn2", 2, 1))
		asm("VST1.P [V2.B16], 16(R0)")
	})
	asm("RET")
}

// packColPairs joins two rows at a time to pairs of bf16.
func packColPairs() {
	function("packColPairs", "(dst, b *float32, ldb, k int)", 32, "packs k rows of 8 numbers, an even number of rows, into pairs of bf16; ldb is in bytes.")
	params("dst", "b", "ldb", "k")
	loop("rows", "R3", 2, func() {
		for row := range vreg(2) {
			asm("VLD1 (R1), [V0.S4, V1.S4]")
			word(encode2("bfcvtn", 2+row, 0))
			word(encode2("bfcvtn2", 2+row, 1))
			asm("ADD R2, R1, R1")
		}
		asm("VZIP1 V3.H8, V2.H8, V4.H8")
		asm("VZIP2 V3.H8, V2.H8, V5.H8")
		asm("VST1.P [V4.S4, V5.S4], 32(R0)")
	})
	asm("RET")
}
