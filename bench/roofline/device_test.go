package roofline

import (
	"context"
	"errors"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
)

// TestMeasureDevice measures the CPU as if it were a device.
func TestMeasureDevice(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, measure := range map[string]func(context.Context, backend.Backend, Options) (*Limit, error){"read": MeasureRead, "copy": MeasureCopy} {
		l, err := measure(t.Context(), b, Options{Bytes: 1 << 16, Runs: 3})
		if err != nil || l.Min <= 0 || l.Min > l.Value || l.Value > l.Max {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
		if _, err := measure(cancelled, b, Options{Bytes: 1 << 16, Runs: 1}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", name, err)
		}
	}
	l := Limits{ReadGPU: &Limit{Value: 1e9}}
	if got := l.SecondsOnGPU(Work{Bytes: 2e9, FLOPs: 1e15}); got != 2 {
		t.Errorf("2 GB at 1 GB/s take %g s", got)
	}
	if got := (Limits{}).SecondsOnGPU(Work{Bytes: 1}); got != 0 {
		t.Errorf("without a limit: %g s", got)
	}
}
