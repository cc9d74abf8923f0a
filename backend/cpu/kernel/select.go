package kernel

import (
	"fmt"
	"strings"
)

//go:generate go -C _generate run . -isa avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg kernel
//go:generate go -C _generate run . -isa avx2 -out ../avx2_amd64.s -stubs ../avx2_amd64.go -pkg kernel
//go:generate go -C _generate run ./neon -out ../neon_arm64.s -stubs ../neon_arm64.go

// Best returns the fastest Set that this processor and operating system can run.
func Best() *Set { return All()[0] }

// All returns every Set that this processor can run, the fastest first and the
// portable one last.
func All() []*Set { return append(native(), generic()) }

// Named returns the Set of that name; the empty name means Best. An unknown
// name, or a Set that this processor cannot run, is an error that lists the
// possible names.
func Named(name string) (*Set, error) {
	if name == "" {
		return Best(), nil
	}
	var names []string
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("no CPU kernels named %q on this machine: use %s", name, strings.Join(names, " or "))
}
