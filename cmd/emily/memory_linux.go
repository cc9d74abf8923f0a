package main

import (
	"bufio"
	"fmt"
	"os"
)

// systemMemory returns the bytes of main memory, and of it what programs may
// still take (MemAvailable).
func systemMemory() (total, free int64, err error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(s.Text(), "MemTotal: %d kB", &kib); n == 1 {
			total = kib << 10
		}
		if n, _ := fmt.Sscanf(s.Text(), "MemAvailable: %d kB", &kib); n == 1 {
			free = kib << 10
		}
	}
	return total, free, nil
}
