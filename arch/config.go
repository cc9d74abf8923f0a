package arch

import (
	"fmt"
	"maps"
	"slices"
)

// CheckDims returns an error for a size of config.json that is not between 1 and 2^30.
func CheckDims(dims map[string]int) error {
	for _, name := range slices.Sorted(maps.Keys(dims)) {
		if n := dims[name]; n < 1 || n > 1<<30 {
			return fmt.Errorf("%s is %d", name, n)
		}
	}
	return nil
}

// maxLayers bounds what a file can make us allocate before its tensors are looked for.
const maxLayers = 4096

// CheckLayers returns an error for a number of layers that no model has.
func CheckLayers(name string, n int) error {
	if n < 1 || n > maxLayers {
		return fmt.Errorf("%s is %d, which is not between 1 and %d", name, n, maxLayers)
	}
	return nil
}

// CheckHeads returns an error if heads do not divide the hidden size.
func CheckHeads(hidden, heads int) error {
	if heads < 1 || hidden%heads != 0 {
		return fmt.Errorf("a hidden size of %d does not divide into %d heads", hidden, heads)
	}
	return nil
}

// Flag is 1 for true, as the dims of loader.Bind want it.
func Flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
