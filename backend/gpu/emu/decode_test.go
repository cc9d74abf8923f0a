package emu_test

import (
	"slices"
	"testing"

	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/gpu"
	"emily/backend/gpu/emu"
)

// grids of the decoders' kernel: blocks that share rows unevenly or have none, warps
// that share rows, rows of several portions, and keys split among blocks.
var grids = map[string]gpu.Grid{
	"plain":                                      {Blocks: 3, Warps: 2, Feeders: 1, Shared: 24 << 10},
	"all logits, heads partly rotated":           {Blocks: 1, Warps: 1, Feeders: 1, Shared: 32 << 10},
	"few rows":                                   {Blocks: 7, Warps: 2, Feeders: 1, Shared: 28 << 10, Read: 16},
	"long rows":                                  {Blocks: 2, Warps: 4, Feeders: 1, Shared: 56 << 10},
	"longer rows":                                {Blocks: 2, Warps: 1, Feeders: 1, Shared: 96 << 10},
	"long rows in turn":                          {Blocks: 2, Warps: 2, Feeders: 1, Shared: 96 << 10},
	"five pairs of the row a thread":             {Blocks: 2, Warps: 8, Feeders: 1, Shared: 160 << 10, Read: 16},
	"long rows of the last product in turn":      {Blocks: 2, Warps: 4, Feeders: 1, Shared: 80 << 10},
	"rows that warps share unevenly":             {Blocks: 16, Warps: 4, Feeders: 1, Shared: 48 << 10, Read: 16},
	"many keys, two slots":                       {Blocks: 9, Warps: 2, Feeders: 1, Shared: 24 << 10, Read: 16},
	"many keys in bf16, odd heads, windows":      {Blocks: 10, Warps: 2, Feeders: 1, Shared: 24 << 10, Read: 16},
	"four heads on matrix units":                 {Blocks: 9, Warps: 2, Feeders: 1, Shared: 64 << 10},
	"two heads on matrix units in bf16, windows": {Blocks: 6, Warps: 4, Feeders: 1, Shared: 96 << 10, Read: 16},
	"a large head on matrix units":               {Blocks: 3, Warps: 2, Feeders: 1, Shared: 96 << 10},
	"one group of large heads":                   {Blocks: 3, Warps: 2, Feeders: 1, Shared: 48 << 10},
	"heads of 8":                                 {Blocks: 5, Warps: 2, Feeders: 1, Shared: 24 << 10, Read: 16},
}

// gridOf is a case's grid.
func gridOf(c backendtest.DecoderCase) gpu.Grid {
	if grid, ok := grids[c.Name]; ok {
		return grid
	}
	return grids["plain"]
}

// TestDecode compares the kernel that runs a whole step with the kernels for
// its parts: best tokens, scores and what is in the caches.
func TestDecode(t *testing.T) {
	open(t) // skips without a compiler
	parts, err := emu.NewGrid(gpu.Grid{})
	if err != nil {
		t.Fatal(err)
	}
	defer parts.Close()
	for _, c := range backendtest.DecoderCases {
		t.Run(c.Name, func(t *testing.T) {
			whole, err := emu.NewGrid(gridOf(c))
			if err != nil {
				t.Fatal(err)
			}
			defer whole.Close()
			c.Check(t, c.Run(t, whole), c.Run(t, parts))
		})
	}
}

// TestDecodeSteps runs the closed loop, in which token and place are states.
func TestDecodeSteps(t *testing.T) {
	open(t) // skips without a compiler
	d := backendtest.DecoderCases[0]
	d.Closed = true
	var tokens [2][]int32
	for i, grid := range []gpu.Grid{{}, grids["plain"]} {
		b, err := emu.NewGrid(grid)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		g, _, _ := d.Step(backendtest.RandomWeights(), nil)
		p, err := backend.Compile(b, g, backend.Options{Strict: true, Event: func(line string) { t.Error(line) }})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		var states []backend.State
		for _, spec := range p.Plan().States {
			st, err := b.NewState(spec)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			if spec.Name == "segments" {
				if err := st.Write(backend.BufferOf([]int32{0, 0, 1}), 0); err != nil {
					t.Fatal(err)
				}
			}
			states = append(states, st)
		}
		s, err := p.Bind(states...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if n, err := s.Steps(t.Context(), 10, func(v int32) bool { tokens[i] = append(tokens[i], v); return true }); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}
	if !slices.Equal(tokens[0], tokens[1]) {
		t.Errorf("tokens %v, want %v", tokens[1], tokens[0])
	}
}
