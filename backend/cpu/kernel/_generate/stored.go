package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// dtype is a stored number format.
type dtype struct {
	name string
	size int
}

var dtypes = []dtype{{"Float32", 4}, {"BFloat16", 2}, {"Float16", 2}}

func (v isa) stored() {
	for _, d := range dtypes {
		for rows := 1; rows <= v.gemvRows(); rows++ {
			v.gemv(d, rows)
		}
		for rows := 1; rows <= v.accumulateRows(); rows++ {
			v.accumulate(d, rows)
		}
	}
	for _, d := range dtypes[1:] {
		v.widen(d)
		v.narrow(d)
	}
}

// decode widens one vector of stored numbers.
func (v isa) decode(d dtype, m Mem, dst VecPhysical) {
	switch d.name {
	case "Float32":
		VMOVUPS(m, dst)
	case "BFloat16":
		VPMOVZXWD(m, dst)
		VPSLLD(U8(16), dst, dst)
	case "Float16":
		VCVTPH2PS(m, dst)
	}
}

// decodeTail widens what is left of a row under a mask, zeros elsewhere.
func (v isa) decodeTail(d dtype, m Mem, t tail, dst VecPhysical) {
	if !v.wide {
		v.decode(d, m, dst)
		VANDPS(t.m, dst, dst)
		return
	}
	switch d.name {
	case "Float32":
		VMOVUPS_Z(m, t.k, dst)
	case "BFloat16":
		VPMOVZXWD_Z(m, t.k, dst)
		VPSLLD(U8(16), dst, dst)
	case "Float16":
		VCVTPH2PS_Z(m, t.k, dst)
	}
}

// gemvRows is the largest number of activation rows whose sums with 4 weight
// rows stay in registers.
func (v isa) gemvRows() int {
	if v.wide {
		return 4
	}
	return 3
}

// gemv multiplies n weight rows with a fixed number of activation rows, 4
// weight rows at a time. One activation row alone waits for memory: it keeps
// two sums per weight row and fetches the next 4 rows ahead.
func (v isa) gemv(d dtype, rows int) {
	doc := fmt.Sprintf("sets y[r,j] = Σ x[r,p]·w[j,p] for %d rows of x and n rows of w; ldy, ldx and ldw are in bytes.", rows)
	if !v.wide {
		doc += fmt.Sprintf(" k is at least %d.", v.lanes)
	}
	v.function(fmt.Sprintf("gemv%d%s", rows, d.name), "(y *float32, ldy int, x *float32, ldx int, w *byte, ldw int, n, k int)", doc)
	n := param("n")
	w := param("w")
	loop("rows4", n, 4, func() { v.gemvBlock(d, rows, 4, w) })
	loop("rows1", n, 1, func() { v.gemvBlock(d, rows, 1, w) })
	VZEROUPPER()
	RET()
}

// gemvBlock handles the next count weight rows and moves w and y past them.
func (v isa) gemvBlock(d dtype, rows, count int, w GPVirtual) {
	unroll := 1
	if rows == 1 {
		unroll = 2
	}
	sum := func(u, r, j int) VecPhysical { return v.reg((u*rows+r)*count + j) }
	for i := range unroll * rows * count {
		v.clear(i)
	}
	free := unroll * rows * count // the first free register
	xs, weight := v.reg(free), v.reg(free+rows)

	// Row pointers.
	ws, x := make([]GPVirtual, count), make([]GPVirtual, rows)
	ldw := param("ldw")
	ws[0] = w
	for j := 1; j < count; j++ {
		ws[j] = GP64()
		LEAQ(Mem{Base: ws[j-1], Index: ldw, Scale: 1}, ws[j])
	}
	x[0] = param("x")
	if rows > 1 {
		ldx := param("ldx")
		for r := 1; r < rows; r++ {
			x[r] = GP64()
			LEAQ(Mem{Base: x[r-1], Index: ldx, Scale: 1}, x[r])
		}
	}
	var ahead []GPVirtual // the rows of the next block
	if rows == 1 && count == 4 {
		ahead = make([]GPVirtual, count)
		for j := range ahead {
			ahead[j] = GP64()
			LEAQ(Mem{Base: ws[j], Index: ldw, Scale: 4}, ahead[j])
		}
	}

	p, left := GP64(), param("k")
	XORQ(p, p)
	at := func(base GPVirtual, size, u int) Mem {
		return Mem{Base: base, Index: p, Scale: uint8(size), Disp: u * v.lanes * size}
	}
	step := func(u int) {
		for r := range rows {
			VMOVUPS(at(x[r], 4, u), v.reg(free+r))
		}
		for j := range count {
			m := at(ws[j], d.size, u)
			if d.size == 4 && rows == 1 {
				VFMADD231PS(m, xs, sum(u, 0, j))
				continue
			}
			v.decode(d, m, weight)
			for r := range rows {
				VFMADD231PS(v.reg(free+r), weight, sum(u, r, j))
			}
		}
	}
	if unroll > 1 {
		loop("columns2", left, unroll*v.lanes, func() {
			for u := range unroll {
				if ahead != nil && (d.size == 4 && v.wide || u == 0) {
					for j := range count {
						PREFETCHT0(at(ahead[j], d.size, u))
					}
				}
				step(u)
			}
			ADDQ(I32(int32(unroll*v.lanes)), p)
		})
	}
	loop("columns", left, v.lanes, func() {
		step(0)
		ADDQ(I32(int32(v.lanes)), p)
	})
	unlessZero("tail", left, func() {
		mask := v.gemvTailMask(left, p)
		for r := range rows {
			if v.wide {
				VMOVUPS_Z(at(x[r], 4, 0), mask.k, v.reg(free+r))
			} else {
				VMOVUPS(at(x[r], 4, 0), v.reg(free+r))
				VANDPS(mask.m, v.reg(free+r), v.reg(free+r))
			}
		}
		for j := range count {
			v.decodeTail(d, at(ws[j], d.size, 0), mask, weight)
			for r := range rows {
				VFMADD231PS(v.reg(free+r), weight, sum(0, r, j))
			}
		}
	})

	if unroll > 1 {
		for j := range count {
			VADDPS(sum(1, 0, j), sum(0, 0, j), sum(0, 0, j))
		}
	}
	y, ldy := param("y"), param("ldy")
	for r := range rows {
		var s []VecPhysical
		for j := range count {
			s = append(s, sum(0, r, j))
		}
		v.reduce(s, v.reg(free))
		if count == 4 {
			VMOVUPS(s[0].AsX(), Mem{Base: y})
		} else {
			VMOVSS(s[0].AsX(), Mem{Base: y})
		}
		if r+1 < rows {
			ADDQ(ldy, y)
		}
	}
	// The arguments on the stack move along.
	Load(Param("y"), y)
	ADDQ(I32(int32(4*count)), y)
	Store(y, Param("y"))
	LEAQ(Mem{Base: ws[count-1], Index: ldw, Scale: 1}, w)
}

// gemvTailMask masks the last left columns. AVX2 steps back to a whole vector
// that ends with the row and masks off the columns already counted.
func (v isa) gemvTailMask(left, p GPVirtual) tail {
	if v.wide {
		return v.tailMask(left, 0)
	}
	SUBQ(I32(8), p)
	ADDQ(left, p)
	address := GP64()
	LEAQ(maskTable(), address)
	return tail{m: Mem{Base: address, Index: left, Scale: 4, Disp: 32}}
}

// reduce adds the lanes of 1 or 4 vectors; the sums end in s[0].
func (v isa) reduce(s []VecPhysical, spare VecPhysical) {
	low := make([]Register, len(s))
	for i, s := range s {
		low[i] = s.AsY()
		if v.wide {
			VEXTRACTF64X4(U8(1), s, spare.AsY())
			VADDPS(spare.AsY(), low[i], low[i])
		}
	}
	if len(s) == 4 {
		VHADDPS(low[1], low[0], low[0])
		VHADDPS(low[3], low[2], low[2])
		VHADDPS(low[2], low[0], low[0])
	} else {
		VHADDPS(low[0], low[0], low[0])
		VHADDPS(low[0], low[0], low[0])
	}
	if v.wide { // the older instruction reaches registers 0 to 15 only
		VEXTRACTF32X4(U8(1), low[0], spare.AsX())
	} else {
		VEXTRACTF128(U8(1), low[0], spare.AsX())
	}
	VADDPS(spare.AsX(), s[0].AsX(), s[0].AsX())
}

func (v isa) accumulateRows() int {
	if v.wide {
		return 4
	}
	return 2
}

// accumulate adds n rows of v, each times a number of p, to a fixed number of
// rows of y: blocks of columns stay in registers while v goes by.
func (v isa) accumulate(d dtype, rows int) {
	doc := fmt.Sprintf("adds y[r,:] += Σ p[r,j]·v[j,:] for %d rows of y and n rows of v; ldy, ldp and ldv are in bytes.", rows)
	if !v.wide {
		doc += " d is a multiple of 8."
	}
	v.function(fmt.Sprintf("accumulate%d%s", rows, d.name), "(y *float32, ldy int, p *float32, ldp int, v *byte, ldv int, n, d int)", doc)
	left, y, column := param("d"), param("y"), param("v")
	wide := 4
	if rows == 1 && v.wide {
		wide = 8
	}
	block := func(vectors int, mask *tail) {
		v.accumulateBlock(d, rows, vectors, mask, y, column)
		ADDQ(I32(int32(vectors*v.bytes())), y)
		ADDQ(I32(int32(vectors*v.lanes*d.size)), column)
	}
	loop("block", left, wide*v.lanes, func() { block(wide, nil) })
	loop("vector", left, v.lanes, func() { block(1, nil) })
	if v.wide {
		unlessZero("tail", left, func() {
			mask := v.tailMask(left, 0)
			block(1, &mask)
		})
	}
	VZEROUPPER()
	RET()
}

func (v isa) accumulateBlock(d dtype, rows, vectors int, mask *tail, y, column GPVirtual) {
	sum := func(r, c int) VecPhysical { return v.reg(r*vectors + c) }
	free := rows * vectors
	move := func(store bool) {
		row := GP64()
		MOVQ(y, row)
		for r := range rows {
			for c := range vectors {
				m := Mem{Base: row, Disp: c * v.bytes()}
				switch {
				case mask != nil && store:
					v.storeTail(sum(r, c), *mask, m)
				case mask != nil:
					v.loadTail(m, *mask, sum(r, c))
				case store:
					VMOVUPS(sum(r, c), m)
				default:
					VMOVUPS(m, sum(r, c))
				}
			}
			if r+1 < rows {
				ldy := param("ldy")
				ADDQ(ldy, row)
			}
		}
	}
	move(false)
	p := make([]GPVirtual, rows)
	p[0] = param("p")
	for r := 1; r < rows; r++ {
		ldp := param("ldp")
		p[r] = GP64()
		LEAQ(Mem{Base: p[r-1], Index: ldp, Scale: 1}, p[r])
	}
	row, ldv, n, j := GP64(), param("ldv"), param("n"), GP64()
	MOVQ(column, row)
	XORQ(j, j)
	loop("sum", n, 1, func() {
		for c := range vectors {
			m := Mem{Base: row, Disp: c * v.lanes * d.size}
			if mask != nil {
				v.decodeTail(d, m, *mask, v.reg(free+c))
			} else {
				v.decode(d, m, v.reg(free+c))
			}
		}
		factor := v.reg(free + vectors)
		for r := range rows {
			VBROADCASTSS(Mem{Base: p[r], Index: j, Scale: 4}, factor)
			for c := range vectors {
				VFMADD231PS(v.reg(free+c), factor, sum(r, c))
			}
		}
		ADDQ(ldv, row)
		INCQ(j)
	})
	move(true)
}

// widen converts n stored numbers to f32; AVX2 wants whole vectors.
func (v isa) widen(d dtype) {
	v.function("widen"+d.name, "(dst *float32, src *byte, n int)", "converts n elements to f32."+v.wholeVectors())
	dst, src, n := param("dst"), param("src"), param("n")
	vectors := func(count int) func() {
		return func() {
			for i := range count {
				v.decode(d, Mem{Base: src, Disp: i * v.lanes * d.size}, v.reg(i))
				VMOVUPS(v.reg(i), Mem{Base: dst, Disp: i * v.bytes()})
			}
			ADDQ(I32(int32(count*v.lanes*d.size)), src)
			ADDQ(I32(int32(count*v.bytes())), dst)
		}
	}
	loop("four", n, 4*v.lanes, vectors(4))
	loop("one", n, v.lanes, vectors(1))
	if v.wide {
		unlessZero("tail", n, func() {
			mask := v.tailMask(n, 0)
			v.decodeTail(d, Mem{Base: src}, mask, v.reg(0))
			v.storeTail(v.reg(0), mask, Mem{Base: dst})
		})
	}
	VZEROUPPER()
	RET()
}

func (v isa) wholeVectors() string {
	if v.wide {
		return ""
	}
	return fmt.Sprintf(" n is a multiple of %d.", v.lanes)
}

// narrow rounds n numbers to a stored dtype of 2 bytes; AVX2 wants whole vectors.
func (v isa) narrow(d dtype) {
	v.function("narrow"+d.name, "(dst *byte, src *float32, n int)", "rounds n elements to the dtype."+v.wholeVectors())
	dst, src, n := param("dst"), param("src"), param("n")
	vector := func(mask *tail) {
		x := v.reg(0)
		if mask != nil {
			v.loadTail(Mem{Base: src}, *mask, x)
		} else {
			VMOVUPS(Mem{Base: src}, x)
		}
		m := Mem{Base: dst}
		switch {
		case d.name == "Float16" && mask != nil:
			VCVTPS2PH(U8(0), x, mask.k, m)
		case d.name == "Float16":
			VCVTPS2PH(U8(0), x, m)
		default:
			v.roundBFloat16(x)
			switch {
			case mask != nil:
				VPMOVDW(x, mask.k, m)
			case v.wide:
				VPMOVDW(x, m)
			default:
				VEXTRACTI128(U8(1), x, X1)
				VPACKUSDW(X1, x.AsX(), x.AsX())
				VMOVDQU(x.AsX(), m)
			}
		}
	}
	loop("one", n, v.lanes, func() {
		vector(nil)
		ADDQ(I32(int32(v.bytes())), src)
		ADDQ(I32(int32(2*v.lanes)), dst)
	})
	if v.wide {
		unlessZero("tail", n, func() {
			mask := v.tailMask(n, 0)
			vector(&mask)
		})
	}
	VZEROUPPER()
	RET()
}

// roundBFloat16 leaves the bfloat16 nearest to x in the low half of each lane:
// ties go to even; a NaN becomes quiet. It uses registers 1 and 2.
func (v isa) roundBFloat16(x VecPhysical) {
	up, quiet := v.reg(1), v.reg(2)
	VPSRLD(U8(16), x, up)
	if v.wide {
		k := K()
		VCMPPS(U8(3), x, x, k) // unordered: a NaN
		VPORD(v.bits(0x40), up, quiet)
		VPANDD(v.bits(1), up, up)
		VPADDD(v.bits(0x7fff), up, up)
		VPADDD(up, x, x)
		VPSRLD(U8(16), x, x)
		VMOVDQA32(quiet, k, x)
		return
	}
	isNaN := v.reg(3)
	VCMPPS(U8(3), x, x, isNaN)
	VPOR(v.bits(0x40), up, quiet)
	VPAND(v.bits(1), up, up)
	VPADDD(v.bits(0x7fff), up, up)
	VPADDD(up, x, x)
	VPSRLD(U8(16), x, x)
	VBLENDVPS(isNaN, quiet, x, x)
}
