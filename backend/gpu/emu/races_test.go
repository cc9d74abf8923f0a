//go:build (linux || darwin) && !nogpu

package emu_test

import (
	"os"
	"strings"
	"testing"

	"emily/backend/backendtest"
	"emily/backend/gpu"
	"emily/backend/gpu/emu"
	"emily/backend/gpu/kernels"
)

// watched opens an emulator that watches shared memory.
func watched(t *testing.T, grid gpu.Grid) *gpu.Backend {
	t.Helper()
	open(t) // skips without a compiler
	b, err := emu.NewRaces(grid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// neighbours are kernels whose threads read what others write, with and without a barrier between.
const neighbours = `
KERNEL(meets, RowArgs, BUF(0, float, x)) {
  DYNAMIC(memory);
  const Thread t = THREAD;
  ((LOCAL(float))memory)[t.index] = 1;
  warp_barrier();
  x[t.index] = ((LOCAL(float))memory)[t.count - 1 - t.index];
}
KERNEL(races, RowArgs, BUF(0, float, x)) {
  DYNAMIC(memory);
  const Thread t = THREAD;
  ((LOCAL(float))memory)[t.index] = 1;
  x[t.index] = ((LOCAL(float))memory)[t.count - 1 - t.index];
}
`

func TestWatch(t *testing.T) {
	d := watched(t, gpu.Grid{}).Driver()
	compiled, err := d.Compile(kernels.Source("host", kernels.Plain)+neighbours, []string{"meets", "races"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // from the first thread to the last, and back
		if _, err := launch(t, d, compiled[0], 32); err != nil {
			t.Error(err)
		}
		if _, err := launch(t, d, compiled[1], 32); err == nil || !strings.Contains(err.Error(), "without having met it") {
			t.Errorf("a missing barrier: %v", err)
		}
		if err := d.Synchronize(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRaces runs all ops and decoders on the emulator that watches shared memory, for ten minutes.
func TestRaces(t *testing.T) {
	if os.Getenv("EMILY_TEST_RACES") == "" {
		t.Skip("takes ten minutes: EMILY_TEST_RACES is not set")
	}
	for _, c := range backendtest.DecoderCases {
		t.Run(c.Name, func(t *testing.T) {
			c.Run(t, watched(t, gridOf(c)))
		})
	}
	for _, g := range backendtest.Groups() {
		t.Run(g.Name, func(t *testing.T) {
			for _, err := range g.Check(watched(t, grids["plain"])) {
				t.Error(err)
			}
		})
	}
}
