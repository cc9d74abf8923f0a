package emu_test

import (
	"errors"
	"testing"

	"emily/backend/backendtest"
	"emily/backend/gpu"
	"emily/backend/gpu/emu"
)

// open returns an emulated device that the test closes.
func open(t testing.TB, opt emu.Options) *gpu.Backend {
	t.Helper()
	b, err := emu.New(opt)
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

// TestCompliance runs the suite with a block's threads in both orders.
func TestCompliance(t *testing.T) {
	t.Run("forwards", func(t *testing.T) { backendtest.Run(t, open(t, emu.Options{})) })
	t.Run("backwards", func(t *testing.T) { backendtest.Run(t, open(t, emu.Options{Backwards: true})) })
}
