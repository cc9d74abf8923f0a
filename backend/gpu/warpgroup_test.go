package gpu

import (
	"testing"

	"emily/backend"
)

// TestLayout checks that blocks of every layout fit a multiprocessor, that their
// shares cover k, and that none is empty.
func TestLayout(t *testing.T) {
	for _, m := range []int{17, 64, 65, 129, 2048} {
		for _, n := range []int{1, 128, 3000} {
			for _, k := range []int{8, 72, 1024, 3080} {
				for i := range groupTiles {
					p := linear(operand{}, m, k, backend.BF16)
					p.add(n, member{})
					for splits := range max(1, k/leastShare) {
						l := groupTiles[i].layout(p, 1+m%2, splits+1)
						if stages, bytes := l.ring(l.slabs()); stages < 2 || bytes > groupShared {
							t.Errorf("%+v: %d stages, %d bytes", l, stages, bytes)
						}
						if l.splits*l.span < k || (l.splits-1)*l.span >= k || l.splits > 1 && l.span%groupSlab != 0 {
							t.Errorf("%d shares of %d for k %d", l.splits, l.span, k)
						}
						if l.down*l.cluster*l.rows < m || l.across*l.columns < n || (l.down-1)*l.cluster*l.rows >= m || (l.across-1)*l.columns >= n {
							t.Errorf("%+v for %d x %d", l, m, n)
						}
					}
				}
			}
		}
	}
}
