package main

import (
	"encoding/binary"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// An encoded instruction is one that avo or Go's assembler does not know. It
// works on three ZMM registers and is written as bytes: an EVEX prefix, the
// opcode in map 0F38 and the registers (Intel SDM volume 2, section 2.7).
type encoded struct {
	name, isa      string
	prefix, opcode byte
}

// The prefixes that a legacy encoding would have, as EVEX counts them.
const (
	prefix66 = 1
	prefixF3 = 2
	prefixF2 = 3
)

var (
	// dotBF16 adds the products of the pairs of bf16 in each lane to the lane of dst.
	dotBF16 = encoded{"VDPBF16PS", "AVX512_BF16", prefixF3, 0x52}
	// dotInt8 does so for four signed bytes of x and unsigned bytes of y.
	dotInt8 = encoded{"VPDPBUSD", "AVX512_VNNI", prefix66, 0x50}
	// roundBF16 rounds the lanes of x to the lower half of dst and those of y to the upper half.
	roundBF16 = encoded{"VCVTNE2PS2BF16", "AVX512_BF16", prefixF2, 0x72}
)

// emit writes the instruction and its text as a comment.
func (e encoded) emit(x, y, dst VecPhysical) {
	code := e.bytes(x, y, dst)
	Comment(e.name + " " + x.Asm() + ", " + y.Asm() + ", " + dst.Asm())
	write := func(opcode string, bytes operand.Op) {
		Instruction(&ir.Instruction{Opcode: opcode, Operands: []operand.Op{bytes}, ISA: []string{e.isa}})
	}
	write("LONG", operand.U32(binary.LittleEndian.Uint32(code)))
	write("WORD", operand.U16(binary.LittleEndian.Uint16(code[4:])))
}

// bytes takes registers in Go's order: the second source (ModRM.rm), the first
// (EVEX.vvvv) and the destination (ModRM.reg). EVEX keeps the upper bits of
// registers inverted.
func (e encoded) bytes(x, y, dst VecPhysical) []byte {
	const map0F38, fixed, size512 = 2, 4, 0x40
	rm, vvvv, reg := byte(x.PhysicalIndex()), byte(y.PhysicalIndex()), byte(dst.PhysicalIndex())
	not := func(r byte, bit int) byte { return ^r >> bit & 1 }
	return []byte{
		0x62,
		not(reg, 3)<<7 | not(rm, 4)<<6 | not(rm, 3)<<5 | not(reg, 4)<<4 | map0F38,
		(^vvvv&15)<<3 | fixed | e.prefix,
		size512 | not(vvvv, 4)<<3,
		e.opcode,
		0xc0 | reg&7<<3 | rm&7,
	}
}
