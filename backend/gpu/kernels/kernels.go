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
// Where the target defines MATRIX it has matrix units: matrix_add, which a whole
// warp calls, copies to shared memory that go on while a block computes, and
// DYNAMIC shared memory, whose size the launch gives. The emulator lets such a
// copy arrive as late as it may. Kernels that use these have others beside them
// that do without.
package kernels

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed src
var sources embed.FS

// files are the parts of a program after the target's header, in order.
var files = []string{"args.h", "dialect.h", "elementwise.cu", "rows.cu", "chain.cu", "product.cu", "matrix.cu", "heads.cu", "attention.cu", "flash.cu", "topk.cu"}

// decodeFiles are the parts of the program of package gpu's decoders.
var decodeFiles = []string{"args.h", "dialect.h", "topk.cu", "decode.h", "decode_ring.cu", "decode_attention.cu", "decode.cu"}

// headers are a target's header and, where blocks can wait for each other, the one for that.
var headers = map[string][]string{
	"cuda": {"cuda.h", "resident_cuda.h"}, "host": {"host.h", "resident_host.h"}, "metal": {"metal.h"},
}

// Source returns the whole program for a target, "cuda", "metal" or "host". Lines keep
// the names of their files for the compiler's messages.
func Source(target string) string { return program(target, "", files) }

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
	for _, name := range append(list[:len(list):len(list)], files...) {
		text, err := sources.ReadFile("src/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		fmt.Fprintf(&b, "#line 1 %q\n%s", name, text)
	}
	return b.String()
}
