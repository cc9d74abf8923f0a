package kernel

import "golang.org/x/sys/unix"

// hasBF16 asks the system for the processor's bf16 instructions (M2 and later).
func hasBF16() bool {
	n, err := unix.SysctlUint32("hw.optional.arm.FEAT_BF16")
	return err == nil && n == 1
}
