package gpu_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"emily/arch"
	"emily/arch/bert"
	_ "emily/arch/qwen3"
	"emily/arch/vit"
	"emily/backend"
	"emily/backend/gpu"
	"emily/internal/golden"
)

// counter is a device that computes nothing and notes what it is asked to launch.
type counter struct {
	mu       sync.Mutex // of names: parts are compiled side by side
	names    []string
	launches map[string]int
	records  int
}

func (*counter) Resident(gpu.Kernel, int, int) (int, error) { return 0, nil }
func (c *counter) Info() gpu.Info {
	return gpu.Info{Dialect: "cuda", Backend: "counter", Matrix: true, Units: 132}
}

func (c *counter) Compile(_ string, names []string) ([]gpu.Kernel, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kernels := make([]gpu.Kernel, len(names))
	for i := range kernels {
		kernels[i] = gpu.Kernel(len(c.names) + i)
	}
	c.names = append(c.names, names...)
	return kernels, nil
}

func (c *counter) Alloc(bytes int) (gpu.Memory, error) {
	return gpu.Memory{Handle: 1, Bytes: bytes}, nil
}

func (c *counter) Launch(l *gpu.Launch) error {
	c.launches[c.names[l.Kernel]]++
	return nil
}

func (c *counter) Record(l []gpu.Launch) (gpu.Recording, error) {
	c.records++
	return &recorded{c, l}, nil
}

func (c *counter) Free(gpu.Memory)                 {}
func (c *counter) Write(gpu.Span, []byte) error    { return nil }
func (c *counter) Zero(gpu.Span) error             { return nil }
func (c *counter) Read(b []byte, _ gpu.Span) error { clear(b); return nil }
func (c *counter) Synchronize() error              { return nil }
func (c *counter) Close() error                    { return nil }

type recorded struct {
	counter  *counter
	launches []gpu.Launch
}

func (r *recorded) Replay() error {
	for i := range r.launches {
		r.counter.Launch(&r.launches[i])
	}
	return nil
}

func (r *recorded) Close() error { return nil }

// TestLaunches counts the launches of the tiny models in the lanes that are
// replayed: a larger number is slower wherever launches cost more than their work.
func TestLaunches(t *testing.T) {
	for _, c := range []struct {
		lane   backend.Lane
		dtype  backend.DType
		prompt int // Qwen3 of three layers: 40 tokens, then one
		token  int
		bert   int // DistilBERT: 40 tokens
		vit    int
	}{
		{backend.Fuse, backend.F32, 30, 24, 27, 28},
		{backend.Fuse, backend.BF16, 31, 25, 27, 30},
		{backend.Native, backend.F32, 95, 89, 74, 78},
		{backend.Native, backend.BF16, 93, 90, 74, 78},
	} {
		t.Run(fmt.Sprintf("%s %s", c.lane, c.dtype), func(t *testing.T) {
			device := &counter{}
			b, err := gpu.New(device)
			if err != nil {
				t.Fatal(err)
			}
			load := func(name string) arch.Model {
				return golden.LoadOptions(t, golden.Path("models", name), arch.Options{Backend: b, Lane: c.lane, DType: c.dtype, KV: c.dtype}).Model
			}
			check := func(what string, want int, run func() error) {
				t.Helper()
				device.launches = map[string]int{}
				if err := run(); err != nil {
					t.Error(err)
				}
				got := 0
				var list []string
				for _, name := range slices.Sorted(maps.Keys(device.launches)) {
					got += device.launches[name]
					list = append(list, fmt.Sprintf("%s %d", name, device.launches[name]))
				}
				if got != want {
					t.Errorf("%s: %d launches, want %d: %s", what, got, want, strings.Join(list, ", "))
				}
			}
			seq, err := load("tiny-qwen3").(arch.Decoder).NewSequence()
			if err != nil {
				t.Fatal(err)
			}
			defer seq.Close()
			extend := func(n int) error {
				_, _, err := seq.Extend(t.Context(), make([]int32, n), 1)
				return err
			}
			check("a prompt", c.prompt, func() error { return extend(40) })
			check("a token", c.token, func() error { return extend(1) })
			qa := load("tiny-distilbert-qa").(*bert.QuestionAnswering)
			check("an answer", c.bert, func() error {
				_, err := qa.Spans(t.Context(), []arch.Tokens{{IDs: make([]int32, 40)}})
				return err
			})
			images := load("tiny-vit").(*vit.Classifier)
			const size = 48 * 48 * 3
			check("an image", c.vit, func() error {
				_, err := images.Classify(t.Context(), [][]float32{make([]float32, size)})
				return err
			})
		})
	}
}
