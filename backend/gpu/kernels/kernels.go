// Package kernels holds the kernels of all GPUs, each once, in a subset of C++
// that a small header per target maps to that target's language.
package kernels

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed src
var sources embed.FS

// files are the parts of a program after the target's header, in order.
var files = []string{"args.h", "dialect.h", "elementwise.cu", "rows.cu", "product.cu", "heads.cu", "attention.cu", "topk.cu"}

// Source returns the whole program for a target, "cuda", "metal" or "host". Lines keep
// the names of their files for the compiler's messages.
func Source(target string) string {
	var b strings.Builder
	for _, name := range append([]string{target + ".h"}, files...) {
		text, err := sources.ReadFile("src/" + name)
		if err != nil {
			panic(fmt.Sprintf("there are no kernels for the target %q", target))
		}
		fmt.Fprintf(&b, "#line 1 %q\n%s", name, text)
	}
	return b.String()
}
