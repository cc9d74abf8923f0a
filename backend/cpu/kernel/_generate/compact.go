package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A compact block holds 64 bf16 weights: 64 bytes of sign and mantissa, then
// 32 bytes of indices into a table of exponents, two in a byte. The bytes are
// in such an order that interleaving the two halves of each bf16, which works
// within 128-bit lanes, leaves whole vectors of neighbouring columns: those of
// the even 16-bit words, and those of the odd ones.
const (
	blockWeights = 64
	blockBytes   = 96
)

// compact writes the loops over compact blocks.
func (v isa) compact() {
	v.gemvCompact()
	v.expand()
}

// joiner turns blocks into pairs of bf16 in registers.
type joiner struct {
	isa
	high, low         VecPhysical // the tables: the upper 7 bits of an exponent, and its last bit
	shifts            VecPhysical // AVX-512: by how much to shift the indices of each word
	nibble, sign, odd VecPhysical // AVX-512: masks; AVX2 takes them from memory
}

// masks of bytes, and of the odd words.
const (
	maskNibble   = 0x0f0f0f0f
	maskSign     = 0x80808080
	maskMantissa = 0x7f7f7f7f
	maskOdd      = 0xffff0000
	maskEven     = 0x0000ffff
)

// newJoiner loads tables and masks into the registers from first on.
func (v isa) newJoiner(tables GPVirtual, first int) joiner {
	j := joiner{isa: v, high: v.reg(first), low: v.reg(first + 1)}
	if !v.wide {
		VBROADCASTI128(Mem{Base: tables}, j.high)
		VBROADCASTI128(Mem{Base: tables, Disp: 16}, j.low)
		return j
	}
	VBROADCASTI32X4(Mem{Base: tables}, j.high)
	VBROADCASTI32X4(Mem{Base: tables, Disp: 16}, j.low)
	j.shifts, j.nibble, j.sign, j.odd = v.reg(first+2), v.reg(first+3), v.reg(first+4), v.reg(first+5)
	VMOVDQU32(NewDataAddr(Symbol{Name: "nibbleshift", Static: true}, 0), j.shifts)
	VMOVDQU32(v.bits(maskNibble), j.nibble)
	VMOVDQU32(v.bits(maskSign), j.sign)
	VMOVDQU32(v.bits(maskOdd), j.odd)
	return j
}

// parts is how many times join is called for a block.
func (j joiner) parts() int { return blockWeights / 4 / j.lanes }

// join leaves the pairs of part p of the block at w in registers r and r+1; it
// needs r+2 as well, and AVX2 up to r+3. With c = p·lanes the even words of
// the first are columns c on, the odd ones 16+c on; of the second 32+c and 48+c on.
func (j joiner) join(w GPVirtual, p, r int) (first, second VecPhysical) {
	a, b, c := j.reg(r), j.reg(r+1), j.reg(r+2)
	if j.wide {
		VBROADCASTI64X4(Mem{Base: w, Disp: blockWeights}, a)
		VPSRLVW(j.shifts, a, a)
		VPANDD(j.nibble, a, a)
		VPSHUFB(a, j.high, b)
		VPSHUFB(a, j.low, a)
		VMOVDQU32(Mem{Base: w}, c)
		VPTERNLOGD(U8(0xf8), j.sign, c, b) // b | c&sign
		VPTERNLOGD(U8(0xf4), j.sign, c, a) // a | c&^sign
		VPUNPCKLBW(b, a, c)
		VPUNPCKHBW(b, a, b)
		return c, b
	}
	d := j.reg(r + 3)
	VMOVDQU(Mem{Base: w, Disp: blockWeights}, a)
	if p == 1 {
		VPSRLW(U8(4), a, a)
	}
	VPAND(j.bits(maskNibble), a, a)
	VPSHUFB(a, j.high, b)
	VPSHUFB(a, j.low, a)
	VMOVDQU(Mem{Base: w, Disp: p * j.bytes()}, c)
	VPAND(j.bits(maskSign), c, d)
	VPOR(d, b, b)
	VPAND(j.bits(maskMantissa), c, c)
	VPOR(c, a, a)
	VPUNPCKLBW(b, a, c)
	VPUNPCKHBW(b, a, b)
	return c, b
}

// gemvCompact multiplies rows of whole blocks with one row of activations. It
// adds up in the same order as gemv over bf16, so that the sums are the same
// bits. Rows with escapes go block by block up to each block that has some,
// which takes a detour through memory.
func (v isa) gemvCompact() {
	v.function("gemvCompact", "(y, x *float32, w, tables, first, escapes *byte, n, blocks int)",
		"sets y[j] = Σ x[p]·w[j,p] for n rows of compact blocks; first leads to the escapes of each row.")
	n, w, first := param("n"), param("w"), param("first")
	_, sums := v.gemvShape(1)
	j := v.newJoiner(param("tables"), sums+4)
	detour := AllocLocal(2 * blockWeights)
	loop("row", n, 1, func() {
		for i := range sums {
			v.clear(i)
		}
		x, left := param("x"), param("blocks")
		e, end, base := GP64(), GP64(), param("escapes")
		for i, r := range []GPVirtual{e, end} {
			MOVL(Mem{Base: first, Disp: 4 * i}, r.As32())
			LEAQ(Mem{Base: base, Index: r, Scale: 8}, r)
		}
		ADDQ(I32(4), first)

		next := func() {
			ADDQ(I32(blockBytes), w)
			ADDQ(I32(4*blockWeights), x)
		}
		part, whole, done := label("part"), label("whole"), label("row_end")
		Label(part)
		run, at := GP64(), GP64()
		MOVQ(left, run)
		CMPQ(e, end)
		JEQ(LabelRef(whole))
		MOVL(Mem{Base: e}, at.As32()) // the block of the next escape, from the row's start
		SHRQ(U8(6), at)
		ADDQ(at, run)
		blocks := param("blocks")
		SUBQ(blocks, run)
		Label(whole)
		SUBQ(run, left)
		loop("block", run, 1, func() {
			PREFETCHT0(Mem{Base: w, Disp: fetchAhead})
			PREFETCHT0(Mem{Base: w, Disp: fetchAhead + 64})
			for p := range j.parts() {
				a, b := j.join(w, p, sums)
				v.multiplyPairs(j, x, p, sums, a, b)
			}
			next()
		})
		TESTQ(left, left)
		JZ(LabelRef(done))
		escape := GP64()
		for p := range j.parts() {
			a, b := j.join(w, p, sums)
			VMOVUPS(a, detour.Offset(p*v.bytes()))
			VMOVUPS(b, detour.Offset(64+p*v.bytes()))
			v.patch(detour, e, end, escape, at)
			VMOVUPS(detour.Offset(p*v.bytes()), a)
			VMOVUPS(detour.Offset(64+p*v.bytes()), b)
			v.multiplyPairs(j, x, p, sums, a, b)
		}
		MOVQ(escape, e)
		next()
		DECQ(left)
		JMP(LabelRef(part))
		Label(done)

		for half := sums / 2; half > 0; half /= 2 {
			for i := range half {
				VADDPS(v.reg(i+half), v.reg(i), v.reg(i))
			}
		}
		y := param("y")
		VMOVSS(v.reduce([]VecPhysical{v.reg(0)}, v.reg(sums)), Mem{Base: y})
		ADDQ(I32(4), y)
		Store(y, Param("y"))
	})
	finish()
}

// multiplyPairs adds the products of what join made of part p; it overwrites
// the pairs and register sums.
func (v isa) multiplyPairs(j joiner, x GPVirtual, p, sums int, first, second VecPhysical) {
	spare := v.reg(sums)
	for i, pairs := range []VecPhysical{first, second} {
		column := 32*i + p*v.lanes
		VPSLLD(U8(16), pairs, spare)
		VFMADD231PS(Mem{Base: x, Disp: 4 * column}, spare, v.reg(column/v.lanes))
		column += 16
		v.and(maskOdd, j.odd, pairs)
		VFMADD231PS(Mem{Base: x, Disp: 4 * column}, pairs, v.reg(column/v.lanes))
	}
}

// patch writes the escapes of block at, the first of which is e, over the
// pairs in memory; escape is left at the next block's.
func (v isa) patch(pairs Mem, e, end, escape, at GPVirtual) {
	top, done := label("escape"), label("escapes_done")
	MOVQ(e, escape)
	Label(top)
	block, value, slot := GP64(), GP32(), GP64()
	MOVL(Mem{Base: escape}, block.As32())
	SHRQ(U8(6), block)
	CMPQ(block, at)
	JNE(LabelRef(done))
	MOVWLZX(Mem{Base: escape, Disp: 4}, value)
	MOVWQZX(Mem{Base: escape, Disp: 6}, slot)
	pairs.Index, pairs.Scale = slot, 1
	MOVW(value.As16(), pairs)
	ADDQ(I32(8), escape)
	CMPQ(escape, end)
	JNE(LabelRef(top))
	Label(done)
}

// and masks r by a constant, which AVX-512 keeps in register m.
func (v isa) and(mask uint32, m, r VecPhysical) {
	if v.wide {
		VPANDD(m, r, r)
		return
	}
	VPAND(v.bits(mask), r, r)
}

// expand writes blocks as plain bf16.
func (v isa) expand() {
	v.function("expand", "(dst, w, tables *byte, blocks int)", "converts compact blocks to bf16.")
	dst, w, blocks := param("dst"), param("w"), param("blocks")
	prefetch := func() {
		PREFETCHT0(Mem{Base: w, Disp: fetchAhead})
		PREFETCHT0(Mem{Base: w, Disp: fetchAhead + 64})
	}
	if v.wide {
		j := v.newJoiner(param("tables"), 4)
		order := v.reg(3)
		VMOVDQU32(NewDataAddr(Symbol{Name: "evenodd", Static: true}, 0), order)
		loop("block", blocks, 1, func() {
			prefetch()
			first, second := j.join(w, 0, 0)
			for i, pairs := range []VecPhysical{first, second} {
				VPERMW(pairs, order, pairs)
				VMOVDQU32(pairs, Mem{Base: dst, Disp: 64 * i})
			}
			ADDQ(I32(blockBytes), w)
			ADDQ(I32(2*blockWeights), dst)
		})
		finish()
		return
	}
	j := v.newJoiner(param("tables"), 14)
	loop("block", blocks, 1, func() {
		prefetch()
		var pairs [2][2]VecPhysical // of each part
		for p := range 2 {
			pairs[p][0], pairs[p][1] = j.join(w, p, 4*p)
		}
		const words, more = 8, 9
		for i := range 2 {
			for odd := range 2 {
				for p := range 2 {
					if odd == 0 {
						VPAND(v.bits(maskEven), pairs[p][i], v.reg(words+p))
					} else {
						VPSRLD(U8(16), pairs[p][i], v.reg(words+p))
					}
				}
				VPACKUSDW(v.reg(more), v.reg(words), v.reg(words))
				VPERMQ(U8(0xd8), v.reg(words), v.reg(words)) // the lanes of the parts alternate
				VMOVDQU(v.reg(words), Mem{Base: dst, Disp: 64*i + 32*odd})
			}
		}
		ADDQ(I32(blockBytes), w)
		ADDQ(I32(2*blockWeights), dst)
	})
	finish()
}

// writeCompactTables stores what takes the second index out of the upper
// words, and the order that sorts even words from odd ones.
func (v isa) writeCompactTables() {
	if !v.wide {
		return
	}
	GLOBL("nibbleshift", RODATA|NOPTR)
	for i := range v.lanes {
		shift := uint32(0)
		if i >= v.lanes/2 {
			shift = 4<<16 | 4
		}
		DATA(4*i, U32(shift))
	}
	GLOBL("evenodd", RODATA|NOPTR)
	for i := range uint32(v.lanes) { // two words each
		first := 4 * i % 32
		odd := i / 8
		DATA(4*int(i), U32((first+2+odd)<<16|first+odd))
	}
}
