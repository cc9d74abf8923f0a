package main

// expand writes compact blocks (64 bytes of sign and mantissa, then 32 bytes
// of indices, two in a byte) as plain bf16. See the generator for amd64 for
// the order of the bytes.
func expand() {
	function("expand", "(dst, w, tables *byte, blocks int)", 32, "converts compact blocks to bf16.")
	const (
		signs, indices = 0, 4 // 4 and 4 registers of 16
		pairs          = 8    // of the columns below 32, then of the others
		high, low      = 30, 31
		sign, mantissa = 28, 27
		nibble         = 29
		bits           = 26
	)
	params("dst", "w", "tables", "blocks")
	asm("VLD1 (R2), [V%d.B16, V%d.B16]", high, low)
	asm("VMOVI $15, V%d.B16", nibble)
	asm("VMOVI $128, V%d.B16", sign)
	asm("VMOVI $127, V%d.B16", mantissa)
	loop("block", "R3", 1, func() {
		asm("VLD1.P 64(R1), [V%d.B16, V%d.B16, V%d.B16, V%d.B16]", signs, signs+1, signs+2, signs+3)
		asm("VLD1.P 32(R1), [V%d.B16, V%d.B16]", indices, indices+1)
		for i := range 2 {
			asm("VUSHR $4, V%d.B16, V%d.B16", indices+i, indices+2+i)
			asm("VAND V%d.B16, V%d.B16, V%d.B16", nibble, indices+i, indices+i)
		}
		for i := range 4 {
			const upper, lower = 16, 17
			asm("VTBL V%d.B16, [V%d.B16], V%d.B16", indices+i, high, upper)
			asm("VTBL V%d.B16, [V%d.B16], V%d.B16", indices+i, low, lower)
			asm("VAND V%d.B16, V%d.B16, V%d.B16", sign, signs+i, bits)
			asm("VORR V%d.B16, V%d.B16, V%d.B16", bits, upper, upper)
			asm("VAND V%d.B16, V%d.B16, V%d.B16", mantissa, signs+i, bits)
			asm("VORR V%d.B16, V%d.B16, V%d.B16", bits, lower, lower)
			asm("VZIP1 V%d.B16, V%d.B16, V%d.B16", upper, lower, pairs+i)
			asm("VZIP2 V%d.B16, V%d.B16, V%d.B16", upper, lower, pairs+4+i)
		}
		for half := range 2 {
			from := pairs + 4*half
			for i, unzip := range []string{"VUZP1", "VUZP2"} { // even columns of the pairs, odd columns
				asm("%s V%d.H8, V%d.H8, V%d.H8", unzip, from+1, from, 18+2*i)
				asm("%s V%d.H8, V%d.H8, V%d.H8", unzip, from+3, from+2, 19+2*i)
			}
			asm("VST1.P [V18.H8, V19.H8, V20.H8, V21.H8], 64(R0)")
		}
	})
	asm("RET")
}
