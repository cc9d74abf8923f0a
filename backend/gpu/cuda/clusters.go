//go:build linux && !nogpu

package cuda

import (
	"fmt"
	"unsafe"

	"emily/backend/gpu"
)

// clusterLaunch is a CUlaunchConfig with its one CUlaunchAttribute.
type clusterLaunch struct {
	grid, block [3]uint32
	shared      uint32
	stream      uintptr
	attributes  unsafe.Pointer
	count       uint32
	attribute   struct {
		id, _ uint32
		value [16]uint32
	}
}

// launchClusters queues a kernel whose blocks come in clusters.
func (d *driver) launchClusters(l *gpu.Launch, stream uintptr) error {
	const clusterDimension = 4
	c := &d.clusters
	c.block, c.shared, c.stream = [3]uint32{uint32(l.Threads), 1, 1}, uint32(l.Shared), stream
	for i, n := range l.Grid {
		c.grid[i] = uint32(n)
	}
	c.attributes, c.count = unsafe.Pointer(&c.attribute), 1
	c.attribute.id, c.attribute.value = clusterDimension, [16]uint32{uint32(l.Cluster), 1, 1}
	err := d.lib.call("launching "+d.names[l.Kernel], d.lib.launchClusters, uintptr(unsafe.Pointer(c)), uintptr(l.Kernel), uintptr(unsafe.Pointer(&d.params[0])), 0)
	if err != nil {
		return fmt.Errorf("%w: grid %v of %d threads in clusters of %d", err, l.Grid, l.Threads, l.Cluster)
	}
	return nil
}
