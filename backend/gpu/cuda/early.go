//go:build linux && !nogpu

package cuda

import (
	"fmt"
	"os"
	"unsafe"

	"emily/backend/gpu"
)

// launchConfig is libcuda's CUlaunchConfig.
type launchConfig struct {
	grid, block [3]uint32
	shared      uint32
	stream      uintptr
	attributes  *launchAttribute
	count       uint32
}

// launchAttribute is libcuda's CUlaunchAttribute.
type launchAttribute struct {
	id    uint32
	_     uint32
	value [16]uint32
}

// What no device has proven right yet is off but for these environment variables.
const (
	overlapVariable = "EMILY_GPU_OVERLAP"
	clusterVariable = "EMILY_GPU_CLUSTERS"
)

// overlaps reports whether a kernel of a recording can begin while the one
// before it ends: kernels wait for its results themselves (THREAD in
// kernels/src/cuda.h). Recordings hold such launches from CUDA 12.3 on.
func (d *driver) overlaps() bool {
	return os.Getenv(overlapVariable) != "" && d.lib.launchEx != 0 && d.version >= 12030 && d.capability() >= 90
}

// cluster is the number of blocks that share what they read.
func (d *driver) cluster() int {
	if os.Getenv(clusterVariable) == "" {
		return 1
	}
	return 2
}

// launchWith queues a kernel, whose parameters are set, in clusters of blocks or
// early, so that it may begin while the kernel before it ends.
func (d *driver) launchWith(l *gpu.Launch, stream uintptr, early bool) error {
	const clusterDimension, programmaticSerialization = 4, 6
	var attributes []launchAttribute
	if early {
		attributes = append(attributes, launchAttribute{id: programmaticSerialization, value: [16]uint32{1}})
	}
	if l.Cluster > 1 {
		attributes = append(attributes, launchAttribute{id: clusterDimension, value: [16]uint32{uint32(l.Cluster), 1, 1}})
	}
	config := launchConfig{
		grid: [3]uint32{uint32(l.Grid[0]), uint32(l.Grid[1]), uint32(l.Grid[2])}, block: [3]uint32{uint32(l.Threads), 1, 1},
		shared: uint32(l.Shared), stream: stream, attributes: &attributes[0], count: uint32(len(attributes)),
	}
	err := d.lib.call("launching "+d.names[l.Kernel], d.lib.launchEx, uintptr(unsafe.Pointer(&config)), uintptr(l.Kernel), uintptr(unsafe.Pointer(&d.params[0])), 0)
	if err != nil {
		return fmt.Errorf("%w: grid %v of %d threads in clusters of %d", err, l.Grid, l.Threads, max(1, l.Cluster))
	}
	return nil
}
