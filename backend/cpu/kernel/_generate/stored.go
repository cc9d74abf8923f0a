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
	size int    // bytes of a lane's worth
	half *dtype // of a pair, what its halves are stored in before they are rounded to bf16
}

var dtypes = []dtype{{name: "Float32", size: 4}, {name: "BFloat16", size: 2}, {name: "Float16", size: 2}}

// pairs are two numbers that are rounded to bf16 and fill a lane. Those of
// bf16 need no rounding: they are moved as one f32.
var pairs = []dtype{{name: "Float32Pairs", size: 8, half: &dtypes[0]}, {name: "Float16Pairs", size: 4, half: &dtypes[2]}}

// int8s are read only, by one row of activations.
var int8s = dtype{name: "Int8", size: 1}

func (v isa) stored() {
	for _, d := range dtypes {
		for rows := 1; rows <= v.gemvRows(); rows++ {
			v.gemv(d, rows)
		}
		for rows := 1; rows <= v.accumulateRows(); rows++ {
			v.accumulate(d, rows)
		}
	}
	v.gemv(int8s, 1)
	for _, d := range dtypes[1:] {
		v.widen(d)
		v.narrow(d)
	}
}

// decode widens one vector of stored numbers.
func (v isa) decode(d dtype, m Mem, dst VecPhysical) {
	if d.half != nil {
		v.decode(*d.half, m, dst)
		v.decode(*d.half, m.Offset(v.lanes*d.half.size), v.pairHigh())
		roundBF16.emit(dst, v.pairHigh(), dst)
		return
	}
	switch d.name {
	case "Float32":
		VMOVUPS(m, dst)
	case "BFloat16":
		VPMOVZXWD(m, dst)
		VPSLLD(U8(16), dst, dst)
	case "Float16":
		VCVTPH2PS(m, dst)
	case "Int8":
		VPMOVSXBD(m, dst)
		VCVTDQ2PS(dst, dst)
	}
}

// decodeTail widens what is left of a row under a mask, zeros elsewhere.
func (v isa) decodeTail(d dtype, m Mem, t tail, dst VecPhysical) {
	if d.half != nil {
		v.decodeTail(*d.half, m, t, dst)
		v.decodeTail(*d.half, m.Offset(v.lanes*d.half.size), tail{k: t.high}, v.pairHigh())
		roundBF16.emit(dst, v.pairHigh(), dst)
		return
	}
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
	case "Int8":
		VPMOVSXBD_Z(m, t.k, dst)
		VCVTDQ2PS(dst, dst)
	}
}

// pairHigh holds the second half of a vector's pairs before they are rounded.
func (v isa) pairHigh() VecPhysical { return v.reg(v.registers - 1) }

// gemvRows is the largest number of activation rows that go through the
// weights together.
func (v isa) gemvRows() int {
	if v.wide {
		return 8
	}
	return 3
}

// gemvShape returns how many weight rows go together with so many activation
// rows, and how many sums each pair keeps. One activation row waits for memory,
// which delivers a single stream fastest; more compute, and want each vector
// loaded to serve several multiply-adds.
func (v isa) gemvShape(rows int) (together, sums int) {
	switch {
	case rows == 1:
		return 1, 64 / v.lanes
	case rows <= 6:
		return 4, 1
	}
	return 2, 1
}

// fetchAhead is how many bytes lie between the weights in use and those asked
// of memory, beyond the rows in use.
const fetchAhead = 4096

// gemv multiplies n weight rows with a fixed number of activation rows.
func (v isa) gemv(d dtype, rows int) {
	doc := fmt.Sprintf("sets y[r,j] = Σ x[r,p]·w[j,p] for %d rows of x and n rows of w; ldy, ldx and ldw are in bytes.", rows)
	if !v.wide {
		doc += fmt.Sprintf(" k is at least %d.", v.lanes)
	}
	v.function(fmt.Sprintf("gemv%d%s", rows, d.name), "(y *float32, ldy int, x *float32, ldx int, w *byte, ldw int, n, k int)", doc)
	n, w := param("n"), param("w")
	together, sums := v.gemvShape(rows)
	if together > 1 {
		loop("rows", n, together, func() { v.gemvBlock(d, rows, together, sums, w) })
	}
	loop("row", n, 1, func() { v.gemvBlock(d, rows, 1, sums, w) })
	finish()
}

// rowsOf addresses up to 8 rows of a matrix by few registers.
type rowsOf struct {
	base [3]GPVirtual // rows 0, 3 and 6
	ld   GPVirtual    // bytes from row to row
}

func newRows(base, ld GPVirtual, rows int) rowsOf {
	r := rowsOf{ld: ld}
	for i := range (rows + 2) / 3 {
		r.base[i] = GP64()
		if i == 0 {
			MOVQ(base, r.base[i])
			continue
		}
		LEAQ(Mem{Base: r.base[i-1], Index: ld, Scale: 1}, r.base[i])
		LEAQ(Mem{Base: r.base[i], Index: ld, Scale: 2}, r.base[i])
	}
	return r
}

func (r rowsOf) at(row, disp int) Mem {
	m := Mem{Base: r.base[row/3], Disp: disp}
	if row%3 > 0 {
		m.Index, m.Scale = r.ld, uint8(row%3)
	}
	return m
}

func (r rowsOf) advance(bytes int) {
	for _, base := range r.base {
		if base != nil {
			ADDQ(I32(int32(bytes)), base)
		}
	}
}

// gemvBlock handles the next count weight rows and moves w and y past them.
func (v isa) gemvBlock(d dtype, rows, count, sums int, w GPVirtual) {
	sum := func(u, r, j int) VecPhysical { return v.reg((u*rows+r)*count + j) }
	free := sums * rows * count
	x := func(r int) VecPhysical { return v.reg(free + r) }
	weight := v.reg(free + rows)
	for i := range free {
		v.clear(i)
	}
	ldw := param("ldw")
	ws := newRows(w, ldw, count)
	ldx := ldw // one row needs no distance
	if rows > 1 {
		ldx = param("ldx")
	}
	xs := newRows(param("x"), ldx, rows)
	ahead := GP64()
	LEAQ(Mem{Base: w, Index: ldw, Scale: uint8(count), Disp: fetchAhead}, ahead)

	// step handles as many vectors of columns, each with sums of its own.
	step := func(vectors int) {
		bytes := vectors * count * v.lanes * d.size
		for b := 0; b < bytes; b += 64 {
			PREFETCHT0(Mem{Base: ahead, Disp: b})
		}
		ADDQ(I32(int32(bytes)), ahead)
		for u := range vectors {
			for r := range rows {
				VMOVUPS(xs.at(r, u*v.bytes()), x(r))
			}
			for j := range count {
				m := ws.at(j, u*v.lanes*d.size)
				if d.size == 4 && rows == 1 {
					VFMADD231PS(m, x(0), sum(u, 0, j))
					continue
				}
				v.decode(d, m, weight)
				for r := range rows {
					VFMADD231PS(x(r), weight, sum(u, r, j))
				}
			}
		}
		xs.advance(vectors * v.bytes())
		ws.advance(vectors * v.lanes * d.size)
	}
	left := param("k")
	if sums > 1 {
		loop("columns", left, sums*v.lanes, func() { step(sums) })
	}
	loop("column", left, v.lanes, func() { step(1) })
	unlessZero("tail", left, func() {
		mask := v.gemvTailMask(d, left, xs, ws)
		for r := range rows {
			if v.wide {
				VMOVUPS_Z(xs.at(r, 0), mask.k, x(r))
			} else {
				VMOVUPS(xs.at(r, 0), x(r))
				VANDPS(mask.m, x(r), x(r))
			}
		}
		for j := range count {
			v.decodeTail(d, ws.at(j, 0), mask, weight)
			for r := range rows {
				VFMADD231PS(x(r), weight, sum(0, r, j))
			}
		}
	})

	for half := sums / 2; half > 0; half /= 2 {
		for i := range half * rows * count {
			VADDPS(v.reg(i+half*rows*count), v.reg(i), v.reg(i))
		}
	}
	v.storeSums(rows, count, func(r, j int) VecPhysical { return sum(0, r, j) }, v.reg(free))
	LEAQ(Mem{Base: w, Index: ldw, Scale: uint8(count)}, w)
}

// storeSums adds up the lanes of each sum and stores the results in count
// columns of y, which it moves along in its place on the stack.
func (v isa) storeSums(rows, count int, sum func(r, j int) VecPhysical, spare VecPhysical) {
	y := param("y")
	next := GP64()
	LEAQ(Mem{Base: y, Disp: 4 * count}, next)
	Store(next, Param("y"))
	for r := range rows {
		s := make([]VecPhysical, count)
		for j := range s {
			s[j] = sum(r, j)
		}
		move := map[int]func(...Op){4: VMOVUPS, 2: VMOVSD, 1: VMOVSS}[count]
		move(v.reduce(s, spare), Mem{Base: y})
		if r+1 < rows {
			ldy := param("ldy")
			ADDQ(ldy, y)
		}
	}
}

// gemvTailMask masks the last left columns. AVX2 steps back to a whole vector
// that ends with the row and masks off the columns already counted.
func (v isa) gemvTailMask(d dtype, left GPVirtual, xs, ws rowsOf) tail {
	if v.wide {
		return v.tailMask(left, 0)
	}
	back := GP64()
	LEAQ(Mem{Base: left, Disp: -v.lanes}, back)
	for _, m := range []struct {
		rows rowsOf
		size int
	}{{xs, 4}, {ws, d.size}} {
		for _, base := range m.rows.base {
			if base != nil {
				LEAQ(Mem{Base: base, Index: back, Scale: uint8(m.size)}, base)
			}
		}
	}
	address := GP64()
	LEAQ(maskTable(), address)
	return tail{m: Mem{Base: address, Index: left, Scale: 4, Disp: 32}}
}

// reduce adds the lanes of 1, 2 or 4 vectors and returns the register whose
// first lanes hold the sums. AVX-512 overwrites the first registers, since
// the older VHADDPS reaches only 16.
func (v isa) reduce(s []VecPhysical, spare VecPhysical) Register {
	low := make([]Register, len(s))
	for i, s := range s {
		low[i] = s.AsY()
		if v.wide {
			VEXTRACTF64X4(U8(1), s, spare.AsY())
			VADDPS(spare.AsY(), low[i], ymm[i])
			low[i] = ymm[i].AsY()
		}
	}
	for range 2 { // each step adds neighbours
		if len(low) == 1 {
			VHADDPS(low[0], low[0], low[0])
			continue
		}
		for i := range len(low) / 2 {
			VHADDPS(low[2*i+1], low[2*i], low[i])
		}
		low = low[:len(low)/2]
	}
	result := s[0].AsX()
	if v.wide {
		result = X0
		VEXTRACTF32X4(U8(1), Y0, spare.AsX())
	} else {
		VEXTRACTF128(U8(1), low[0], spare.AsX())
	}
	VADDPS(spare.AsX(), result, result)
	return result
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
	block := func(vectors int, mask *tail) {
		v.accumulateBlock(d, rows, vectors, mask, y, column)
		ADDQ(I32(int32(vectors*v.bytes())), y)
		ADDQ(I32(int32(vectors*v.lanes*d.size)), column)
	}
	if rows == 1 && v.wide { // more columns, to wait less for each sum
		loop("block8", left, 8*v.lanes, func() { block(8, nil) })
	}
	loop("block4", left, 4*v.lanes, func() { block(4, nil) })
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
