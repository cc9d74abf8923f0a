//go:build linux && !nogpu

package cuda

import "unsafe"

// tensorMap has room for a tensor map of 128 bytes at a multiple of 64.
type tensorMap [192]byte

// boxes makes the map by which the copy engine reads a matrix of bf16, with rows
// of so many elements, in boxes of 64 x 64; a matrix without bytes gives an empty
// one. Kernels take it as kernels/src/warpgroup_cuda.h declares it. The map is
// the launch's buffer i's until the next launch.
func (d *driver) boxes(i int, matrix uintptr, bytes, width int) (unsafe.Pointer, error) {
	const (
		bf16, rank, side        = 9, 2, 64
		apart, swizzle128, wide = 0, 3, 3 // rows of their own, chunks of 16 bytes that change places in 128, 256 bytes to L2
		zeros                   = 0       // outside of the matrix
	)
	m := &d.maps[i]
	at := unsafe.Pointer(&m[-uintptr(unsafe.Pointer(m))&63])
	if bytes == 0 {
		*m = tensorMap{}
		return at, nil
	}
	size := [rank]uint64{uint64(width), uint64(bytes / 2 / width)}
	pitch := [1]uint64{2 * uint64(width)}
	box, step := [rank]uint32{side, side}, [rank]uint32{1, 1}
	return at, d.lib.call("describing a matrix", d.lib.encodeTiled, uintptr(at), bf16, rank, matrix, uintptr(unsafe.Pointer(&size)), uintptr(unsafe.Pointer(&pitch)),
		uintptr(unsafe.Pointer(&box)), uintptr(unsafe.Pointer(&step)), apart, swizzle128, wide, zeros)
}

// warpgroups reports whether the device, the driver and the compiler have what
// kernels/src/warpgroup.cu needs.
func (d *driver) warpgroups() bool {
	c, err := openCompiler(d.version / 1000)
	return err == nil && c.major >= 12 && d.capability() == 90 && d.lib.encodeTiled != 0 && d.lib.launchEx != 0
}
