package roofline

import (
	"context"
	"errors"
	"testing"

	"emily/backend/cpu"
)

// TestMeasureDevice measures the CPU as if it were a device.
func TestMeasureDevice(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	read, copied, err := MeasureDevice(t.Context(), b, Options{Bytes: 1 << 16, Runs: 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*Limit{"read": read, "copy": copied} {
		if l == nil || l.Min <= 0 || l.Min > l.Value || l.Value > l.Max {
			t.Errorf("%s: %+v", name, l)
		}
	}
	l := Limits{ReadGPU: &Limit{Value: 1e9}}
	if got := l.SecondsOnGPU(Work{Bytes: 2e9, FLOPs: 1e15}); got != 2 {
		t.Errorf("2 GB at 1 GB/s take %g s", got)
	}
	if got := (Limits{}).SecondsOnGPU(Work{Bytes: 1}); got != 0 {
		t.Errorf("without a limit: %g s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := MeasureDevice(ctx, b, Options{Bytes: 1 << 16, Runs: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
