// Command _generate writes the assembly of package kernel for amd64:
//
//	go run . -isa avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg kernel
//
// Every loop is written once for both instruction sets; type isa hides what
// differs, which is the width, the number of registers and the tails.
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	name := flag.String("isa", "avx512", "instruction set: avx512 or avx2")
	flag.Parse()
	var v isa
	switch *name {
	case "avx512":
		v = isa{name: "AVX512", lanes: 16, registers: 32, wide: true}
	case "avx2":
		v = isa{name: "AVX2", lanes: 8, registers: 16}
	default:
		fmt.Fprintf(os.Stderr, "unknown instruction set %q: use avx512 or avx2\n", *name)
		os.Exit(2)
	}
	ConstraintExpr("!noasm")
	v.stored()
	v.compact()
	v.tiles()
	v.packs()
	if v.wide {
		v.amx()
	}
	v.rows()
	v.transcendental()
	v.writeCompactTables()
	v.writeConstants()
	Generate()
}
