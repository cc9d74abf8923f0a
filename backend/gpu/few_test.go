package gpu

import (
	"testing"

	"emily/backend"
)

// TestFewShape checks that a product's parts cover it, fit a block and, of
// narrow ones, keep three quarters of the multiprocessors busy.
func TestFewShape(t *testing.T) {
	const units = 132
	for _, c := range []struct{ m, k, n int }{
		{2, 8, 8}, {10, 1024, 4096}, {10, 2048, 1024}, {16, 3072, 1024}, {10, 2560, 19456}, {10, 1024, 151936}, {48, 768, 768}, {48, 25600, 5120},
	} {
		for _, dtype := range []backend.DType{backend.F32, backend.BF16, backend.F16} {
			for _, exact := range []bool{false, true} {
				p := linear(operand{}, c.m, c.k, dtype)
				p.exact = exact
				p.add(c.n, member{})
				s := p.shape(units)
				if s.tiles*s.groups*fewColumns < c.n || (s.tiles-1)*s.groups*fewColumns >= c.n || s.splits*s.span < c.k || (s.splits-1)*s.span >= c.k || s.span%slab != 0 {
					t.Errorf("%v %s: %+v does not cover it", c, dtype, s)
				}
				if s.shared > fewShared || s.groups*s.shares > fewWarps || s.shares < 1 {
					t.Errorf("%v %s: %+v does not fit", c, dtype, s)
				}
				if blocks := s.tiles * s.splits; c.n*c.k >= 1<<20 && 4*blocks < 3*units {
					t.Errorf("%v %s: %d blocks", c, dtype, blocks)
				}
			}
		}
	}
}
