//go:build linux && !nogpu

package cuda

import (
	"strings"
	"testing"

	"emily/backend/gpu/kernels"
)

// TestCUDASource compiles the kernels, which needs no device, for a range of them.
func TestCUDASource(t *testing.T) {
	c, err := openCompiler(0)
	if err != nil {
		t.Skip(err)
	}
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
	_, err = c.cubin("#line 7 \"broken.cu\"\nint f( {", 90)
	if err == nil || !strings.Contains(err.Error(), "broken.cu(7)") {
		t.Errorf("%v, want the place of the mistake", err)
	}
}

// TestFewSource compiles the products of few rows, which needs no device: sums
// and the weights on their way must stay in registers.
func TestFewSource(t *testing.T) {
	c, err := openCompiler(0)
	if err != nil {
		t.Skip(err)
	}
	for _, capability := range []int{80, 90} {
		if !c.supports(capability) {
			continue
		}
		_, messages, err := c.build(kernels.Source("cuda", kernels.Few), capability, "--ptxas-options=-v")
		if err != nil {
			t.Fatal(err)
		}
		told := spills.FindAllSubmatch(messages, -1)
		for _, m := range told {
			if string(m[1]) != "0" {
				t.Errorf("capability %d: %s", capability, m[0])
			}
		}
		if len(told) == 0 {
			t.Errorf("the compiler says: %s", messages)
		}
		t.Logf("%s", messages)
	}
}

// TestWarpgroupSource compiles the products of warpgroups, which needs no
// device: sums must stay in registers, and matrix units must not wait for each
// other where the compiler sees no way to keep them apart.
func TestWarpgroupSource(t *testing.T) {
	c, err := openCompiler(0)
	if err != nil {
		t.Skip(err)
	}
	if !c.supports(90) || c.major < 12 {
		t.Skip("NVRTC makes no code for warpgroups")
	}
	_, messages, err := c.build(kernels.Source("cuda", kernels.Warpgroup), 90, "--ptxas-options=-v")
	if err != nil {
		t.Fatal(err)
	}
	told := spills.FindAllSubmatch(messages, -1)
	for _, m := range told {
		if string(m[1]) != "0" {
			t.Error(string(m[0]))
		}
	}
	if len(told) == 0 || strings.Contains(string(messages), "serialized") {
		t.Errorf("the compiler says: %s", messages)
	}
}
