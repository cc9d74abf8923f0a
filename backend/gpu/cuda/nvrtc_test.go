//go:build linux && !nogpu

package cuda

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"emily/backend/gpu/kernels"
)

// openForTest returns NVRTC, or skips the test where there is none and EMILY_NVRTC names none.
func openForTest(t *testing.T) *compiler {
	t.Helper()
	c, err := openCompiler(0)
	switch {
	case err != nil && os.Getenv("EMILY_NVRTC") != "":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
	return c
}

var spills = regexp.MustCompile(`(\d+) bytes spill stores`)

// checkSpills checks in the compiler's messages that no register is spilled.
func checkSpills(t *testing.T, what string, messages []byte) {
	t.Helper()
	told := spills.FindAllSubmatch(messages, -1)
	for _, m := range told {
		if string(m[1]) != "0" {
			t.Errorf("%s: %s", what, m[0])
		}
	}
	if len(told) == 0 {
		t.Errorf("%s: the compiler says nothing about registers: %s", what, messages)
	}
}

// TestCUDASource compiles the kernels, which needs no device, for a range of them.
func TestCUDASource(t *testing.T) {
	c := openForTest(t)
	for _, capability := range []int{75, 90} {
		if !c.supports(capability) {
			continue
		}
		for p := range kernels.Parts {
			if code, err := c.cubin(kernels.Source("cuda", p), capability); err != nil || !strings.HasPrefix(string(code), "\x7fELF") {
				t.Errorf("part %d, capability %d: %d bytes, %v", p, capability, len(code), err)
			}
		}
	}
	_, err := c.cubin("#line 7 \"broken.cu\"\nint f( {", 90)
	if err == nil || !strings.Contains(err.Error(), "broken.cu(7)") {
		t.Errorf("%v, want the place of the mistake", err)
	}
}

// TestFewSource compiles the products of few rows, which needs no device: sums
// and the weights on their way must stay in registers.
func TestFewSource(t *testing.T) {
	c := openForTest(t)
	for _, capability := range []int{80, 90} {
		if !c.supports(capability) {
			continue
		}
		_, messages, err := c.build(kernels.Source("cuda", kernels.Few), capability, "--ptxas-options=-v")
		if err != nil {
			t.Fatal(err)
		}
		checkSpills(t, fmt.Sprintf("capability %d", capability), messages)
		t.Logf("%s", messages)
	}
}

// TestWarpgroupSource compiles the products of warpgroups, which needs no
// device: sums must stay in registers, and matrix units must not wait for each
// other where the compiler sees no way to keep them apart.
func TestWarpgroupSource(t *testing.T) {
	c := openForTest(t)
	if !c.supports(90) || c.major < 12 {
		t.Skipf("NVRTC %d.%d makes no code for warpgroups: version 12 for compute capability 9.0 is missing", c.major, c.minor)
	}
	_, messages, err := c.build(kernels.Source("cuda", kernels.Warpgroup), 90, "--ptxas-options=-v")
	if err != nil {
		t.Fatal(err)
	}
	checkSpills(t, "warpgroups", messages)
	if strings.Contains(string(messages), "serialized") {
		t.Errorf("the compiler says: %s", messages)
	}
}
