package roofline

import (
	"context"
	"errors"
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
)

// reader is the CPU as if it had memory of its own.
type reader struct{ backend.Backend }

func (reader) Reading(bytes int) (read func(times int) error, free func(), err error) {
	from, to := make([]byte, bytes), make([]byte, bytes)
	return func(times int) error {
		for range times {
			copy(to, from)
		}
		return nil
	}, func() {}, nil
}

func TestMeasureDevice(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := MeasureRead(t.Context(), b, Options{}); err == nil || !strings.Contains(err.Error(), "no memory of its own") {
		t.Errorf("the CPU: %v", err)
	}
	device := reader{b}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, measure := range map[string]func(context.Context, backend.Backend, Options) (*Limit, error){"read": MeasureRead, "copy": MeasureCopy} {
		l, err := measure(t.Context(), device, Options{Bytes: 1 << 16, Runs: 3})
		if err != nil || l.Min <= 0 || l.Min > l.Value || l.Value > l.Max {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
		if _, err := measure(cancelled, device, Options{Bytes: 1 << 16, Runs: 1}); !errors.Is(err, context.Canceled) {
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
