package roofline

import (
	"context"
	"errors"
	"testing"

	"emily/backend/cpu/kernel"
)

func TestMeasure(t *testing.T) {
	l, err := Measure(t.Context(), kernel.Best(), 2, Options{Bytes: 1 << 20, Runs: 3, Rounds: 20001})
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]*Limit{"read 1": l.ReadOne, "read all": l.ReadAll, "f32 1": l.F32One, "f32 all": l.F32All}
	if kernel.Best().DotBF16 {
		limits["bf16 1"], limits["bf16 all"] = l.BF16One, l.BF16All
	}
	if kernel.Best().DotInt8 {
		limits["int8 1"], limits["int8 all"] = l.Int8One, l.Int8All
	}
	for name, m := range limits {
		if m == nil {
			t.Errorf("%s was not measured", name)
		} else if m.Min <= 0 || m.Min > m.Value || m.Value > m.Max {
			t.Errorf("%s: min %g, median %g, max %g", name, m.Min, m.Value, m.Max)
		}
	}
	if l.CopyGPU != nil {
		t.Error("a limit without a device has a value")
	}
	if l.Threads != 2 || l.Kernels != kernel.Best().Name {
		t.Errorf("measured with %d threads of %q", l.Threads, l.Kernels)
	}
}

// TestMeasureNoDots leaves out what the processor has no instructions for.
func TestMeasureNoDots(t *testing.T) {
	set, err := kernel.Named("generic")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Measure(t.Context(), set, 1, Options{Bytes: 4096, Runs: 1, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	if l.BF16One != nil || l.BF16All != nil || l.Int8One != nil || l.Int8All != nil {
		t.Error("a limit without a kernel has a value")
	}
}

func TestMeasureRefuses(t *testing.T) {
	if _, err := Measure(t.Context(), kernel.Best(), 0, Options{}); err == nil {
		t.Error("0 threads are taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, kernel.Best(), 1, Options{Bytes: 4096, Runs: 1, Rounds: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSeconds(t *testing.T) {
	l := Limits{ReadAll: &Limit{100, 80, 120}, F32All: &Limit{1000, 500, 1100}}
	if got := l.Seconds(Work{FLOPs: 5000, BF16: true}); got != 5 {
		t.Errorf("without dot products bf16 takes %g, want 5 as in f32", got)
	}
	l.BF16All = &Limit{2000, 1800, 2100}
	for _, tt := range []struct {
		work Work
		want float64
	}{
		{Work{Bytes: 200, FLOPs: 6000, BF16: true}, 3},
		{Work{Bytes: 200, FLOPs: 1000}, 2}, // memory is the limit
		{Work{Bytes: 200, FLOPs: 5000}, 5}, // arithmetic is
		{Work{}, 0},
	} {
		if got := l.Seconds(tt.work); got != tt.want {
			t.Errorf("Seconds(%+v) = %g, want %g", tt.work, got, tt.want)
		}
	}
	if got := (Limits{}).Seconds(Work{Bytes: 1}); got != 0 {
		t.Errorf("without limits: %g", got)
	}
}

func TestRateCountsEveryThread(t *testing.T) {
	seen := make([]bool, 3)
	if r := rate(3, func(thread, threads int) int { seen[thread] = threads == 3; return 1 }); r <= 0 {
		t.Errorf("rate %g", r)
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("thread %d did not run", i)
		}
	}
}
