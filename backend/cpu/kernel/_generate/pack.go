package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func (v isa) packs() {
	for _, d := range dtypes {
		v.pack("pack", d, v.lanes)
	}
	v.pack("packRows", dtypes[0], v.tileRows())
	if v.wide {
		for _, d := range pairs {
			v.pack("pack", d, v.lanes)
		}
		v.pack("packRows", pairs[0], v.tileRows())
		v.packColPairs()
	}
	v.packCols()
}

// pack transposes n rows of w, at most one per lane, block by block: a row
// past n is zero, and each column is stored with so many lanes. Of pairs, each
// lane holds two columns rounded to bf16.
func (v isa) pack(name string, d dtype, lanes int) {
	doc := fmt.Sprintf("sets %d numbers at dst + p·stride to column p of w's n rows, zero past n; stride and ldw are in bytes.%s", lanes, v.wholeColumns())
	if d.half != nil {
		doc = fmt.Sprintf("sets %d pairs at dst + p·stride to columns 2p and 2p+1 of w's n rows in bf16, zero past n; stride and ldw are in bytes, k counts pairs.", lanes)
	}
	weights := name == "pack"
	if weights || d.half != nil {
		name += d.name
	}
	v.function(name, "(dst *float32, stride int, w *byte, ldw int, n, k int)", doc)
	dst, stride, w, ldw, n, left := param("dst"), param("stride"), param("w"), param("ldw"), param("n"), param("k")
	var partial OpmaskVirtual
	if v.wide && lanes < v.lanes {
		partial = K()
		ones := GP32()
		MOVL(U32(1<<lanes-1), ones)
		KMOVW(ones, partial)
	}
	// store writes one column and moves on.
	store := func(x VecPhysical) {
		switch {
		case lanes == v.lanes:
			VMOVUPS(x, Mem{Base: dst})
		case v.wide:
			VMOVUPS(x, partial, Mem{Base: dst})
		default:
			VMOVUPS(x.AsX(), Mem{Base: dst})
			VEXTRACTF128(U8(1), x, X0)
			VMOVSD(X0, Mem{Base: dst, Disp: 16})
		}
		ADDQ(stride, dst)
	}
	// The rows after those in use are fetched meanwhile: the caller packs them next.
	var ahead GPVirtual
	if weights {
		ahead = GP64()
		IMUL3Q(I32(int32(lanes)), ldw, ahead)
	}
	load := func(read func(m Mem, dst VecPhysical)) {
		row := GP64()
		MOVQ(w, row)
		ready := label("ready")
		for j := range lanes {
			v.clear(j)
		}
		for j := range lanes {
			CMPQ(n, I32(int32(j)))
			JLE(LabelRef(ready))
			read(Mem{Base: row}, v.reg(j))
			for b := 0; weights && b < v.lanes*d.size; b += 64 {
				PREFETCHT0(Mem{Base: row, Index: ahead, Scale: 1, Disp: b})
			}
			ADDQ(ldw, row)
		}
		Label(ready)
		for j := lanes; j < v.lanes; j++ {
			v.clear(j)
		}
	}
	loop("block", left, v.lanes, func() {
		load(func(m Mem, dst VecPhysical) { v.decode(d, m, dst) })
		for _, column := range v.transpose() {
			store(column)
		}
		ADDQ(I32(int32(v.lanes*d.size)), w)
	})
	if v.wide {
		unlessZero("tail", left, func() {
			mask := v.tailMask(left, 0)
			if d.half != nil {
				mask = v.pairMask(left)
			}
			load(func(m Mem, dst VecPhysical) { v.decodeTail(d, m, mask, dst) })
			for _, column := range v.transpose() {
				store(column)
				DECQ(left)
				JZ(LabelRef("done"))
			}
		})
	}
	Label("done")
	finish()
}

func (v isa) wholeColumns() string {
	if v.wide {
		return ""
	}
	return fmt.Sprintf(" k is a multiple of %d.", v.lanes)
}

// transpose turns the square in the first registers, one row each, and returns
// the registers of its columns. Pairs of rows are interleaved by elements,
// then by pairs of elements, which leaves each quarter of a column in a
// 128-bit lane; the lanes are then sorted.
func (v isa) transpose() []VecPhysical {
	bank := func(b, i int) VecPhysical { return v.reg(b*v.lanes + i) }
	for i := 0; i < v.lanes; i += 2 {
		VUNPCKLPS(bank(0, i+1), bank(0, i), bank(1, i))
		VUNPCKHPS(bank(0, i+1), bank(0, i), bank(1, i+1))
	}
	for g := 0; g < v.lanes; g += 4 {
		for h := range 2 {
			VUNPCKLPD(bank(1, g+2+h), bank(1, g+h), bank(0, g+2*h))
			VUNPCKHPD(bank(1, g+2+h), bank(1, g+h), bank(0, g+2*h+1))
		}
	}
	columns := make([]VecPhysical, v.lanes)
	if !v.wide {
		for c := range 4 {
			VPERM2F128(U8(0x20), bank(0, 4+c), bank(0, c), bank(1, c))
			VPERM2F128(U8(0x31), bank(0, 4+c), bank(0, c), bank(1, 4+c))
			columns[c], columns[4+c] = bank(1, c), bank(1, 4+c)
		}
		return columns
	}
	const even, odd = U8(0x88), U8(0xdd) // lanes 0 and 2, lanes 1 and 3, of two registers
	for c := range 4 {
		VSHUFF32X4(even, bank(0, 4+c), bank(0, c), bank(1, c))
		VSHUFF32X4(odd, bank(0, 4+c), bank(0, c), bank(1, 4+c))
		VSHUFF32X4(even, bank(0, 12+c), bank(0, 8+c), bank(1, 8+c))
		VSHUFF32X4(odd, bank(0, 12+c), bank(0, 8+c), bank(1, 12+c))
	}
	for c := range 4 {
		VSHUFF32X4(even, bank(1, 8+c), bank(1, c), bank(0, c))
		VSHUFF32X4(even, bank(1, 12+c), bank(1, 4+c), bank(0, 4+c))
		VSHUFF32X4(odd, bank(1, 8+c), bank(1, c), bank(0, 8+c))
		VSHUFF32X4(odd, bank(1, 12+c), bank(1, 4+c), bank(0, 12+c))
	}
	for c := range v.lanes {
		columns[c] = bank(0, c)
	}
	return columns
}

// packCols copies rows of n numbers into rows of a whole panel.
func (v isa) packCols() {
	v.function("packCols", "(dst, b *float32, ldb int, k, n int)", "copies k rows of n numbers, 1 to a panel's width, and pads them with zeros; ldb is in bytes.")
	dst, b, ldb, k := param("dst"), param("b"), param("ldb"), param("k")
	masks := v.columnMasks(param("n"), []VecPhysical{v.reg(2), v.reg(3)})
	loop("row", k, 1, func() {
		for c, mask := range masks {
			v.loadTail(Mem{Base: b, Disp: c * v.bytes()}, mask, v.reg(c))
			VMOVUPS(v.reg(c), Mem{Base: dst, Disp: c * v.bytes()})
		}
		ADDQ(ldb, b)
		ADDQ(I32(int32(2*v.bytes())), dst)
	})
	finish()
}

// packColPairs rounds two rows to bf16 and interleaves them.
func (v isa) packColPairs() {
	v.function("packColPairs", "(dst, b *float32, ldb int, k, n int)",
		"packs k rows of n numbers, 1 to a panel's width, in pairs of rows rounded to bf16 and padded with zeros; ldb is in bytes.")
	dst, b, ldb, k := param("dst"), param("b"), param("ldb"), param("k")
	masks := v.columnMasks(param("n"), nil)
	low, high := v.reg(0), v.reg(1)
	// column rounds both rows to one vector, then puts its halves side by side.
	column := func(c int, two bool) {
		v.loadTail(Mem{Base: b, Disp: c * v.bytes()}, masks[c], low)
		v.clear(1)
		if two {
			v.loadTail(Mem{Base: b, Index: ldb, Scale: 1, Disp: c * v.bytes()}, masks[c], high)
		}
		roundBF16.emit(low, high, low)
		VEXTRACTI64X4(U8(1), low, high.AsY())
		VPMOVZXWD(high.AsY(), high)
		VPMOVZXWD(low.AsY(), low)
		VPSLLD(U8(16), high, high)
		VPORD(high, low, low)
		VMOVUPS(low, Mem{Base: dst, Disp: c * v.bytes()})
	}
	loop("rows", k, 2, func() {
		for c := range masks {
			column(c, true)
		}
		LEAQ(Mem{Base: b, Index: ldb, Scale: 2}, b)
		ADDQ(I32(int32(2*v.bytes())), dst)
	})
	unlessZero("row", k, func() {
		for c := range masks {
			column(c, false)
		}
	})
	finish()
}
