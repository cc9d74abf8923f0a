// Package kernels holds the kernels of all GPUs, each once, in a subset of C++
// that a small header per target maps to that target's language: src/cuda.h,
// src/metal.h, and src/host.h for the emulator.
//
// A kernel is KERNEL(name, Args, BUF(0, T, name), ...) { ... }. Its struct of
// arguments is in src/args.h and once more in package gpu, of 32-bit fields
// only. THREAD says where a thread is in its block and grid; blocks are whole
// warps of 32. A kernel declares its SHARED memory itself, 32 KiB at most, and
// functions take GLOBAL and LOCAL pointers, since Metal keeps these apart;
// their arguments are ARGS. Every thread of a block reaches every barrier, and
// every lane of a warp every shuffle and sum. Constants are enums, and numbers
// of 16 bits are read by number and load.
//
// On some targets a kernel begins while the one before it ends: then THREAD waits
// for that end. EARLY_THREAD does not; such a kernel calls inputs_ready before it
// reads anything but stored weights, and before it writes.
//
// Where the target defines MATRIX it has matrix units: matrix_add, which a whole
// warp calls, copies to shared memory that go on while a block computes, and
// DYNAMIC shared memory, whose size the launch gives. The emulator lets such a
// copy arrive as late as it may. Kernels that use these have others beside them
// that do without.
//
// Where it defines WARPGROUP too, four warps multiply tiles in shared memory,
// asynchronously, and BOXES are matrices that a copy engine reads in tiles.
package kernels

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed src
var sources embed.FS

// A Part is a program with some of the kernels. There are several, so that they
// are compiled side by side.
type Part int

// The parts; those from Matrix on are for targets with matrix units, the last
// for those with warpgroups too.
const (
	Plain     Part = iota // elements, rows, chains of elements, heads, the largest
	Attention             // attention over keys one by one
	Products              // products and convolutions
	Matrix                // products of many rows
	Flash64               // attention of many rows, with heads of up to 64
	Flash128
	Few       // products of few rows
	Warpgroup // products of many rows, for targets with warpgroups
	Parts
)

// files are what follows the target's header, args.h and dialect.h.
var files = [Parts][]string{
	Plain:     {"elementwise.cu", "norm.h", "rows.cu", "chain.cu", "heads.cu", "topk.cu"},
	Attention: {"attention.cu"},
	Products:  {"norm.h", "product.h", "product.cu"},
	Matrix:    {"product.h", "terms.h", "matrix.cu"},
	Flash64:   {"terms.h", "flash.cu"},
	Flash128:  {"terms.h", "flash.cu"},
	Few:       {"product.h", "terms.h", "few.cu"},
	Warpgroup: {"norm.h", "product.h", "terms.h", "split.cu", "warpgroup.cu"},
}

// decodeFiles are the parts of the program of package gpu's decoders.
var decodeFiles = []string{"topk.cu", "decode.h", "decode_ring.cu", "decode_product.cu", "decode_cache.cu", "decode_keys.cu", "decode_keys_matrix.cu", "decode_attention.cu", "decode_slices.cu", "decode.cu"}

// headers are a target's header and, where it has them, those for blocks that
// wait for each other and for warpgroups.
var headers = map[string][]string{
	"cuda":  {"cuda.h", "resident_cuda.h", "warpgroup_cuda.h"},
	"host":  {"host.h", "races_host.h", "resident_host.h", "warpgroup_host.h"},
	"metal": {"metal.h"},
}

// Source returns a part for a target, "cuda", "metal" or "host". Lines keep the
// names of their files for the compiler's messages.
func Source(target string, p Part) string {
	macros := map[Part]string{Flash64: "#define FLASH_WIDTH 64\n", Flash128: "#define FLASH_WIDTH 128\n"}
	return program(target, macros[p], files[p])
}

// Decode returns the program of the kernel "decode" for a target other than
// "metal". sizes are the macros that src/decode.h speaks of.
func Decode(target, sizes string) string { return program(target, sizes, decodeFiles) }

func program(target, macros string, files []string) string {
	list, ok := headers[target]
	if !ok {
		panic(fmt.Sprintf("there are no kernels for the target %q", target))
	}
	var b strings.Builder
	b.WriteString(macros)
	for _, name := range slices.Concat(list, []string{"args.h", "dialect.h"}, files) {
		text, err := sources.ReadFile("src/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		fmt.Fprintf(&b, "#line 1 %q\n%s", name, text)
	}
	return b.String()
}
