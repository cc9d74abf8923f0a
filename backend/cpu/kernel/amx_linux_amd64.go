//go:build !noasm

package kernel

import (
	"syscall"
	"unsafe"
)

// permitTiles asks Linux to let this process use tiles, which make its threads'
// saved states 8 KiB larger. Linux has them only where it enabled both their
// states in XCR0, and says no where a signal stack is too small for them
// (Documentation/arch/x86/xstate.rst).
func permitTiles() bool {
	const (
		getPermissions, request = 0x1022, 0x1023 // ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM
		tileConfigs, tileData   = 17, 18         // XFEATURE_XTILE_CFG, XFEATURE_XTILE_DATA
	)
	if _, _, e := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, request, tileData, 0); e != 0 {
		return false
	}
	var permitted uint64
	_, _, e := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, getPermissions, uintptr(unsafe.Pointer(&permitted)), 0)
	const both = 1<<tileConfigs | 1<<tileData
	return e == 0 && permitted&both == both
}
