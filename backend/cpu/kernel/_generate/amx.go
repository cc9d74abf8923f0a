package main

import (
	"encoding/binary"
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// AMX multiplies tiles: registers of up to 16 rows of 64 bytes, whose sizes a
// configuration in memory sets (Intel SDM volume 1, chapter 18). Four tiles hold
// 32 x 32 sums, the others the rows and columns that are multiplied.
const (
	tileSums    = 0 // first columns of the first rows, second columns of them, then the second rows
	tileRows    = 4 // first and second 16 rows
	tileColumns = 6 // first and second 16 columns
)

// The instructions of AMX, which neither avo nor Go's assembler knows, by their
// last bytes of VEX (inverted second source, vector length and prefix) and opcode.
const (
	vexNone, vexF3, vexF2 = 0, 2, 3

	opConfigure = 0x49 // LDTILECFG from memory, TILERELEASE and TILEZERO without
	opMove      = 0x4b // TILELOADD and TILESTORED
	opMultiply  = 0x5c // TDPBF16PS
)

// tileCode is an encoded instruction.
type tileCode struct {
	text  string // in Go's order of operands
	bytes []byte
}

// vex encodes an instruction in map 0F38. rm is a register below 16, index the
// other register of an address, source the inverted one.
func vex(prefix, source, opcode, index, rm byte, rest ...byte) []byte {
	const threeBytes, map0F38 = 0xc4, 2
	return append([]byte{
		threeBytes,
		0x80 | (^index>>3&1)<<6 | (^rm>>3&1)<<5 | map0F38,
		(^source&15)<<3 | prefix,
		opcode,
	}, rest...)
}

// loadTile reads rows stride bytes apart into tile t.
func loadTile(t byte, base, stride GPPhysical, disp int8) tileCode {
	return tileCode{
		fmt.Sprintf("TILELOADD %s, TMM%d", rowsAt(base, stride, disp), t),
		moveTile(vexF2, t, base, stride, disp),
	}
}

// storeTile writes them.
func storeTile(t byte, base, stride GPPhysical, disp int8) tileCode {
	return tileCode{
		fmt.Sprintf("TILESTORED TMM%d, %s", t, rowsAt(base, stride, disp)),
		moveTile(vexF3, t, base, stride, disp),
	}
}

func rowsAt(base, stride GPPhysical, disp int8) string {
	return Mem{Base: base, Index: stride, Scale: 1, Disp: int(disp)}.Asm()
}

func moveTile(prefix, t byte, base, stride GPPhysical, disp int8) []byte {
	const disp8, sib = 0x40, 4
	b, s := number(base), number(stride)
	return vex(prefix, 0, opMove, s, b, disp8|t<<3|sib, s&7<<3|b&7, byte(disp))
}

// multiplyTiles adds the products of rows' and columns' pairs of bf16 to sums.
func multiplyTiles(sums, rows, columns byte) tileCode {
	return tileCode{
		fmt.Sprintf("TDPBF16PS TMM%d, TMM%d, TMM%d", columns, rows, sums),
		vex(vexF3, columns, opMultiply, 0, 0, 0xc0|sums<<3|rows),
	}
}

func clearTile(t byte) tileCode {
	return tileCode{fmt.Sprintf("TILEZERO TMM%d", t), vex(vexF2, 0, opConfigure, 0, 0, 0xc0|t<<3)}
}

func releaseTiles() tileCode {
	return tileCode{"TILERELEASE", vex(vexNone, 0, opConfigure, 0, 0, 0xc0)}
}

// configureTiles reads 64 bytes at an address in AX, CX, DX, BX, SI or DI.
func configureTiles(address GPPhysical) tileCode {
	return tileCode{
		"LDTILECFG " + Mem{Base: address}.Asm(),
		vex(vexNone, 0, opConfigure, 0, number(address), number(address)),
	}
}

func number(r GPPhysical) byte { return byte(r.PhysicalIndex()) }

// encode writes an instruction's bytes and its text as a comment.
func encode(c tileCode) {
	write := func(opcode string, bytes Op) {
		Instruction(&ir.Instruction{Opcode: opcode, Operands: []Op{bytes}, ISA: []string{"AMX-BF16", "AMX-TILE"}})
	}
	Comment(c.text)
	code := c.bytes
	for ; len(code) >= 4; code = code[4:] {
		write("LONG", U32(binary.LittleEndian.Uint32(code)))
	}
	for _, b := range code {
		write("BYTE", U8(b))
	}
}

// The functions use physical registers only: avo does not see which of them the
// encoded instructions read.
func (v isa) amx() {
	v.tileAMX()
	v.packRowTiles()
	v.peakAMX()
}

func amxFunction(name, signature, doc string) {
	TEXT(name, NOSPLIT, "func"+signature)
	Pragma("noescape")
	Doc(name + " " + doc)
}

// address is where an argument that is an array begins.
func address(name string) Mem {
	first, err := Param(name).Index(0).Resolve()
	if err != nil {
		panic(err) // there is no such array
	}
	return first.Addr
}

// tileAMX configures the tiles once and leaves none in use, so that nothing of
// them is alive where a goroutine can be moved to another thread.
func (v isa) tileAMX() {
	amxFunction("tileAMX",
		"(c *float32, ldc int, a *float32, lda, row int, b *float32, steps int, groups, m, n int, accumulate int, config [64]byte)",
		"computes c[m,n] = a·b, added to c if accumulate is not 0, for groups of m rows; m and n are 1 to 32 and the configuration's. "+
			"a has row bytes from row to row, 2048 from step to step and lda from group to group; b is a panel of 32 columns.")
	LEAQ(address("config"), RAX)
	encode(configureTiles(RAX))
	Load(Param("c"), RDI)
	Load(Param("ldc"), RSI)
	Load(Param("a"), R8)
	Load(Param("row"), R9)
	Load(Param("b"), R10)
	Load(Param("groups"), R11)
	MOVQ(I32(panelBytes), R12)
	Load(Param("m"), RAX)
	Load(Param("n"), RBX)
	narrow, low, lowNarrow := label("narrow"), label("low"), label("low_narrow")
	CMPQ(RAX, I32(16))
	JLE(LabelRef(low))
	CMPQ(RBX, I32(16))
	JLE(LabelRef(narrow))
	groupsOf(2, 2)
	Label(narrow)
	groupsOf(2, 1)
	Label(low)
	CMPQ(RBX, I32(16))
	JLE(LabelRef(lowNarrow))
	groupsOf(1, 2)
	Label(lowNarrow)
	groupsOf(1, 1)
}

// panelBytes are a step of one element in a panel of 32 columns.
const panelBytes = 128

// groupsOf multiplies with so many tiles of rows and of columns, and returns.
func groupsOf(rows, columns byte) {
	group, step, plain, multiply := label("group"), label("step"), label("plain"), label("multiply")
	sums := func(f func(t byte, base GPPhysical, disp int8)) {
		for r := range rows {
			for c := range columns {
				f(tileSums+2*r+c, []GPPhysical{RDI, RAX}[r], int8(64*c))
			}
		}
	}
	second := func() { // the rows of c from 16 on
		MOVQ(RSI, RAX)
		SHLQ(U8(4), RAX)
		ADDQ(RDI, RAX)
	}
	Label(group)
	Load(Param("accumulate"), RDX)
	TESTQ(RDX, RDX)
	JZ(LabelRef(plain))
	second()
	sums(func(t byte, base GPPhysical, disp int8) { encode(loadTile(t, base, RSI, disp)) })
	JMP(LabelRef(multiply))
	Label(plain)
	sums(func(t byte, _ GPPhysical, _ int8) { encode(clearTile(t)) })
	Label(multiply)
	MOVQ(R8, RAX) // first rows of a
	MOVQ(R9, RBX) // second
	SHLQ(U8(4), RBX)
	ADDQ(R8, RBX)
	MOVQ(R10, RCX)
	Load(Param("steps"), RDX)
	Label(step)
	for c := range columns {
		encode(loadTile(tileColumns+c, RCX, R12, int8(64*c)))
	}
	for r := range rows {
		encode(loadTile(tileRows+r, []GPPhysical{RAX, RBX}[r], R9, 0))
		for c := range columns {
			encode(multiplyTiles(tileSums+2*r+c, tileRows+r, tileColumns+c))
		}
	}
	ADDQ(I32(2*16*64), RAX)
	ADDQ(I32(2*16*64), RBX)
	ADDQ(I32(16*panelBytes), RCX)
	DECQ(RDX)
	JNZ(LabelRef(step))
	second()
	sums(func(t byte, base GPPhysical, disp int8) { encode(storeTile(t, base, RSI, disp)) })
	MOVQ(RSI, RAX)
	SHLQ(U8(5), RAX)
	ADDQ(RAX, RDI)
	Load(Param("lda"), RAX)
	ADDQ(RAX, R8)
	DECQ(R11)
	JNZ(LabelRef(group))
	encode(releaseTiles())
	RET()
}

// packRowTiles rounds rows to pairs of bf16 and leaves them in rows.
func (v isa) packRowTiles() {
	v.function("packRowTiles", "(dst *float32, stride int, w *byte, ldw int, n, k int)",
		"sets 16 pairs at dst + r·stride + 2048·i to pairs from 16·i on of w's row r in bf16, for n rows; stride and ldw are in bytes, k counts pairs.")
	dst, stride, w, ldw, n, k := param("dst"), param("stride"), param("w"), param("ldw"), param("n"), param("k")
	to, from, left := GP64(), GP64(), GP64()
	loop("row", n, 1, func() {
		MOVQ(dst, to)
		MOVQ(w, from)
		MOVQ(k, left)
		loop("pairs", left, v.lanes, func() {
			v.decode(pairs[0], Mem{Base: from}, v.reg(0))
			VMOVUPS(v.reg(0), Mem{Base: to})
			ADDQ(I32(int32(v.lanes*pairs[0].size)), from)
			ADDQ(I32(2*16*64), to)
		})
		unlessZero("tail", left, func() {
			mask, stored := v.pairMask(left), v.tailMask(left, 0)
			v.decodeTail(pairs[0], Mem{Base: from}, mask, v.reg(0))
			v.storeTail(v.reg(0), stored, Mem{Base: to})
		})
		ADDQ(stride, dst)
		ADDQ(ldw, w)
	})
	finish()
}

// peakAMX multiplies tiles of zeros.
func (v isa) peakAMX() {
	const tiles = 4
	amxFunction("peakAMX", "(rounds int, config [64]byte) int", "runs rounds of independent products of tiles and returns how many operations that were.")
	LEAQ(address("config"), RAX)
	encode(configureTiles(RAX))
	Load(Param("rounds"), RCX)
	IMUL3Q(I32(2*tiles*16*16*32), RCX, RDX)
	for t := range byte(8) {
		encode(clearTile(t))
	}
	done, round := label("done"), label("round")
	TESTQ(RCX, RCX)
	JZ(LabelRef(done))
	Label(round)
	for t := range byte(tiles) {
		encode(multiplyTiles(tileSums+t, tileRows+t/2, tileColumns+t%2))
	}
	DECQ(RCX)
	JNZ(LabelRef(round))
	Label(done)
	encode(releaseTiles())
	Store(RDX, ReturnIndex(0))
	RET()
}
