package main

import "fmt"

func packLoops() {
	for _, d := range dtypes {
		pack("pack"+d.name, d, tileColumns)
	}
	pack("packRows", dtypes[0], tileRows)
}

// pack transposes n of so many rows in squares of 4 rows and 8 columns; a row
// past n is zero.
func pack(name string, d dtype, rows int) {
	function(name, "(dst *float32, stride int, w *byte, ldw int, n, k int)", 48,
		fmt.Sprintf("sets %d numbers at dst + p·stride to column p of w's n rows, zero past n; stride and ldw are in bytes, k is a multiple of 8.", rows))
	params("dst", "stride", "w", "ldw", "n", "k")
	loop("columns", "R5", 8, func() {
		asm("MOVD R2, R6")
		for group := range rows / 4 {
			ready := newLabel("ready")
			for i := range 8 {
				zero(vreg(i))
			}
			for r := range 4 {
				asm("CMP $%d, R4", 4*group+r)
				asm("BLE %s", ready)
				asm("MOVD R6, R7")
				decode8(d, "R7", vreg(2*r), 8)
				asm("ADD R3, R6, R6")
			}
			label(ready)
			asm("ADD $%d, R0, R8", 16*group)
			for half := range vreg(2) {
				transpose(half)
				for i := range 4 {
					asm("VST1 [V%d.S4], (R8)", 16+i)
					asm("ADD R1, R8, R8")
				}
			}
		}
		asm("ADD R1<<3, R0, R0")
		asm("ADD $%d, R2, R2", 8*d.size)
	})
	asm("RET")
}

// transpose turns the square in V0, V2, V4 and V6, plus half, into V16 to V19.
func transpose(half vreg) {
	a, b, c, d := half, half+2, half+4, half+6
	for i, pair := range [][2]vreg{{a, b}, {c, d}} {
		asm("VTRN1 V%d.S4, V%d.S4, V%d.S4", pair[1], pair[0], 20+2*i)
		asm("VTRN2 V%d.S4, V%d.S4, V%d.S4", pair[1], pair[0], 21+2*i)
	}
	for i := range 2 {
		asm("VTRN1 V%d.D2, V%d.D2, V%d.D2", 22+i, 20+i, 16+i)
		asm("VTRN2 V%d.D2, V%d.D2, V%d.D2", 22+i, 20+i, 18+i)
	}
}
