package bench

import (
	"fmt"
)

// Memory returns the bytes of main memory, and of it what programs may still
// take (MemAvailable).
func Memory() (total, free int64, err error) {
	if total = kilobytes("/proc/meminfo", "MemTotal"); total == 0 {
		return 0, 0, fmt.Errorf("/proc/meminfo does not tell the size of memory")
	}
	return total, kilobytes("/proc/meminfo", "MemAvailable"), nil
}

// peakRSS is the high-water mark of a process's resident memory in bytes.
func peakRSS(pid int) int64 { return kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmHWM") }

// kilobytes reads "name: n kB" and returns bytes, 0 if there is no such line.
func kilobytes(path, name string) int64 {
	var n int64
	fmt.Sscanf(field(path, name), "%d kB", &n)
	return n << 10
}
