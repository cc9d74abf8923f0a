//go:build linux && !nogpu

package cuda_test

import (
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/cpu"
)

// TestCUDADecode compares decoders' steps with the CPU's, those of small models
// and of two layers of Qwen3-0.6B.
func TestCUDADecode(t *testing.T) {
	device := openDevice(t)
	host, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	cases := backendtest.DecoderCases
	for _, dtype := range []backend.DType{backend.F32, backend.BF16} {
		cases = append(cases, backendtest.DecoderCase{
			Decoder: backendtest.Decoder{Hidden: 1024, Heads: 16, KVHeads: 8, HeadDim: 128, Inner: 3072, Layers: 2, Vocabulary: 5003, Rotated: 128,
				QKNorm: true, Capacity: 4096, Slots: 1, Top: 0, Cache: dtype},
			Name: "Qwen3-0.6B in " + dtype.String(), DType: dtype, Places: []int{0, 1, 57, 63, 64, 191, 192, 193, 1000, 4095},
		})
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			want := c.Run(t, host)
			for range 3 { // a race shows itself now and then
				c.Check(t, c.Run(t, device), want)
			}
		})
	}
}
