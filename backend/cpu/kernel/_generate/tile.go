package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The register tile: rows × columns sums, two vectors of columns wide, beside
// the registers for one step of both panels.
func (v isa) tileRows() int {
	if v.wide {
		return 12
	}
	return 6
}

// multiplyAdd is an instruction that adds the products of the elements in
// each 32-bit lane of x and y to the lane of sum.
type multiplyAdd struct {
	suffix   string // of the functions that use it
	elements int    // of a lane
	add      func(x, y, sum VecPhysical)
}

var (
	multiplyF32  = multiplyAdd{"", 1, func(x, y, sum VecPhysical) { VFMADD231PS(x, y, sum) }}
	multiplyBF16 = multiplyAdd{"BF16", 2, dotBF16.emit}
	multiplyInt8 = multiplyAdd{"Int8", 4, dotInt8.emit}
)

func (v isa) tiles() {
	v.tile(multiplyF32)
	v.peak(multiplyF32)
	if v.wide {
		v.tile(multiplyBF16)
		v.peak(multiplyBF16)
		v.peak(multiplyInt8)
	}
}

// tile dispatches on m to a loop over as many rows, rounded up, that leaves
// the rows past m in registers.
func (v isa) tile(op multiplyAdd) {
	elements := ""
	if op.elements > 1 {
		elements = fmt.Sprintf(" k counts lanes of %d elements.", op.elements)
	}
	v.function("tile"+op.suffix, "(c *float32, ldc int, a, b *float32, k, m, n int, accumulate int)",
		"computes c[m,n] = a·b, added to c if accumulate is not 0; ldc is in bytes, m and n are at least 1."+elements)
	m := param("m")
	step := v.tileRows() / 3
	for rows := step; rows <= v.tileRows(); rows += step {
		next := label("more_rows")
		if rows < v.tileRows() {
			CMPQ(m, I32(int32(rows)))
			JG(LabelRef(next))
		}
		v.tileOf(op, rows, rows-step, m)
		if rows < v.tileRows() {
			Label(next)
		}
	}
}

// tileOf computes the first rows of the tile and stores m of them, which are
// more than least.
func (v isa) tileOf(op multiplyAdd, rows, least int, m GPVirtual) {
	const columns = 2
	sum := func(r, c int) VecPhysical { return v.reg(r*columns + c) }
	free := rows * columns
	bs := []VecPhysical{v.reg(free), v.reg(free + 1)}
	factors := []VecPhysical{v.reg(free + 2), v.reg(free + 3)}
	for i := range free {
		v.clear(i)
	}
	a, b, k := param("a"), param("b"), param("k")
	step := func(u int) {
		for c := range columns {
			VMOVUPS(Mem{Base: b, Disp: (u*columns + c) * v.bytes()}, bs[c])
		}
		for r := range rows {
			VBROADCASTSS(Mem{Base: a, Disp: 4 * (u*v.tileRows() + r)}, factors[r%2])
			for c := range columns {
				op.add(bs[c], factors[r%2], sum(r, c))
			}
		}
	}
	steps := func(count int) func() {
		return func() {
			for u := range count {
				PREFETCHT0(Mem{Base: b, Disp: u*columns*v.bytes() + 1024})
				if v.wide {
					PREFETCHT0(Mem{Base: b, Disp: u*columns*v.bytes() + 1024 + 64})
				}
				step(u)
			}
			ADDQ(I32(int32(count*4*v.tileRows())), a)
			ADDQ(I32(int32(count*columns*v.bytes())), b)
		}
	}
	loop("products4", k, 4, steps(4))
	loop("products", k, 1, steps(1))

	// Store row by row, until m are done.
	c, ldc, n, accumulate := param("c"), param("ldc"), param("n"), param("accumulate")
	narrow, add, stored := label("narrow"), label("add"), label("stored")
	SUBQ(I32(int32(least)), m)
	full := func(body func(r, c int)) {
		for r := range rows {
			for col := range columns {
				body(r, col)
			}
			if r >= least {
				DECQ(m)
				JZ(LabelRef(stored))
			}
			ADDQ(ldc, c)
		}
	}
	CMPQ(n, I32(int32(columns*v.lanes)))
	JNE(LabelRef(narrow))
	TESTQ(accumulate, accumulate)
	JNZ(LabelRef(add))
	full(func(r, col int) { VMOVUPS(sum(r, col), Mem{Base: c, Disp: col * v.bytes()}) })
	Label(add)
	full(func(r, col int) {
		at := Mem{Base: c, Disp: col * v.bytes()}
		VADDPS(at, sum(r, col), sum(r, col))
		VMOVUPS(sum(r, col), at)
	})
	Label(narrow)
	masks := v.columnMasks(n, bs)
	plain := label("overwrite")
	store := func(add bool) func(r, col int) {
		return func(r, col int) {
			at := Mem{Base: c, Disp: col * v.bytes()}
			if add {
				v.loadTail(at, masks[col], factors[0])
				VADDPS(factors[0], sum(r, col), sum(r, col))
			}
			v.storeTail(sum(r, col), masks[col], at)
		}
	}
	TESTQ(accumulate, accumulate)
	JZ(LabelRef(plain))
	full(store(true))
	Label(plain)
	full(store(false))
	Label(stored)
	finish()
}

// columnMasks masks the first n columns of two vectors.
func (v isa) columnMasks(n GPVirtual, m []VecPhysical) []tail {
	if v.wide {
		ones, low, high := GP64(), K(), K()
		MOVQ(I32(-1), ones)
		BZHIQ(n, ones, ones)
		KMOVW(ones.As32(), low)
		SHRQ(U8(16), ones)
		KMOVW(ones.As32(), high)
		return []tail{{k: low}, {k: high}}
	}
	// Eight lanes from 8-n on, and eight more from 16-n on; a table of ones
	// and zeros on both sides serves every n from 1 to 16.
	address, offset := GP64(), GP64()
	LEAQ(columnTable(), address)
	MOVQ(U32(16), offset)
	SUBQ(n, offset)
	VMOVDQU(Mem{Base: address, Index: offset, Scale: 4}, m[0])
	VMOVDQU(Mem{Base: address, Index: offset, Scale: 4, Disp: 32}, m[1])
	return []tail{{m: m[0]}, {m: m[1]}}
}

// columnTable holds 16 lanes of ones and then 16 of zeros.
func columnTable() Mem { return NewDataAddr(Symbol{Name: "columnmask", Static: true}, 0) }

// peak runs multiply-adds that depend on nothing but themselves.
func (v isa) peak(op multiplyAdd) {
	const sums = 12
	v.function("peak"+op.suffix, "(rounds int) int", "runs rounds of independent multiply-adds and returns how many operations that were.")
	rounds, count := param("rounds"), GP64()
	IMUL3Q(I32(int32(2*op.elements*v.lanes*sums*4)), rounds, count)
	for i := range sums + 2 {
		v.clear(i)
	}
	loop("round", rounds, 1, func() {
		for range 4 {
			for i := range sums {
				op.add(v.reg(sums), v.reg(sums+1), v.reg(i))
			}
		}
	})
	Store(count, ReturnIndex(0))
	finish()
}
