package main

import (
	"fmt"
	"math"

	"kernelgen/poly"
)

// The methods are those of the amd64 generator, which explains them; an
// element beyond the last vector is computed in the first lane. V0 holds x and
// then the result, the registers up to V15 are free.

const signBit = 1 << 31

// table gathers the constants of a function in the order of their use, each
// copied to 4 lanes: the code walks through it with R20.
var table []uint32

func bits(d vreg, b uint32) {
	table = append(table, b)
	asm("VLD1.P 16(R20), [V%d.S4]", d)
}

func constant(d vreg, f float64) { bits(d, math.Float32bits(float32(f))) }

// elements runs body on vectors of V0, and V1 if there is a second row, with
// constants at hand.
func elements(name, count string, in []string, out string, body func(single bool)) {
	top := func(single bool) {
		asm("MOVD $%s_constants<>(SB), R20", name)
		table = nil
		for i, p := range in {
			if single {
				asm("FMOVS.P 4(%s), F%d", p, i)
			} else {
				asm("VLD1.P 16(%s), [V%d.S4]", p, i)
			}
		}
		body(single)
		if single {
			asm("FMOVS.P F0, 4(%s)", out)
		} else {
			asm("VST1.P [V0.S4], 16(%s)", out)
		}
	}
	loop("four", count, 4, func() { top(false) })
	loop("one", count, 1, func() { top(true) })
}

// writeTable writes the constants after the function's code.
func writeTable(name string) {
	fmt.Fprintf(&out, "\n")
	for i, b := range table {
		for lane := range 4 {
			fmt.Fprintf(&out, "DATA %s_constants<>+%d(SB)/4, $0x%08x\n", name, 16*i+4*lane, b)
		}
	}
	fmt.Fprintf(&out, "GLOBL %s_constants<>(SB), RODATA|NOPTR, $%d\n", name, 16*len(table))
}

func mathLoops() {
	for _, f := range []struct {
		name, what string
		body       func()
	}{
		{"exp", "e^x", exp}, {"tanh", "tanh x", tanh}, {"erf", "erf x", erf}, {"silu", "x·sigmoid(x)", silu},
		{"gelu", "x·Φ(x)", gelu}, {"geluTanh", "x·sigmoid(2u), u = √(2/π)·(x + 0.044715·x³)", geluTanh},
	} {
		function(f.name, "(dst, x *float32, n int)", 24, "sets dst to "+f.what+".")
		params("dst", "x", "n")
		elements(f.name, "R2", []string{"R1"}, "R0", func(bool) { f.body() })
		asm("RET")
		writeTable(f.name)
	}
	function("swiGLU", "(dst, gate, up *float32, n int)", 32, "sets dst to gate·sigmoid(gate)·up.")
	params("dst", "gate", "up", "n")
	elements("swiGLU", "R3", []string{"R1", "R2"}, "R0", func(bool) {
		move(16, 1)
		silu()
		do3("fmul", 0, 0, 16)
	})
	asm("RET")
	writeTable("swiGLU")

	function("expSum", "(dst, x *float32, max float32, n int) float32", 36, "sets dst to e^(x-max) and returns the sum.")
	params("dst", "x")
	broadcast("max+16(FP)", 28)
	asm("MOVD n+24(FP), R2")
	zero(24)
	zero(25)
	elements("expSum", "R2", []string{"R1"}, "R0", func(single bool) {
		do3("fsub", 0, 0, 28)
		exp()
		if single { // clear the other lanes
			zero(1)
			asm("VMOV V0.S[0], V1.S[0]")
			move(0, 1)
		}
		do3("fadd", 24, 24, 0)
	})
	returnSum("ret+32(FP)")
	writeTable("expSum")
}

func move(d, s vreg)                    { asm("VORR V%d.B16, V%d.B16, V%d.B16", s, s, d) }
func do2(name string, d, n vreg)        { word(encode2(name, d, n)) }
func atLeast(x vreg, f float64, t vreg) { constant(t, f); do3("fmax", x, x, t) }
func atMost(x vreg, f float64, t vreg)  { constant(t, f); do3("fmin", x, x, t) }

// polynomial sets p = Σ c[i]·x^i, with t to work in.
func polynomial(c []float64, x, p, t vreg) {
	result := p
	if len(c)%2 == 0 { // the two registers alternate; the last one is p
		p, t = t, p
	}
	constant(p, c[len(c)-1])
	for i := len(c) - 2; i >= 0; i-- {
		constant(t, c[i])
		do3("fmla", t, p, x)
		p, t = t, p
	}
	if p != result {
		panic("polynomial ends in the wrong register")
	}
}

// expParts sets n and p so that e^(x-low) = 2^n·(1+p); low may be -1. It uses
// up x and t.
func expParts(x, low, n, p, t vreg) {
	constant(t, 1.4426950408889634)
	do3("fmul", n, x, t)
	do2("frintn", n, n)
	constant(t, 0.693359375)
	do3("fmls", x, n, t)
	constant(t, -2.12194440054690583e-4)
	do3("fmls", x, n, t)
	if low >= 0 {
		do3("fsub", x, x, low)
	}
	polynomial(poly.Exp, x, t, p)
	do3("fmul", t, t, x)
	move(p, x)
	do3("fmla", p, t, x)
}

// exponent turns an integer in n into 2^n.
func exponent(n, t vreg) {
	bits(t, 127)
	asm("VADD V%d.S4, V%d.S4, V%d.S4", t, n, n)
	asm("VSHL $23, V%d.S4, V%d.S4", n, n)
}

// powers replaces n by 2^(n/2) and t by the rest, with u to work in.
func powers(n, t, u vreg) {
	do2("fcvtns", n, n)
	do2("sshr", t, n)
	asm("VSUB V%d.S4, V%d.S4, V%d.S4", t, n, n)
	exponent(n, u)
	exponent(t, u)
}

func scale(p, n, t vreg) {
	do3("fmul", p, p, n)
	do3("fmul", p, p, t)
}

// power replaces n, at least -126, by 2^n.
func power(n, t vreg) {
	do2("fcvtns", n, n)
	exponent(n, t)
}

// ifNegative replaces y by z where x has its sign bit set; it uses up x.
func ifNegative(x, z, y vreg) {
	do2("cmlt", x, x)
	asm("VBIT V%d.B16, V%d.B16, V%d.B16", x, z, y)
}

// withSign puts the sign of x on y, which has none.
func withSign(x, y, t vreg) {
	bits(t, signBit)
	asm("VAND V%d.B16, V%d.B16, V%d.B16", t, x, t)
	asm("VORR V%d.B16, V%d.B16, V%d.B16", t, y, y)
}

func exp() {
	const x, n, p, t, u = 0, 1, 2, 3, 4
	atLeast(x, -104.5, t)
	atMost(x, 89, t)
	expParts(x, -1, n, p, t)
	powers(n, t, u)
	constant(u, 1)
	do3("fadd", x, p, u)
	scale(x, n, t)
}

// sigmoidTimes multiplies V0 by sigmoid(u), given -u = minus - low.
func sigmoidTimes(minus, low vreg) {
	const x, n, p, m, a, b, t = 0, 1, 2, 3, 4, 5, 6
	expParts(minus, low, n, p, t)
	zero(b)
	do3("fmax", m, n, b)
	do3("fsub", n, n, m)
	do3("fsub", m, b, m)
	constant(b, -126)
	do3("fmax", n, n, b)
	do3("fmax", a, m, b)
	power(a, t)
	power(n, t)
	do3("fadd", a, a, n)
	do3("fmla", a, n, p)
	do3("fdiv", x, x, a)
	powers(m, n, t)
	scale(x, m, n)
}

func silu() {
	const x, minus, t = 0, 7, 1
	atLeast(x, -110, t)
	do2("fneg", minus, x)
	atLeast(minus, -110, t)
	sigmoidTimes(minus, -1)
}

func geluTanh() {
	const c1 = 1.5957691216057308
	const c2 = c1 * 0.044715
	const coarse = 1673285. / (1 << 20)
	const x, square, rest, a, w, low, t, u = 0, 1, 2, 7, 8, 9, 3, 4
	atLeast(x, -11, t)
	move(a, x)
	atMost(a, 11, t)
	do3("fmul", square, a, a)
	do2("fneg", rest, square)
	do3("fmla", rest, a, a)
	constant(w, coarse)
	constant(t, c2)
	move(low, w)
	do3("fmla", w, square, t)
	do3("fsub", low, low, w)
	do3("fmla", low, square, t)
	do3("fmla", low, rest, t)
	constant(u, c2-float64(float32(c2)))
	do3("fmla", low, square, u)
	constant(u, c1-coarse)
	do3("fadd", low, low, u)
	do3("fmul", low, low, a)
	do3("fmul", square, a, w)
	do2("fneg", rest, square)
	do3("fmla", rest, a, w)
	do3("fadd", low, low, rest)
	do2("fneg", a, square)
	sigmoidTimes(a, low)
}

// gaussTail sets g and d so that Φ(-a)·exp(a²/2) = g/d. It uses up a and t.
func gaussTail(a, g, d, t vreg) {
	constant(t, 4)
	do3("fadd", d, a, t)
	do3("fsub", a, a, t)
	do3("fdiv", a, a, d)
	polynomial(poly.Tail, a, g, t)
}

func gelu() {
	const x, n, p, a, low, minus, g, d, near, t, u = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	atLeast(x, -14.7, t)
	do2("fabs", a, x)
	atMost(a, 14.7, t)
	do3("fmul", minus, a, a)
	polynomial(poly.Phi, minus, u, t)
	constant(near, 0.5)
	do3("fmla", near, u, x)
	do3("fmul", near, near, x)
	do2("fneg", low, minus)
	do3("fmla", low, a, a)
	constant(t, 0.5)
	do3("fmul", low, low, t)
	do3("fmul", minus, minus, t)
	do2("fneg", minus, minus)
	expParts(minus, low, n, p, t)
	constant(t, 0.75)
	do3("fsub", low, a, t) // negative near zero
	gaussTail(a, g, d, t)
	do3("fmla", g, g, p) // g·(1+p)
	do3("fmul", a, g, x)
	do3("fdiv", a, a, d)
	do3("fdiv", p, g, d)
	powers(n, minus, t)
	scale(a, n, minus)
	scale(p, n, minus)
	constant(d, 1)
	do3("fsub", d, d, p)
	do3("fmul", d, d, x)
	ifNegative(x, a, d)
	ifNegative(low, near, d)
	move(x, d)
}

func tanh() {
	const x, a, near, n, p, r, t, u = 0, 1, 2, 3, 4, 5, 6, 7
	do2("fabs", a, x)
	do3("fmul", r, a, a)
	polynomial(poly.Tanh, r, u, t)
	do3("fmul", u, u, r)
	move(near, a)
	do3("fmla", near, u, a)
	do3("fadd", r, a, a)
	atMost(r, 20, t)
	expParts(r, -1, n, p, t)
	power(n, t)
	constant(t, 1)
	do3("fadd", r, n, t)
	do3("fmla", r, n, p) // 1 + 2^n·(1+p)
	constant(u, 2)
	do3("fdiv", u, u, r)
	do3("fsub", t, t, u)
	constant(u, 0.625)
	do3("fsub", a, a, u) // negative near zero
	ifNegative(a, near, t)
	withSign(x, t, u)
	move(x, t)
}

func erf() {
	const x, n, p, a, minus, near, g, d, t, u = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
	do2("fabs", a, x)
	atMost(a, 4, t)
	do3("fmul", minus, a, a)
	polynomial(poly.Erf, minus, u, t)
	move(near, a)
	do3("fmla", near, u, a)
	do2("fneg", minus, minus)
	expParts(minus, -1, n, p, t)
	constant(t, 1)
	do3("fsub", minus, a, t) // negative near zero
	constant(t, 1.4142135623730951)
	do3("fmul", a, a, t)
	gaussTail(a, g, d, t)
	do3("fmla", g, g, p)
	do3("fdiv", g, g, d)
	power(n, t)
	do3("fmul", g, g, n)
	do3("fadd", g, g, g)
	constant(a, 1)
	do3("fsub", a, a, g)
	ifNegative(minus, near, a)
	withSign(x, a, t)
	move(x, a)
}
