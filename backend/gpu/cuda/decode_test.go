//go:build linux && !nogpu

package cuda

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/gpu"
)

// collector is a driver that keeps the programs it is to compile.
type collector struct {
	gpu.Driver
	sources []string
}

func (c *collector) Info() gpu.Info {
	return gpu.Info{Dialect: "cuda", Backend: "collector", Units: 132, Resident: gpu.Grid{Blocks: 132, Warps: 8, Feeders: 4, Shared: 227 << 10, Read: 2500}}
}

func (c *collector) Compile(source string, names []string) ([]gpu.Kernel, error) {
	c.sources = append(c.sources, source)
	return make([]gpu.Kernel, len(names)), nil
}

func (c *collector) Resident(gpu.Kernel, int, int) (int, error) { return 132, nil }
func (c *collector) Alloc(bytes int) (gpu.Memory, error)        { return gpu.Memory{Bytes: bytes}, nil }
func (c *collector) Write(gpu.Span, []byte) error               { return nil }
func (c *collector) Launch(*gpu.Launch) error                   { return nil }
func (c *collector) Free(gpu.Memory)                            {}
func (c *collector) Close() error                               { return nil }

// TestDecodeSource compiles the kernel of a whole decoder's step, which needs no
// device, for the sizes of real models. Its registers must suffice.
func TestDecodeSource(t *testing.T) {
	c := openForTest(t)
	if !c.supports(90) {
		t.Skip("NVRTC makes no code for compute capability 9.0")
	}
	for name, d := range map[string]backendtest.Decoder{
		"Qwen3-0.6B":   {Hidden: 1024, Heads: 16, KVHeads: 8, HeadDim: 128, Inner: 3072, QKNorm: true, Rotated: 128},
		"Qwen3-4B":     {Hidden: 2560, Heads: 32, KVHeads: 8, HeadDim: 128, Inner: 9728, QKNorm: true, Rotated: 128},
		"Llama-3.1-8B": {Hidden: 4096, Heads: 32, KVHeads: 8, HeadDim: 128, Inner: 14336, Rotated: 128}, // rows of several portions
		"SmolLM2-135M": {Hidden: 576, Heads: 9, KVHeads: 3, HeadDim: 64, Inner: 1536, Rotated: 64},
		"Qwen2.5-0.5B": {Hidden: 896, Heads: 14, KVHeads: 2, HeadDim: 64, Inner: 4864, QKVBias: true, Rotated: 64},
	} {
		d.Layers, d.Vocabulary, d.Capacity, d.Slots, d.Top = 1, 1000, 256, 1, 1
		for _, dtype := range []backend.DType{backend.F32, backend.BF16} {
			d.Cache = dtype
			zeros := make([]byte, 2*max(d.Inner, d.Heads*d.HeadDim, d.Vocabulary)*d.Hidden)
			g, _, _ := d.Step(func(name string, shape ...int) *backend.Weight {
				w := &backend.Weight{Name: name, DType: backend.BF16, Shape: shape}
				w.Data = zeros[:2*w.Elements()]
				return w
			}, nil)
			kept := &collector{}
			b, err := gpu.New(kept)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := backend.Compile(b, g, backend.Options{DType: dtype, Event: func(line string) { t.Error(line) }}); err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(kept.sources, func(s string) bool { return strings.HasPrefix(s, "#define HIDDEN") })
			if i < 0 {
				t.Fatalf("%s: there is no kernel for the step", name)
			}
			code, messages, err := c.build(kept.sources[i], 90, "--ptxas-options=-v")
			if err != nil || !strings.HasPrefix(string(code), "\x7fELF") {
				t.Errorf("%s in %s: %d bytes, %v", name, dtype, len(code), err)
			}
			checkSpills(t, fmt.Sprintf("%s in %s", name, dtype), messages)
		}
	}
}
