package main

import (
	"math"
	"slices"

	"kernelgen/poly"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The exponential is 2^n·e^r with n = round(x/ln 2), |r| <= ln(2)/2, and a
// polynomial for e^r - 1, which keeps more digits than e^r. Functions that
// multiply it by something else scale by 2^n last, so that a result below the
// smallest normal number is rounded once.

// Beyond these the results no longer change: e^x is 0 or Inf, x·sigmoid(x) is
// zero, as are x·Φ(x) and its tanh form.
const (
	expLow, expHigh = -104.5, 89.0
	siluLow         = -110.0
	geluLow         = -14.7
	geluTanhLow     = -11.0
)

func (v isa) transcendental() {
	v.exp()
	v.unary("tanh", "tanh x", 5, v.tanh, slices.Concat(expConstants, poly.Tanh, []float64{1, 2, 0.625}))
	v.unary("erf", "erf x", 7, v.erf, slices.Concat(expConstants, poly.Tail, []float64{4, 1}, poly.Erf))
	v.unary("silu", "x·sigmoid(x)", 6, v.silu, slices.Concat(expConstants, []float64{1, siluLow}))
	v.unary("gelu", "x·Φ(x)", 8, v.gelu, slices.Concat(expConstants, poly.Tail, []float64{4, 1}, poly.Phi))
	v.unary("geluTanh", "x·sigmoid(2u), u = √(2/π)·(x + 0.044715·x³)", 8, v.geluTanh, slices.Concat(expConstants, []float64{1, geluTanhLow, -geluTanhLow}))
	v.swiGLU()
	v.expSum()
}

// unary computes f of each element and keeps what it can of the constants in registers.
func (v isa) unary(name, what string, temporaries int, f func(x VecPhysical, t []VecPhysical), constants []float64) {
	v.function(name, "(dst, x *float32, n int)", "sets dst to "+what+".")
	v.hold(1+temporaries, constants...)
	dst, x := param("dst"), param("x")
	v.run(pass{unroll: 1, in: []GPVirtual{x}, out: []GPVirtual{dst}, n: param("n"), temporaries: temporaries,
		body: func(_ int, row []VecPhysical) []VecPhysical {
			f(row[0], row[1:])
			return row
		}})
	finish()
}

func (v isa) load(f float64, dst VecPhysical) { VMOVUPS(v.constant(f), dst) }

// inRegister returns a register with the constant f: t, unless another holds it.
func (v isa) inRegister(f float64, t VecPhysical) VecPhysical {
	if r, ok := held[math.Float32bits(float32(f))]; ok {
		return r
	}
	v.load(f, t)
	return t
}

// atLeast and atMost clamp x and keep a NaN, by way of register t.
func (v isa) atLeast(x VecPhysical, f float64, t VecPhysical) {
	VMAXPS(x, v.inRegister(f, t), x)
}

func (v isa) atMost(x VecPhysical, f float64, t VecPhysical) {
	VMINPS(x, v.inRegister(f, t), x)
}

// polynomial sets p = Σ c[i]·x^i.
func (v isa) polynomial(c []float64, x, p VecPhysical) {
	v.load(c[len(c)-1], p)
	for i := len(c) - 2; i >= 0; i-- {
		VFMADD213PS(v.constant(c[i]), x, p)
	}
}

// ln 2 in two parts; the first has 9 bits, so its multiples are exact.
const (
	perLog2  = 1.4426950408889634
	log2High = 0.693359375
	log2Low  = -2.12194440054690583e-4
)

// expConstants are those of expParts.
var expConstants = append([]float64{perLog2, log2High, log2Low}, poly.Exp...)

// expRow holds what becomes of one vector of an exponential.
type expRow struct{ x, low, n, p VecPhysical }

// expParts sets n and p so that e^(x-low) = 2^n·(1+p); low, which may be nil,
// is tiny beside x. It uses up x.
func (v isa) expParts(x, low, n, p VecPhysical) { v.expPartsOf([]expRow{{x, low, n, p}}) }

// expPartsOf takes several vectors in turns, instruction by instruction: one
// after the other they would fill the processor's scheduler with instructions
// that wait for each other.
func (v isa) expPartsOf(rows []expRow) {
	each := func(f func(r expRow)) {
		for _, r := range rows {
			f(r)
		}
	}
	// n = round(x/ln 2), and x loses n·ln 2.
	const nearest = U8(8)
	each(func(r expRow) { VMULPS(v.constant(perLog2), r.x, r.n) })
	each(func(r expRow) {
		if v.wide {
			VRNDSCALEPS(nearest, r.n, r.n)
		} else {
			VROUNDPS(nearest, r.n, r.n)
		}
	})
	each(func(r expRow) { VFNMADD231PS(v.constant(log2High), r.n, r.x) })
	each(func(r expRow) { VFNMADD231PS(v.constant(log2Low), r.n, r.x) })
	each(func(r expRow) {
		if r.low != nil {
			VSUBPS(r.low, r.x, r.x)
		}
	})
	last := len(poly.Exp) - 1
	each(func(r expRow) { v.load(poly.Exp[last], r.p) })
	for i := last - 1; i >= 0; i-- {
		each(func(r expRow) { VFMADD213PS(v.constant(poly.Exp[i]), r.x, r.p) })
	}
	each(func(r expRow) { VMULPS(r.x, r.p, r.p) })
	each(func(r expRow) { VFMADD213PS(r.x, r.x, r.p) })
}

// powers prepares scale: AVX2, which cannot scale by an exponent, replaces n by
// 2^(n/2) and t by the rest.
func (v isa) powers(n, t VecPhysical) {
	if v.wide {
		return
	}
	VCVTPS2DQ(n, n)
	VPSRAD(U8(1), n, t)
	VPSUBD(t, n, n)
	for _, r := range []VecPhysical{n, t} {
		VPADDD(v.bits(127), r, r)
		VPSLLD(U8(23), r, r)
	}
}

// scale multiplies p by 2^n.
func (v isa) scale(p, n, t VecPhysical) {
	if v.wide {
		VSCALEFPS(n, p, p)
		return
	}
	VMULPS(n, p, p)
	VMULPS(t, p, p)
}

// ifNegative replaces y by z where x has its sign bit set.
func (v isa) ifNegative(x, z, y VecPhysical) {
	if v.wide {
		k := K()
		VPMOVD2M(x, k)
		VMOVAPS(z, k, y)
		return
	}
	VBLENDVPS(x, z, y, y)
}

const signBit = 0x80000000

func (v isa) magnitude(x, dst VecPhysical) { VANDPS(v.bits(^uint32(signBit)), x, dst) }

// withSign puts the sign of x on y, which has none; it uses up x.
func (v isa) withSign(x, y VecPhysical) {
	VANDPS(v.bits(signBit), x, x)
	VORPS(x, y, y)
}

// power sets dst = 2^n, for n >= -126 with AVX2.
func (v isa) power(n, dst VecPhysical) {
	if v.wide {
		v.load(1, dst)
		VSCALEFPS(n, dst, dst)
		return
	}
	VCVTPS2DQ(n, dst)
	VPADDD(v.bits(127), dst, dst)
	VPSLLD(U8(23), dst, dst)
}

// expTogether is how many vectors of an exponential take turns.
func (v isa) expTogether() int {
	if v.wide {
		return 2
	}
	return 1
}

const (
	expTemporaries = 3
	expRegisters   = 16 // more than the vectors and the sum take
)

// exps replaces the first register of each row by its exponential.
func (v isa) exps(rows [][]VecPhysical) {
	var parts []expRow
	for _, r := range rows {
		parts = append(parts, expRow{x: r[0], n: r[1], p: r[2]})
	}
	for _, r := range parts {
		v.atLeast(r.x, expLow, r.n)
	}
	for _, r := range parts {
		v.atMost(r.x, expHigh, r.n)
	}
	v.expPartsOf(parts)
	for i, r := range parts {
		v.powers(r.n, rows[i][3])
		VADDPS(v.constant(1), r.p, r.x)
	}
	for i, r := range parts {
		v.scale(r.x, r.n, rows[i][3])
	}
}

func (v isa) exp() {
	v.function("exp", "(dst, x *float32, n int)", "sets dst to e^x.")
	v.hold(expRegisters, slices.Concat(expConstants, []float64{expLow, expHigh, 1})...)
	dst, x := param("dst"), param("x")
	v.run(pass{unroll: v.expTogether(), in: []GPVirtual{x}, out: []GPVirtual{dst}, n: param("n"), temporaries: expTemporaries, together: v.exps})
	finish()
}

// sigmoidTimes multiplies x by sigmoid(u) = 1/(1 + 2^n·(1+p)), given -u in two
// parts, minus - low. With m = max(n, 0) that is 2^-m/(2^-m + 2^(n-m)·(1+p)),
// which neither overflows nor loses digits: the two powers add up exactly.
func (v isa) sigmoidTimes(x, minus, low VecPhysical, t []VecPhysical) {
	n, p, m, a, b := t[0], t[1], t[2], t[3], minus
	v.expParts(minus, low, n, p)
	VXORPS(b, b, b)
	VMAXPS(n, b, m)
	VSUBPS(m, n, n)
	VSUBPS(m, b, m)
	if !v.wide { // what a power below 2^-126 would add is lost anyway
		v.load(-126, b)
		VMAXPS(n, b, n)
		VMAXPS(m, b, a)
		v.power(a, a)
	} else {
		v.power(m, a)
	}
	v.power(n, b)
	VADDPS(b, a, a)
	VFMADD231PS(b, p, a)
	VDIVPS(a, x, x)
	v.powers(m, n)
	v.scale(x, m, n)
}

func (v isa) silu(x VecPhysical, t []VecPhysical) {
	minus := t[4]
	v.atLeast(x, siluLow, t[0])
	VXORPS(v.bits(signBit), x, minus)
	v.atLeast(minus, siluLow, t[0])
	v.sigmoidTimes(x, minus, nil, t)
}

// geluTanh needs u to more digits than an f32 has, since the exponential turns
// its absolute error into a relative one.
func (v isa) geluTanh(x VecPhysical, t []VecPhysical) {
	const c1 = 1.5957691216057308 // 2·√(2/π)
	const c2 = c1 * 0.044715
	const coarse = 1673285. / (1 << 20) // c1 in so few bits that w - coarse is exact
	square, error, a, w, low := t[0], t[1], t[4], t[5], t[6]
	v.atLeast(x, geluTanhLow, t[0])
	VMOVAPS(x, a)
	v.atMost(a, -geluTanhLow, t[0])
	// w + low = c1 + c2·a².
	VMULPS(a, a, square)
	VMOVAPS(square, error)
	VFMSUB231PS(a, a, error) // what rounding took from the square
	v.load(coarse, w)
	v.load(coarse, low)
	VFMADD231PS(v.constant(c2), square, w)
	VSUBPS(w, low, low)
	VFMADD231PS(v.constant(c2), square, low)
	VFMADD231PS(v.constant(remainder(c2)), square, low)
	VFMADD231PS(v.constant(c2), error, low)
	VADDPS(v.constant(c1-coarse), low, low)
	// u + low = a·(w + low).
	VMULPS(a, low, low)
	VMULPS(a, w, square)
	VFMSUB213PS(square, w, a) // what rounding took from a·w
	VADDPS(a, low, low)
	VXORPS(v.bits(signBit), square, a)
	v.sigmoidTimes(x, a, low, t)
}

// remainder is what rounding to f32 takes from c.
func remainder(c float64) float64 { return c - float64(float32(c)) }

// gaussTail sets g and d so that Φ(-a)·exp(a²/2) = g/d. It uses up a.
func (v isa) gaussTail(a, g, d VecPhysical) {
	VADDPS(v.constant(4), a, d)
	VSUBPS(v.constant(4), a, a)
	VDIVPS(d, a, a)
	v.polynomial(poly.Tail, a, g)
}

// gelu multiplies x by Φ(x): a polynomial near zero, Φ(-a) to the left and
// 1 - Φ(-a) to the right. a² is kept in two parts, as in geluTanh.
func (v isa) gelu(x VecPhysical, t []VecPhysical) {
	n, p, a, low, minus, g, d, near := t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]
	v.atLeast(x, geluLow, n)
	v.magnitude(x, a)
	v.atMost(a, -geluLow, n)
	VMULPS(a, a, minus)
	v.polynomial(poly.Phi, minus, near)
	VFMADD213PS(v.constant(0.5), x, near)
	VMULPS(x, near, near)
	VMOVAPS(minus, low)
	VFMSUB231PS(a, a, low)
	VMULPS(v.constant(0.5), low, low)
	VMULPS(v.constant(-0.5), minus, minus)
	v.expParts(minus, low, n, p)
	VSUBPS(v.constant(0.75), a, low) // negative near zero
	v.gaussTail(a, g, d)
	VFMADD213PS(g, g, p) // g·(1+p)
	VMULPS(x, p, a)
	VDIVPS(d, a, a)
	VDIVPS(d, p, p)
	v.powers(n, minus)
	v.scale(a, n, minus)
	v.scale(p, n, minus)
	v.load(1, d)
	VSUBPS(p, d, d)
	VMULPS(x, d, d)
	v.ifNegative(x, a, d)
	v.ifNegative(low, near, d)
	VMOVAPS(d, x)
}

// tanh is a polynomial near zero and 1 - 2/(e^2x + 1) beyond.
func (v isa) tanh(x VecPhysical, t []VecPhysical) {
	a, near, n, p, r := t[0], t[1], t[2], t[3], t[4]
	v.magnitude(x, a)
	VMULPS(a, a, r)
	v.polynomial(poly.Tanh, r, near)
	VMULPS(r, near, near)
	VFMADD213PS(a, a, near)
	VADDPS(a, a, r)
	v.atMost(r, 20, n)
	v.expParts(r, nil, n, p)
	v.power(n, r)
	VADDPS(v.constant(1), r, n)
	VFMADD213PS(n, r, p) // 1 + 2^n·(1+p)
	v.load(2, n)
	VDIVPS(p, n, n)
	v.load(1, p)
	VSUBPS(n, p, p)
	VSUBPS(v.constant(0.625), a, a) // negative near zero
	v.ifNegative(a, near, p)
	v.withSign(x, p)
	VMOVAPS(p, x)
}

// erf is a polynomial near zero and 1 - 2·Φ(-√2·x) beyond.
func (v isa) erf(x VecPhysical, t []VecPhysical) {
	n, p, a, minus, near, g, d := t[0], t[1], t[2], t[3], t[4], t[5], t[6]
	v.magnitude(x, a)
	v.atMost(a, 4, n)
	VMULPS(a, a, minus)
	v.polynomial(poly.Erf, minus, near)
	VFMADD213PS(a, a, near)
	VXORPS(v.bits(signBit), minus, minus)
	v.expParts(minus, nil, n, p)
	VSUBPS(v.constant(1), a, minus) // negative near zero
	VMULPS(v.constant(1.4142135623730951), a, a)
	v.gaussTail(a, g, d)
	VFMADD213PS(g, g, p)
	VDIVPS(d, p, p)
	v.power(n, a)
	VMULPS(a, p, p)
	VADDPS(p, p, p)
	v.load(1, a)
	VSUBPS(p, a, a)
	v.ifNegative(minus, near, a)
	v.withSign(x, a)
	VMOVAPS(a, x)
}

func (v isa) swiGLU() {
	v.function("swiGLU", "(dst, gate, up *float32, n int)", "sets dst to gate·sigmoid(gate)·up.")
	v.hold(8, slices.Concat(expConstants, []float64{1, siluLow})...)
	dst, gate, up := param("dst"), param("gate"), param("up")
	v.run(pass{unroll: 1, in: []GPVirtual{gate, up}, out: []GPVirtual{dst}, n: param("n"), temporaries: 6,
		body: func(_ int, row []VecPhysical) []VecPhysical {
			v.silu(row[0], row[2:])
			VMULPS(row[1], row[0], row[0])
			return row
		}})
	finish()
}

func (v isa) expSum() {
	v.function("expSum", "(dst, x *float32, max float32, n int) float32", "sets dst to e^(x-max) and returns the sum.")
	dst, x, largest := param("dst"), param("x"), v.broadcast("max", v.registers-2)
	s := v.sums(1)
	v.hold(expRegisters, slices.Concat(expConstants, []float64{expLow, expHigh, 1})...)
	v.run(pass{unroll: v.expTogether(), in: []GPVirtual{x}, out: []GPVirtual{dst}, n: param("n"), temporaries: expTemporaries,
		together: func(rows [][]VecPhysical) {
			for _, r := range rows {
				VSUBPS(largest, r[0], r[0])
			}
			v.exps(rows)
			for _, r := range rows {
				VADDPS(r[0], s[0], s[0])
			}
		},
		last: func(t tail, row []VecPhysical) []VecPhysical {
			VSUBPS(largest, row[0], row[0])
			v.exps([][]VecPhysical{row})
			if v.wide {
				VADDPS(row[0], s[0], t.k, s[0])
			} else {
				VANDPS(t.m, row[0], row[1])
				VADDPS(row[1], s[0], s[0])
			}
			return row
		}})
	v.storeSum(s)
}
