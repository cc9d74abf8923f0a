package emu_test

import (
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/cpu"
	"emily/backend/gpu/emu"
)

// TestMatrices compares the products on matrix units, those of warps and those
// of warpgroups, with the CPU's.
func TestMatrices(t *testing.T) {
	host, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	groups := open(t)
	warps, err := emu.NewWarps()
	if err != nil {
		t.Fatal(err)
	}
	defer warps.Close()
	for name, device := range map[string]backend.Backend{"groups": groups, "warps": warps} {
		t.Run(name, func(t *testing.T) {
			for _, err := range backendtest.Products(host, device, 2e-6, [][3]int{ // rows, columns, k
				{2, 1, 8}, {7, 70, 264}, {16, 30, 40}, {17, 1, 8}, {33, 132, 264}, {48, 70, 1040}, // few rows
				{50, 1, 8}, {80, 30, 264}, {65, 70, 40}, {130, 129, 72},
				{64, 132, 520},  // shares of k
				{390, 772, 136}, // the largest tiles, several for each block
			}...) {
				t.Error(err)
			}
		})
	}
}
