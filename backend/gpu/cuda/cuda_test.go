//go:build linux && !nogpu

package cuda_test

import (
	"fmt"
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/cpu"
	"emily/backend/gpu"
	"emily/backend/gpu/cuda"
)

// openDevice returns the first device, or skips the test where there is none.
func openDevice(t testing.TB) *gpu.Backend {
	t.Helper()
	if _, err := cuda.Probe(); err != nil {
		t.Skip(err)
	}
	b, err := cuda.New(0)
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

func TestCUDACompliance(t *testing.T) {
	be := openDevice(t)
	for _, g := range backendtest.Groups() {
		t.Run(g.Name, func(t *testing.T) {
			for _, err := range g.Check(be) {
				t.Error(err)
			}
		})
	}
}

// TestCUDAComplianceProducts compares products of few and of many rows with the CPU's, in
// the sizes of models' layers and in odd ones.
func TestCUDAComplianceProducts(t *testing.T) {
	device := openDevice(t)
	host, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for _, size := range [][3]int{ // rows, columns, k
		{2, 1, 8}, {10, 4096, 1024}, {10, 1024, 3072}, {16, 3072, 1024}, {7, 20000, 1024}, {33, 768, 3072}, {48, 2304, 768}, {48, 1024, 11008}, // few
		{17, 1, 8}, {40, 30, 264}, {65, 70, 40}, {130, 129, 72}, {40, 768, 3072}, {64, 4096, 1024}, {64, 1024, 3072}, {100, 2052, 1096},
		{197, 768, 3072}, {197, 3072, 768}, {1500, 384, 1536}, {2048, 4096, 72}, {2048, 1024, 2048}, {2047, 1027, 1000}, {1027, 6148, 136},
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			for _, err := range backendtest.Products(host, device, 2e-6, size) {
				t.Error(err)
			}
		})
	}
}

func TestCUDAProbe(t *testing.T) {
	list, err := cuda.Probe()
	if err != nil {
		t.Skip(err)
	}
	for i, d := range list {
		if d.Index != i || d.Name == "" || d.Memory < 1<<28 || d.Major < 3 || d.Multiprocessors < 1 {
			t.Errorf("device %d: %+v", i, d)
		}
	}
	if _, err := cuda.New(len(list)); err == nil || !strings.Contains(err.Error(), "no CUDA device") {
		t.Errorf("device past the last: %v", err)
	}
}

// TestCUDAOutOfMemory asks for more than any device has; the device works on.
func TestCUDAOutOfMemory(t *testing.T) {
	b := openDevice(t)
	_, err := b.NewState(&backend.StateSpec{Name: "huge", DType: backend.F32, Shape: []int{1 << 39}})
	if err == nil || !strings.Contains(err.Error(), "MiB") {
		t.Errorf("%v, want the sizes", err)
	}
	small, err := b.NewState(&backend.StateSpec{Name: "small", DType: backend.F32, Shape: []int{3}})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	got := []float32{1, 2, 3}
	if err := small.Read(backend.BufferOf(got), 0); err != nil || got[0] != 0 || got[2] != 0 {
		t.Errorf("a new state holds %v (%v), want zeros", got, err)
	}
}
