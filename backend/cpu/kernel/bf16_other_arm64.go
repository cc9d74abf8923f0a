//go:build arm64 && !linux && !darwin

package kernel

// hasBF16 is false where the system does not tell.
func hasBF16() bool { return false }
