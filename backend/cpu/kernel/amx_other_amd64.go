//go:build !linux && !noasm

package kernel

// permitTiles is false: how other systems grant tiles is not implemented.
func permitTiles() bool { return false }
