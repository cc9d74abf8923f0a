package bench

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
	"emily/bench/roofline"
)

func TestLaneDevices(t *testing.T) {
	own, fixed, choosing := laneKind{name: "emily-fuse"}, laneKind{name: "exla", peer: true}, laneKind{name: "torch", peer: true, devices: cpuOrCUDA}
	for _, tt := range []struct {
		lane           laneKind
		backends, want []string
	}{
		{own, []string{"cpu", "emu"}, []string{"cpu", "emu"}},
		{fixed, []string{"cuda"}, []string{"cpu"}},
		{choosing, []string{"cuda"}, []string{"cuda"}},
		{choosing, []string{"cpu", "cuda"}, []string{"cpu", "cuda"}},
		{choosing, []string{"metal"}, []string{"cpu"}},
	} {
		if got := tt.lane.on(tt.backends); !slices.Equal(got, tt.want) {
			t.Errorf("%s of a run on %q has rows on %q, want %q", tt.lane.name, tt.backends, got, tt.want)
		}
	}
}

func TestConfigTwice(t *testing.T) {
	c := testConfig(t, nil)
	c.Backends, c.DTypes = []string{"cpu", "cpu"}, []string{"f32", "bf16", "f32"}
	if err := c.complete(); err != nil || len(c.Backends) != 1 || len(c.DTypes) != 2 {
		t.Errorf("%v, %q, %q", err, c.Backends, c.DTypes)
	}
}

// ownMemory is the CPU as if it had memory of its own, which is read at once.
type ownMemory struct{ backend.Backend }

func (ownMemory) Reading(int) (read func(times int) error, free func(), err error) {
	return func(int) error { return nil }, func() {}, nil
}

// TestDeviceLimits takes the CPU for a GPU.
func TestDeviceLimits(t *testing.T) {
	r := runner{Config: Config{Backends: []string{"cpu", "cuda"}, Limits: roofline.Options{Bytes: 1 << 14, Runs: 1}}}
	opened := ""
	r.Device = func(name string) (backend.Backend, error) {
		opened = name
		b, err := cpu.New(cpu.Options{Threads: 1})
		return ownMemory{b}, err
	}
	if err := r.measureDevice(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := r.report.Environment.Limits; opened != "cuda" || l.ReadGPU == nil || l.CopyGPU == nil {
		t.Errorf("opened %q, limits %+v", opened, l)
	}
	r = runner{Config: Config{Backends: []string{"cuda"}, Device: func(string) (backend.Backend, error) { return nil, errors.New("no driver") }}}
	if err := r.measureDevice(t.Context()); err == nil || !strings.Contains(err.Error(), "no driver") {
		t.Errorf("without a device: %v", err)
	}
}
