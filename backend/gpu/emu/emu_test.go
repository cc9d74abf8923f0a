package emu_test

import (
	"errors"
	"testing"

	"emily/backend/backendtest"
	"emily/backend/gpu"
	"emily/backend/gpu/emu"
)

// open returns an emulated device that the test closes.
func open(t testing.TB) *gpu.Backend {
	t.Helper()
	b, err := emu.New()
	if errors.Is(err, emu.ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestCompliance(t *testing.T) {
	be := open(t)
	for _, g := range backendtest.Groups() {
		t.Run(g.Name, func(t *testing.T) {
			for _, err := range g.Check(be) {
				t.Error(err)
			}
		})
	}
}
