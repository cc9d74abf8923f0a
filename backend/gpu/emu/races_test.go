//go:build (linux || darwin) && !nogpu

package emu_test

import (
	"testing"

	"emily/backend/backendtest"
	"emily/backend/gpu/emu"
)

// TestRaces runs decoders on the emulator that watches shared memory.
func TestRaces(t *testing.T) {
	open(t) // skips without a compiler
	for _, c := range backendtest.DecoderCases {
		t.Run(c.Name, func(t *testing.T) {
			grid, ok := grids[c.Name]
			if !ok {
				grid = grids["plain"]
			}
			b, err := emu.NewRaces(grid)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			c.Run(t, b)
		})
	}
}
