package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// isa is one vector instruction set.
type isa struct {
	name      string
	lanes     int
	registers int
	wide      bool // AVX-512: 32 registers of 16 lanes and masks
}

var (
	zmm = []VecPhysical{Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}
	ymm = []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}
)

// reg returns vector register i.
func (v isa) reg(i int) VecPhysical {
	if v.wide {
		return zmm[i]
	}
	return ymm[i]
}

// bytes is the size of a vector.
func (v isa) bytes() int { return 4 * v.lanes }

// function starts an assembly function; every pointer argument stays on the
// caller's stack.
func (v isa) function(name, signature, doc string) {
	clear(held)
	TEXT(name+v.name, NOSPLIT, "func"+signature)
	Pragma("noescape")
	Doc(name + v.name + " " + doc)
}

// param loads an integer or pointer argument.
func param(name string) GPVirtual {
	r := GP64()
	Load(Param(name), r)
	return r
}

func zero(r VecPhysical) { VXORPS(r.AsX(), r.AsX(), r.AsX()) }

// xor of a ZMM needs AVX512DQ; clearing the low part clears the whole register,
// but only registers 0 to 15 have the short encoding.
func (v isa) clear(i int) {
	if i < 16 {
		zero(v.reg(i))
		return
	}
	VXORPS(v.reg(i), v.reg(i), v.reg(i))
}

// A tail is how the last, incomplete vector of a row is reached: a mask
// register in AVX-512, a vector of masks in AVX2.
type tail struct {
	k, high OpmaskVirtual // high is for the second vector of a row of pairs
	m       Op
}

// tailMask makes the mask of the first count lanes, 0 < count < lanes. AVX2
// keeps it in register m.
func (v isa) tailMask(count Register, m int) tail {
	if v.wide {
		ones, k := GP32(), K()
		MOVL(I32(-1), ones)
		BZHIL(count.(GP).As32(), ones, ones)
		KMOVW(ones, k)
		return tail{k: k}
	}
	address, offset := GP64(), GP64()
	LEAQ(maskTable(), address)
	MOVQ(U32(8), offset)
	SUBQ(count, offset)
	VMOVDQU(Mem{Base: address, Index: offset, Scale: 4}, v.reg(m))
	return tail{m: v.reg(m)}
}

// pairMask masks the elements of the first count pairs, 0 < count < lanes, in two vectors.
func (v isa) pairMask(count GPVirtual) tail {
	twice, ones, t := GP32(), GP32(), tail{k: K(), high: K()}
	MOVL(I32(-1), ones)
	LEAL(Mem{Base: count, Index: count, Scale: 1}, twice)
	BZHIL(twice, ones, ones)
	KMOVW(ones, t.k)
	SHRL(U8(16), ones)
	KMOVW(ones, t.high)
	return t
}

// maskTable holds 8 lanes of ones, 8 of zeros and 8 of ones: 8 lanes from 8-c
// on mask the first c lanes, 8 lanes from 8+c on mask the last c.
func maskTable() Mem { return NewDataAddr(Symbol{Name: "tailmask", Static: true}, 0) }

func (v isa) loadTail(m Mem, t tail, dst VecPhysical) {
	if v.wide {
		VMOVUPS_Z(m, t.k, dst)
	} else {
		VMASKMOVPS(m, t.m, dst)
	}
}

func (v isa) storeTail(src VecPhysical, t tail, m Mem) {
	if v.wide {
		VMOVUPS(src, t.k, m)
	} else {
		VMASKMOVPS(src, t.m, m)
	}
}

// Constants are whole vectors in memory, so that both instruction sets take
// them as plain memory operands.
var constants []uint32

// held are the constants that the function keeps in registers, by their bits.
var held = map[uint32]VecPhysical{}

// hold loads constants, the first of them that fit, into registers that AVX-512
// has to spare, from the first free one up to the last two: a load for each use
// would limit a loop that computes.
func (v isa) hold(free int, constants ...float64) {
	for _, f := range constants {
		if _, twice := held[math.Float32bits(float32(f))]; twice {
			continue
		}
		r := v.registers - 3 - len(held)
		if !v.wide || r < free {
			return
		}
		v.load(f, v.reg(r))
		held[math.Float32bits(float32(f))] = v.reg(r)
	}
}

// bits returns the constant vector whose lanes hold b.
func (v isa) bits(b uint32) Op {
	if r, ok := held[b]; ok {
		return r
	}
	at := -1
	for i, c := range constants {
		if c == b {
			at = i
		}
	}
	if at < 0 {
		at = len(constants)
		constants = append(constants, b)
	}
	return NewDataAddr(Symbol{Name: "constants", Static: true}, at*v.bytes())
}

func (v isa) constant(f float64) Op { return v.bits(math.Float32bits(float32(f))) }

func (v isa) writeConstants() {
	if !v.wide {
		GLOBL("tailmask", RODATA|NOPTR)
		for i := range 24 {
			mask := uint32(0xffffffff)
			if i/8 == 1 {
				mask = 0
			}
			DATA(4*i, U32(mask))
		}
	}
	if !v.wide {
		GLOBL("columnmask", RODATA|NOPTR)
		for i := range 32 {
			mask := uint32(0xffffffff)
			if i >= 16 {
				mask = 0
			}
			DATA(4*i, U32(mask))
		}
	}
	GLOBL("constants", RODATA|NOPTR)
	for i, c := range constants {
		for l := range v.lanes {
			DATA(i*v.bytes()+4*l, U32(c))
		}
	}
}

var labels int

// label returns a name not used before.
func label(what string) string {
	labels++
	return fmt.Sprintf("%s_%d", what, labels)
}

// loop repeats body while count is at least step, and takes step off each time.
func loop(what string, count Register, step int, body func()) {
	top, done := label(what), label(what+"_done")
	CMPQ(count, I32(int32(step)))
	JLT(LabelRef(done))
	Label(top)
	body()
	SUBQ(I32(int32(step)), count)
	CMPQ(count, I32(int32(step)))
	JGE(LabelRef(top))
	Label(done)
}

// unlessZero runs body unless count is zero.
func unlessZero(what string, count Register, body func()) {
	done := label(what + "_none")
	TESTQ(count, count)
	JZ(LabelRef(done))
	body()
	Label(done)
}
