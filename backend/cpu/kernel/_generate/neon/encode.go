package main

import (
	"fmt"
	"strings"
)

// vreg is a vector register, 0 to 31.
type vreg int

// op3 is an instruction on two sources and a destination of 4 lanes of f32,
// named as the Arm manual does. Go's assembler lacks these.
var op3 = map[string]uint32{
	"fadd":  0x4e20d400,
	"fsub":  0x4ea0d400,
	"fmul":  0x6e20dc00,
	"fdiv":  0x6e20fc00,
	"fmax":  0x4e20f400,
	"fmin":  0x4ea0f400,
	"faddp": 0x6e20d400,
	"fmaxp": 0x6e20f400,
	"fmla":  0x4e20cc00,
	"fmls":  0x4ea0cc00,
}

// op2 is an instruction on one source. What follows a point in a name tells
// forms of one instruction apart.
var op2 = map[string]struct {
	code     uint32
	dst, src string // arrangements
	suffix   string
}{
	"fcvtl":   {0x0e217800, "4s", "4h", ""},
	"fcvtl2":  {0x4e217800, "4s", "8h", ""},
	"shll":    {0x2e613800, "4s", "4h", ", #16"},
	"shll2":   {0x6e613800, "4s", "8h", ", #16"},
	"sxtl.8h": {0x0f08a400, "8h", "8b", ""},
	"sxtl":    {0x0f10a400, "4s", "4h", ""},
	"sxtl2":   {0x4f10a400, "4s", "8h", ""},
	"scvtf":   {0x4e21d800, "4s", "4s", ""},
	"fneg":    {0x6ea0f800, "4s", "4s", ""},
	"fabs":    {0x4ea0f800, "4s", "4s", ""},
	"frintn":  {0x4e218800, "4s", "4s", ""},
	"fcvtns":  {0x4e21a800, "4s", "4s", ""},
	"sshr":    {0x4f3f0400, "4s", "4s", ", #1"},
	"cmlt":    {0x4ea0a800, "4s", "4s", ", #0"},
	"fcvtn":   {0x0e216800, "4h", "4s", ""},
	"bfcvtn":  {0x0ea16800, "4h", "4s", ""},
	"bfcvtn2": {0x4ea16800, "8h", "4s", ""},
}

// encode3 returns the instruction and how a disassembler writes it.
func encode3(name string, d, n, m vreg) (uint32, string) {
	return op3[name] | uint32(m)<<16 | uint32(n)<<5 | uint32(d), fmt.Sprintf("%s v%d.4s, v%d.4s, v%d.4s", name, d, n, m)
}

func encode2(name string, d, n vreg) (uint32, string) {
	op := op2[name]
	name, _, _ = strings.Cut(name, ".")
	return op.code | uint32(n)<<5 | uint32(d), fmt.Sprintf("%s v%d.%s, v%d.%s%s", name, d, op.dst, n, op.src, op.suffix)
}

// byLane is an instruction that adds n times one lane, of 32 bits, of m.
type byLane struct {
	name         string
	code         uint32
	source, lane string // arrangements
}

var (
	fmlaByLane  = byLane{"fmla", 0x4f801000, "4s", "s"}
	bfdotByLane = byLane{"bfdot", 0x4f40f000, "8h", "2h"} // of pairs of bf16
)

func (b byLane) encode(d, n, m vreg, lane int) (uint32, string) {
	code := b.code | uint32(lane&1)<<21 | uint32(lane>>1)<<11 | uint32(m)<<16 | uint32(n)<<5 | uint32(d)
	return code, fmt.Sprintf("%s v%d.4s, v%d.%s, v%d.%s[%d]", b.name, d, n, b.source, m, b.lane, lane)
}

// encodeDot adds dot products of pairs of bf16 (bfdot) or of four int8 (sdot) in each lane.
func encodeDot(name string, d, n, m vreg) (uint32, string) {
	dot := map[string]struct {
		code   uint32
		source string
	}{"bfdot": {0x6e40fc00, "8h"}, "sdot": {0x4e809400, "16b"}}[name]
	return dot.code | uint32(m)<<16 | uint32(n)<<5 | uint32(d), fmt.Sprintf("%s v%d.4s, v%d.%s, v%d.%s", name, d, n, dot.source, m, dot.source)
}
