package arch

import "testing"

func TestBuckets(t *testing.T) {
	for n := range 100 {
		for _, limit := range []int{0, 1, 3, 16, 1000} {
			sum, last := 0, 1<<30
			for _, size := range Buckets(n, limit) {
				if size > max(limit, 1) || size&(size-1) != 0 || size > last {
					t.Errorf("%d items, limit %d: a piece of %d after %d", n, limit, size, last)
				}
				sum, last = sum+size, size
			}
			if sum != n {
				t.Errorf("%d items, limit %d: %d in all", n, limit, sum)
			}
		}
	}
}

func TestPadLength(t *testing.T) {
	lengths := map[int]bool{}
	for n := 1; n <= 512; n++ {
		padded := PadLength(n)
		if padded < n || padded > n+max(7, n/8) {
			t.Errorf("%d becomes %d", n, padded)
		}
		lengths[padded] = true
	}
	if len(lengths) > 32 {
		t.Errorf("%d programs for 512 lengths", len(lengths))
	}
}
