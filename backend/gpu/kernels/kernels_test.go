package kernels

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestMetalSource checks syntax, types and address spaces of the kernels as
// Metal sees them, with clang and a stub of Metal's standard library.
func TestMetalSource(t *testing.T) {
	clang, err := exec.LookPath("clang++")
	if err != nil {
		t.Skip("clang++ is not installed")
	}
	for p := range Matrix {
		cmd := exec.Command(clang, "-x", "c++", "-std=c++14", "-fsyntax-only", "-Itestdata", "-Wall", "-Werror",
			"-Wno-unknown-attributes", "-Wno-ignored-attributes", "-Wno-unused-function", "-Wno-undefined-inline", "-Wno-undefined-internal", "-Wno-c++17-extensions", "-")
		// Clang takes variables of other address spaces only where they are static.
		source := strings.Replace(Source("metal", p), "alignas(16) threadgroup T", "alignas(16) static threadgroup T", 1)
		cmd.Stdin = strings.NewReader(source)
		if message, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("part %d: %v\n%s", p, err, message)
		}
	}
}

// TestThreadgroupMemory bounds the shared arrays of every kernel by the least
// that targets offer, Metal's 32 KiB.
func TestThreadgroupMemory(t *testing.T) {
	sizes := map[string]int{"stage_size": 4096, "WARP": 32, "depth *padded": 16 * 65, "attention_warps *most_dim": 8 * 256, "attention_warps": 8, "8 * R * WARP": 8 * 16 * 32,
		"2 * most_few": 2 * 48, "1": 1}
	shared := regexp.MustCompile(`SHARED\(\w+, \w+, ([^)]*)\)`)
	for p := range Parts {
		for _, body := range regexp.MustCompile(`KERNEL\(|\n#define `).Split(Source("cuda", p), -1) {
			total := 0
			for _, m := range shared.FindAllStringSubmatch(body, -1) {
				n, ok := sizes[m[1]]
				if !ok && m[1] != "n" {
					t.Errorf("the size of shared memory %q is not known here", m[1])
				}
				total += 4 * n
			}
			if total > 32<<10 {
				t.Errorf("%d bytes of shared memory in %.40q", total, body)
			}
		}
	}
}
