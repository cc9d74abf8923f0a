package cpu_test

import (
	"fmt"
	"testing"

	"emily/backend/backendtest"
	"emily/backend/cpu"
	"emily/backend/cpu/kernel"
)

// open returns a backend that the test closes.
func open(t testing.TB, opt cpu.Options) *cpu.Backend {
	t.Helper()
	be, err := cpu.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(); err != nil {
			t.Error(err)
		}
	})
	return be
}

// TestCompliance runs the suite with every variant of the kernels and with
// one, two and three workers. The race detector sees the best variant with
// three: races do not depend on the inner loops.
func TestCompliance(t *testing.T) {
	sets, least := kernel.All(), 1
	if raceDetector {
		sets, least = sets[:1], 3
	}
	for _, set := range sets {
		for threads := least; threads <= 3; threads++ {
			t.Run(fmt.Sprintf("%s/%d", set.Name, threads), func(t *testing.T) {
				be := open(t, cpu.Options{Threads: threads, Kernels: set.Name})
				for _, g := range backendtest.Groups() {
					t.Run(g.Name, func(t *testing.T) {
						for _, err := range g.Check(be) {
							t.Error(err)
						}
					})
				}
			})
		}
	}
}
