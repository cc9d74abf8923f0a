package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func (v isa) rows() {
	v.binary("add", "x + y", func(x, y VecPhysical) { VADDPS(y, x, x) })
	v.binary("sub", "x - y", func(x, y VecPhysical) { VSUBPS(y, x, x) })
	v.binary("mul", "x · y", func(x, y VecPhysical) { VMULPS(y, x, x) })
	v.binary("div", "x / y", func(x, y VecPhysical) { VDIVPS(y, x, x) })
	v.binary("max", "the larger of x and y, NaN if either is", func(x, y VecPhysical) { v.pick(VMAXPS, x, y) })
	v.binary("min", "the smaller of x and y, NaN if either is", func(x, y VecPhysical) { v.pick(VMINPS, x, y) })
	v.scalar("addScalar", "x + y", func(x, y VecPhysical) { VADDPS(y, x, x) })
	v.scalar("mulScalar", "x · y", func(x, y VecPhysical) { VMULPS(y, x, x) })
	v.axpy()
	v.dot()
	v.addSum()
	v.sum()
	v.sumSquares()
	v.maxOf()
	v.indexOf()
	v.rotate()
	v.norm(false)
	v.norm(true)
}

// A pass describes a loop over the elements of several rows: arrays are read
// into registers 0, 1, ..., body computes, and results are written.
type pass struct {
	unroll int         // vectors handled at once
	in     []GPVirtual // rows read, in this order
	out    []GPVirtual // rows written, which may be among those of in
	n      Register    // elements left
	// body computes vector u of an unrolled step from the registers that row
	// holds and returns the vectors for out.
	body func(u int, row []VecPhysical) []VecPhysical
	// together, if not nil, replaces body for the vectors of a whole step, in place.
	together func(rows [][]VecPhysical)
	// last, if not nil, replaces body for the incomplete vector at the end.
	last func(t tail, row []VecPhysical) []VecPhysical
	// registers used for each vector beyond the rows.
	temporaries int
}

// run emits the loops. Vector u uses registers from u·(rows + temporaries) on.
func (v isa) run(p pass) {
	width := len(p.in) + p.temporaries
	vectors := func(count int, mask *tail) {
		results := make([][]VecPhysical, count)
		for u := range count {
			row := make([]VecPhysical, width)
			for i := range row {
				row[i] = v.reg(u*width + i)
			}
			for i, base := range p.in {
				m := Mem{Base: base, Disp: u * v.bytes()}
				if mask != nil {
					v.loadTail(m, *mask, row[i])
				} else {
					VMOVUPS(m, row[i])
				}
			}
			switch {
			case mask != nil && p.last != nil:
				results[u] = p.last(*mask, row)
			case p.together != nil:
				results[u] = row
			default:
				results[u] = p.body(u, row)
			}
		}
		if p.together != nil && (mask == nil || p.last == nil) {
			p.together(results)
		}
		for u := range count {
			for i, base := range p.out {
				m := Mem{Base: base, Disp: u * v.bytes()}
				if mask != nil {
					v.storeTail(results[u][i], *mask, m)
				} else {
					VMOVUPS(results[u][i], m)
				}
			}
		}
		if mask == nil {
			moved := map[GPVirtual]bool{}
			for _, base := range append(append([]GPVirtual{}, p.in...), p.out...) {
				if !moved[base] {
					ADDQ(I32(int32(count*v.bytes())), base)
					moved[base] = true
				}
			}
		}
	}
	if p.unroll > 1 {
		loop("several", p.n, p.unroll*v.lanes, func() { vectors(p.unroll, nil) })
	}
	loop("one", p.n, v.lanes, func() { vectors(1, nil) })
	unlessZero("tail", p.n, func() {
		mask := v.tailMask(p.n, v.registers-1)
		vectors(1, &mask)
	})
}

// finish ends a function.
func finish() {
	VZEROUPPER()
	RET()
}

func (v isa) binary(name, what string, op func(x, y VecPhysical)) {
	v.function(name, "(dst, x, y *float32, n int)", "sets dst to "+what+".")
	dst, x, y := param("dst"), param("x"), param("y")
	v.run(pass{unroll: 2, in: []GPVirtual{x, y}, out: []GPVirtual{dst}, n: param("n"), temporaries: 1,
		body: func(_ int, row []VecPhysical) []VecPhysical {
			op(row[0], row[1])
			return row
		}})
	finish()
}

// pick applies op, which returns its second operand y if either is NaN, and
// then puts back x where x is NaN. It uses the register before the last one.
func (v isa) pick(op func(...Op), x, y VecPhysical) {
	if v.wide {
		k := K()
		VCMPPS(U8(3), x, x, k)
		op(y, x, y)
		VMOVAPS(x, k, y)
		VMOVAPS(y, x)
		return
	}
	isNaN := v.reg(v.registers - 2)
	VCMPPS(U8(3), x, x, isNaN)
	op(y, x, y)
	VBLENDVPS(isNaN, x, y, x)
}

func (v isa) scalar(name, what string, op func(x, y VecPhysical)) {
	v.function(name, "(dst, x *float32, y float32, n int)", "sets dst to "+what+".")
	dst, x, y := param("dst"), param("x"), v.broadcast("y", v.registers-2)
	v.run(pass{unroll: 4, in: []GPVirtual{x}, out: []GPVirtual{dst}, n: param("n"),
		body: func(_ int, row []VecPhysical) []VecPhysical {
			op(row[0], y)
			return row
		}})
	finish()
}

// broadcast copies an f32 argument to all lanes of register i.
func (v isa) broadcast(name string, i int) VecPhysical {
	at, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(at.Addr, v.reg(i))
	return v.reg(i)
}

func (v isa) axpy() {
	v.function("axpy", "(dst *float32, a float32, x *float32, n int)", "adds a·x to dst.")
	dst, a, x := param("dst"), v.broadcast("a", v.registers-2), param("x")
	v.run(pass{unroll: 4, in: []GPVirtual{dst, x}, out: []GPVirtual{dst}, n: param("n"),
		body: func(_ int, row []VecPhysical) []VecPhysical {
			VFMADD231PS(a, row[1], row[0])
			return row
		}})
	finish()
}

// sums returns and clears count registers below the two that are taken.
func (v isa) sums(count int) []VecPhysical {
	s := make([]VecPhysical, count)
	for i := range s {
		s[i] = v.reg(8 + i)
		v.clear(8 + i)
	}
	return s
}

// storeSum adds up the lanes of s and returns that.
func (v isa) storeSum(s []VecPhysical) {
	for half := len(s) / 2; half > 0; half /= 2 {
		for i := range half {
			VADDPS(s[i+half], s[i], s[i])
		}
	}
	Store(v.reduce(s[:1], v.reg(4)), ReturnIndex(0))
	finish()
}

func (v isa) dot() {
	v.function("dot", "(x, y *float32, n int) float32", "returns the sum of x·y.")
	x, y, s := param("x"), param("y"), v.sums(4)
	v.run(pass{unroll: 4, in: []GPVirtual{x, y}, n: param("n"),
		body: func(u int, row []VecPhysical) []VecPhysical {
			VFMADD231PS(row[0], row[1], s[u])
			return nil
		}})
	v.storeSum(s)
}

func (v isa) addSum() {
	v.function("addSum", "(x, y *float32, n int) float32", "returns the sum of x+y.")
	x, y, s := param("x"), param("y"), v.sums(4)
	v.run(pass{unroll: 4, in: []GPVirtual{x, y}, n: param("n"),
		body: func(u int, row []VecPhysical) []VecPhysical {
			VADDPS(row[0], row[1], row[0])
			VADDPS(row[0], s[u], s[u])
			return nil
		}})
	v.storeSum(s)
}

func (v isa) sum() {
	v.function("sum", "(x *float32, n int) float32", "returns the sum of x.")
	x, s := param("x"), v.sums(4)
	v.run(pass{unroll: 4, in: []GPVirtual{x}, n: param("n"),
		body: func(u int, row []VecPhysical) []VecPhysical {
			VADDPS(row[0], s[u], s[u])
			return nil
		}})
	v.storeSum(s)
}

func (v isa) sumSquares() {
	v.function("sumSquares", "(x *float32, mean float32, n int) float32", "returns the sum of (x-mean)².")
	x, mean, s := param("x"), v.broadcast("mean", v.registers-2), v.sums(4)
	v.run(pass{unroll: 4, in: []GPVirtual{x}, n: param("n"),
		body: func(u int, row []VecPhysical) []VecPhysical {
			VSUBPS(mean, row[0], row[0])
			VFMADD231PS(row[0], row[0], s[u])
			return nil
		},
		last: func(t tail, row []VecPhysical) []VecPhysical {
			if v.wide {
				VSUBPS_Z(mean, row[0], t.k, row[0])
			} else {
				VSUBPS(mean, row[0], row[0])
				VANDPS(t.m, row[0], row[0])
			}
			VFMADD231PS(row[0], row[0], s[0])
			return nil
		}})
	v.storeSum(s)
}

// maxOf keeps the largest elements and, since VMAXPS forgets a NaN, a note of
// those beside them.
func (v isa) maxOf() {
	v.function("maxOf", "(x *float32, n int) float32", "returns the largest of x, NaN if there is one, -Inf if there are none.")
	x := param("x")
	const lowest = 0xff800000
	s := make([]VecPhysical, 4)
	for i := range s {
		s[i] = v.reg(8 + i)
		VMOVUPS(v.bits(lowest), s[i])
	}
	// VMAXPS returns its second source if either is NaN: the running maximum
	// stays there. Not-a-number lanes gather in seen.
	seen := v.reg(12)
	v.clear(12)
	note := func(x VecPhysical) {
		if v.wide {
			k := K()
			VCMPPS(U8(3), x, x, k)
			VMOVAPS(x, k, seen)
			return
		}
		VCMPPS(U8(3), x, x, v.reg(13))
		VORPS(v.reg(13), seen, seen)
	}
	v.run(pass{unroll: 4, in: []GPVirtual{x}, n: param("n"),
		body: func(u int, row []VecPhysical) []VecPhysical {
			note(row[0])
			VMAXPS(s[u], row[0], s[u])
			return nil
		},
		last: func(t tail, row []VecPhysical) []VecPhysical {
			note(row[0])
			if v.wide {
				VMAXPS(s[0], row[0], t.k, s[0])
			} else {
				VMOVUPS(v.bits(lowest), v.reg(13))
				VBLENDVPS(t.m, row[0], v.reg(13), row[0])
				VMAXPS(s[0], row[0], s[0])
			}
			return nil
		}})
	VMAXPS(s[2], s[0], s[0])
	VMAXPS(s[3], s[1], s[1])
	VMAXPS(s[1], s[0], s[0])
	if v.wide {
		VEXTRACTF64X4(U8(1), s[0], Y0)
		VMAXPS(Y0, s[0].AsY(), s[0].AsY())
	}
	VEXTRACTF128(U8(1), s[0].AsY(), X0)
	low := s[0].AsX()
	VMAXPS(X0, low, low)
	VPERMILPS(U8(0x4e), low, X0)
	VMAXPS(X0, low, low)
	VPERMILPS(U8(0xb1), low, X0)
	VMAXPS(X0, low, low)
	// seen holds NaN, or all ones, in a lane that met one.
	if v.wide {
		k, any := K(), GP32()
		VCMPPS(U8(3), seen, seen, k)
		KMOVW(k, any)
		TESTL(any, any)
	} else {
		any := GP32()
		VMOVMSKPS(seen, any)
		TESTL(any, any)
	}
	JZ(LabelRef("number"))
	VPCMPEQD(low, low, low)
	Label("number")
	Store(low.(Register), ReturnIndex(0))
	finish()
}

// indexOf compares vector by vector. A NaN equals nothing: the comparison with
// itself finds it, but counts only if v is a NaN.
func (v isa) indexOf() {
	v.function("indexOf", "(x *float32, v float32, n int) int", "returns the first index of v, of a NaN if v is one, or -1.")
	start, value, n := param("x"), v.broadcast("v", 1), param("n")
	x, wanted := GP64(), GP32()
	MOVQ(start, x)
	ifNaN := GP32() // all ones if v is a NaN
	v.compareBits(3, value, value, ifNaN)
	NEGL(ifNaN)
	SBBL(ifNaN, ifNaN)
	vector := func(mask *tail) {
		if mask != nil {
			v.loadTail(Mem{Base: x}, *mask, v.reg(0))
		} else {
			VMOVUPS(Mem{Base: x}, v.reg(0))
		}
		nans := GP32()
		v.compareBits(0, v.reg(0), value, wanted)
		v.compareBits(3, v.reg(0), v.reg(0), nans)
		ANDL(ifNaN, nans)
		ORL(nans, wanted)
		if mask != nil {
			BZHIL(n.As32(), wanted, wanted)
		}
		TESTL(wanted, wanted)
		JNZ(LabelRef("found"))
	}
	loop("one", n, v.lanes, func() {
		vector(nil)
		ADDQ(I32(int32(v.bytes())), x)
	})
	unlessZero("tail", n, func() {
		mask := v.tailMask(n, v.registers-1)
		vector(&mask)
	})
	index := GP64()
	MOVQ(I32(-1), index)
	Store(index, ReturnIndex(0))
	finish()
	Label("found")
	BSFL(wanted, wanted)
	SUBQ(start, x)
	SHRQ(U8(2), x)
	at := GP64()
	MOVL(wanted, at.As32())
	ADDQ(x, at)
	Store(at, ReturnIndex(0))
	finish()
}

// compareBits sets one bit of dst for each lane in which predicate holds,
// 0 for equal and 3 for unordered.
func (v isa) compareBits(predicate uint8, x, y VecPhysical, dst GPVirtual) {
	if v.wide {
		k := K()
		VCMPPS(U8(predicate), x, y, k)
		KMOVW(k, dst)
		return
	}
	VCMPPS(U8(predicate), x, y, v.reg(2))
	VMOVMSKPS(v.reg(2), dst)
}

func (v isa) rotate() {
	v.function("rotate", "(dst, x, cos, sin *float32, h int)", "rotates the pairs x[i], x[i+h] for i < h.")
	h := param("h")
	x0, d0, cos, sin := param("x"), param("dst"), param("cos"), param("sin")
	x1, d1 := GP64(), GP64()
	LEAQ(Mem{Base: x0, Index: h, Scale: 4}, x1)
	LEAQ(Mem{Base: d0, Index: h, Scale: 4}, d1)
	v.run(pass{unroll: 1, in: []GPVirtual{x0, x1, cos, sin}, out: []GPVirtual{d0, d1}, n: h, temporaries: 2,
		body: func(_ int, row []VecPhysical) []VecPhysical {
			x0, x1, cos, sin, r0, r1 := row[0], row[1], row[2], row[3], row[4], row[5]
			VMULPS(x1, sin, r0)
			VFMSUB231PS(x0, cos, r0)
			VMULPS(x0, sin, r1)
			VFMADD231PS(x1, cos, r1)
			return []VecPhysical{r0, r1}
		}})
	finish()
}

func (v isa) norm(biased bool) {
	name, signature := "norm", "(dst, x *float32, mean, scale float32, weight *float32, n int)"
	if biased {
		name, signature = "normBias", "(dst, x *float32, mean, scale float32, weight, bias *float32, n int)"
	}
	v.function(name, signature, "sets dst to (x-mean)·scale·weight, plus bias if there is one.")
	dst, x, weight := param("dst"), param("x"), param("weight")
	mean, scale := v.broadcast("mean", v.registers-2), v.broadcast("scale", v.registers-3)
	in := []GPVirtual{x, weight}
	if biased {
		in = append(in, param("bias"))
	}
	v.run(pass{unroll: 2, in: in, out: []GPVirtual{dst}, n: param("n"),
		body: func(_ int, row []VecPhysical) []VecPhysical {
			VSUBPS(mean, row[0], row[0])
			VMULPS(scale, row[0], row[0])
			if biased {
				VFMADD213PS(row[2], row[1], row[0])
			} else {
				VMULPS(row[1], row[0], row[0])
			}
			return row
		}})
	finish()
}
