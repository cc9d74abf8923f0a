package main

func rowLoops() {
	for _, f := range []struct{ name, op, what string }{
		{"add", "fadd", "x + y"}, {"sub", "fsub", "x - y"}, {"mul", "fmul", "x · y"}, {"div", "fdiv", "x / y"},
		{"max", "fmax", "the larger of x and y, NaN if either is"}, {"min", "fmin", "the smaller of x and y, NaN if either is"},
	} {
		function(f.name, "(dst, x, y *float32, n int)", 32, "sets dst to "+f.what+".")
		params("dst", "x", "y", "n")
		rows("R3", []string{"R1", "R2"}, []string{"R0"}, func(v []vreg) []vreg {
			do3(f.op, v[0], v[0], v[1])
			return v
		})
		asm("RET")
	}
	for _, f := range []struct{ name, op, what string }{{"addScalar", "fadd", "x + y"}, {"mulScalar", "fmul", "x · y"}} {
		function(f.name, "(dst, x *float32, y float32, n int)", 32, "sets dst to "+f.what+".")
		asm("MOVD dst+0(FP), R0")
		asm("MOVD x+8(FP), R1")
		broadcast("y+16(FP)", 28)
		asm("MOVD n+24(FP), R3")
		rows("R3", []string{"R1"}, []string{"R0"}, func(v []vreg) []vreg {
			do3(f.op, v[0], v[0], 28)
			return v
		})
		asm("RET")
	}
	axpy()
	dot()
	addSum()
	sum()
	sumSquares()
	maxOf()
	rotate()
	norm(false)
	norm(true)
}

// broadcast copies an f32 argument to all lanes of v.
func broadcast(argument string, v vreg) {
	asm("FMOVS %s, F%d", argument, v)
	asm("VDUP V%d.S[0], V%d.S4", v, v)
}

// rows reads one vector from each row of in, lets body compute, and writes what
// it returns to the rows of out, 8 elements at a time and then one by one. A
// single element leaves the other lanes zero. Row i, half h is in register
// 2i+h.
func rows(count string, in, out []string, body func(v []vreg) []vreg) {
	loop("eight", count, 8, func() {
		for i, p := range in {
			asm("VLD1.P 32(%s), [V%d.S4, V%d.S4]", p, 2*i, 2*i+1)
		}
		var results [2][]vreg
		for h := range 2 {
			v := make([]vreg, len(in))
			for i := range in {
				v[i] = vreg(2*i + h)
			}
			results[h] = body(v)
		}
		for i, p := range out {
			asm("VST1.P [V%d.S4, V%d.S4], 32(%s)", results[0][i], results[1][i], p)
		}
	})
	loop("one", count, 1, func() {
		v := make([]vreg, len(in))
		for i, p := range in {
			v[i] = vreg(2 * i)
			asm("FMOVS.P 4(%s), F%d", p, v[i])
		}
		for i, r := range body(v) {
			if i < len(out) {
				asm("FMOVS.P F%d, 4(%s)", r, out[i])
			}
		}
	})
}

func axpy() {
	function("axpy", "(dst *float32, a float32, x *float32, n int)", 32, "adds a·x to dst.")
	asm("MOVD dst+0(FP), R0")
	asm("MOVD R0, R1")
	broadcast("a+8(FP)", 28)
	asm("MOVD x+16(FP), R2")
	asm("MOVD n+24(FP), R3")
	rows("R3", []string{"R1", "R2"}, []string{"R0"}, func(v []vreg) []vreg {
		do3("fmla", v[0], v[1], 28)
		return v
	})
	asm("RET")
}

// returnSum adds up the lanes of V24 and V25 and returns that.
func returnSum(result string) {
	do3("fadd", 24, 24, 25)
	do3("faddp", 24, 24, 24)
	do3("faddp", 24, 24, 24)
	asm("FMOVS F24, %s", result)
	asm("RET")
}

func dot() {
	function("dot", "(x, y *float32, n int) float32", 28, "returns the sum of x·y.")
	params("x", "y", "n")
	zero(24)
	zero(25)
	rows("R2", []string{"R0", "R1"}, nil, func(v []vreg) []vreg {
		do3("fmla", 24+v[0]%2, v[0], v[1])
		return nil
	})
	returnSum("ret+24(FP)")
}

func addSum() {
	function("addSum", "(x, y *float32, n int) float32", 28, "returns the sum of x+y.")
	params("x", "y", "n")
	zero(24)
	zero(25)
	rows("R2", []string{"R0", "R1"}, nil, func(v []vreg) []vreg {
		do3("fadd", v[1], v[0], v[1])
		do3("fadd", 24+v[0]%2, 24+v[0]%2, v[1])
		return nil
	})
	returnSum("ret+24(FP)")
}

func sum() {
	function("sum", "(x *float32, n int) float32", 20, "returns the sum of x.")
	params("x", "n")
	zero(24)
	zero(25)
	rows("R1", []string{"R0"}, nil, func(v []vreg) []vreg {
		do3("fadd", 24+v[0]%2, 24+v[0]%2, v[0])
		return nil
	})
	returnSum("ret+16(FP)")
}

func sumSquares() {
	function("sumSquares", "(x *float32, mean float32, n int) float32", 28, "returns the sum of (x-mean)².")
	asm("MOVD x+0(FP), R0")
	broadcast("mean+8(FP)", 28)
	asm("MOVD n+16(FP), R1")
	zero(24)
	zero(25)
	loop("eight", "R1", 8, func() {
		asm("VLD1.P 32(R0), [V0.S4, V1.S4]")
		for h := range vreg(2) {
			do3("fsub", h, h, 28)
			do3("fmla", 24+h, h, h)
		}
	})
	loop("one", "R1", 1, func() {
		asm("FMOVS.P 4(R0), F0")
		asm("FSUBS F28, F0, F0") // clears the other lanes
		do3("fmla", 24, 0, 0)
	})
	returnSum("ret+24(FP)")
}

func maxOf() {
	function("maxOf", "(x *float32, n int) float32", 20, "returns the largest of x, NaN if there is one, -Inf if there are none.")
	params("x", "n")
	asm("MOVD $0xff800000, R2")
	asm("VDUP R2, V24.S4")
	asm("VDUP R2, V25.S4")
	loop("eight", "R1", 8, func() {
		asm("VLD1.P 32(R0), [V0.S4, V1.S4]")
		do3("fmax", 24, 24, 0)
		do3("fmax", 25, 25, 1)
	})
	loop("one", "R1", 1, func() {
		asm("VLD1R.P 4(R0), [V0.S4]")
		do3("fmax", 24, 24, 0)
	})
	do3("fmax", 24, 24, 25)
	do3("fmaxp", 24, 24, 24)
	do3("fmaxp", 24, 24, 24)
	asm("FMOVS F24, ret+16(FP)")
	asm("RET")
}

func rotate() {
	function("rotate", "(dst, x, cos, sin *float32, h int)", 40, "rotates the pairs x[i], x[i+h] for i < h.")
	params("dst", "x", "cos", "sin", "h")
	asm("ADD R4<<2, R1, R5")
	asm("ADD R4<<2, R0, R6")
	rows("R4", []string{"R1", "R5", "R2", "R3"}, []string{"R0", "R6"}, func(v []vreg) []vreg {
		x0, x1, cos, sin := v[0], v[1], v[2], v[3]
		r0, r1 := 16+x0, 18+x0
		do3("fmul", r0, x0, cos)
		do3("fmls", r0, x1, sin)
		do3("fmul", r1, x1, cos)
		do3("fmla", r1, x0, sin)
		return []vreg{r0, r1}
	})
	asm("RET")
}

func norm(biased bool) {
	if biased {
		function("normBias", "(dst, x *float32, mean, scale float32, weight, bias *float32, n int)", 48, "sets dst to (x-mean)·scale·weight + bias.")
	} else {
		function("norm", "(dst, x *float32, mean, scale float32, weight *float32, n int)", 40, "sets dst to (x-mean)·scale·weight.")
	}
	asm("MOVD dst+0(FP), R0")
	asm("MOVD x+8(FP), R1")
	broadcast("mean+16(FP)", 28)
	broadcast("scale+20(FP)", 29)
	asm("MOVD weight+24(FP), R2")
	in := []string{"R1", "R2"}
	if biased {
		in = append(in, "R3")
		asm("MOVD bias+32(FP), R3")
		asm("MOVD n+40(FP), R4")
	} else {
		asm("MOVD n+32(FP), R4")
	}
	rows("R4", in, []string{"R0"}, func(v []vreg) []vreg {
		do3("fsub", v[0], v[0], 28)
		do3("fmul", v[0], v[0], 29)
		if biased {
			do3("fmla", v[2], v[0], v[1])
			return []vreg{v[2]}
		}
		do3("fmul", v[0], v[0], v[1])
		return v
	})
	asm("RET")
}
