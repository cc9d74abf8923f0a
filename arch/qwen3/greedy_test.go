package qwen3

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/internal/golden"
)

// TestGreedy: the closed loop says what Extend says, past the growth of the
// cache, after it was ended in the middle, and with cancelled calls between.
func TestGreedy(t *testing.T) {
	m := golden.Load(t, golden.Backend(t), "tiny-qwen3", backend.Fuse).Model.(*Model)
	prompt := make([]int32, 250) // the cache grows at 256
	for i := range prompt {
		prompt[i] = int32(i%90 + 1)
	}
	want := greedy(t, m, prompt, 32)
	seq, err := m.NewSequence()
	if err != nil {
		t.Fatal(err)
	}
	defer seq.Close()
	top, _, err := seq.Extend(t.Context(), prompt, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := []int32{top[0]}
	for _, take := range []int{1, 3, 7, 20} { // of runs that could go on
		n := len(got) + take - 1
		err := seq.Greedy(t.Context(), got[len(got)-1], len(want)-len(got), func(id int32) bool {
			got = append(got, id)
			return len(got) <= n
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("after %d tokens the loop says %d, want %d", len(got), got, want[:len(got)])
		}
		if length := len(prompt) + len(got) - 1; seq.Length() != length {
			t.Fatalf("the sequence has seen %d tokens, want %d", seq.Length(), length)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := seq.Greedy(cancelled, got[len(got)-1], 1, func(int32) bool { return true }); !errors.Is(err, context.Canceled) {
			t.Fatalf("a cancelled loop returns %v", err)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d tokens of %d", len(got), len(want))
	}
}

func TestGreedyNotNumbers(t *testing.T) {
	m := golden.Load(t, golden.Backend(t), "tiny-qwen3", backend.Fuse).Model.(*Model)
	norm := *m.weights.Norm
	norm.Data = slices.Clone(norm.Data)
	for i := range norm.Data {
		norm.Data[i] = 0xff // NaN in every float type
	}
	m.weights.Norm = &norm
	seq, err := m.NewSequence()
	if err != nil {
		t.Fatal(err)
	}
	defer seq.Close()
	if _, values, err := seq.Extend(t.Context(), []int32{1}, 1); err != nil || !math.IsNaN(float64(values[0])) {
		t.Fatalf("got %v, %v, want NaN", values, err)
	}
	if err := seq.Greedy(t.Context(), 1, 3, func(id int32) bool { t.Errorf("got the token %d", id); return true }); !errors.Is(err, arch.ErrNotNumbers) {
		t.Errorf("got %v, want ErrNotNumbers", err)
	}
}

// TestLargeNumbers decodes with weights whose products are too large for a kernel that adds up in fixed point.
func TestLargeNumbers(t *testing.T) {
	load := func(lane backend.Lane) *Model {
		m := golden.Load(t, golden.Backend(t), "tiny-qwen3", lane).Model.(*Model)
		large := func(w **backend.Weight) {
			scaled := **w
			scaled.Data = slices.Clone(scaled.Data)
			for i := 0; i < len(scaled.Data); i += 2 {
				bits := binary.LittleEndian.Uint16(scaled.Data[i:])
				if bits&0x7f80 != 0 {
					binary.LittleEndian.PutUint16(scaled.Data[i:], bits+16<<7) // times 2^16 in bf16
				}
			}
			*w = &scaled
		}
		large(&m.weights.Embed)
		m.head = m.weights.Embed
		for i := range m.weights.Layers {
			large(&m.weights.Layers[i].Attn.O)
			large(&m.weights.Layers[i].MLP.Down)
		}
		return m
	}
	start := func(m *Model) arch.Sequence {
		seq, err := m.NewSequence()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { seq.Close() })
		return seq
	}
	const tokens = 8
	var want []int32
	for _, lane := range []backend.Lane{backend.Native, backend.Fuse} {
		seq := start(load(lane))
		var got []int32
		err := seq.Greedy(t.Context(), 1, tokens, func(id int32) bool { got = append(got, id); return true })
		if err != nil || len(got) != tokens || seq.Length() != tokens {
			t.Fatalf("%s: %d tokens, %d seen: %v", lane, len(got), seq.Length(), err)
		}
		if want == nil {
			want = got
		}
		top, _, err := start(load(lane)).Extend(t.Context(), []int32{1}, 1)
		if err != nil || !slices.Equal(got, want) || top[0] != want[0] {
			t.Errorf("%s: %v and %v, want %v: %v", lane, got, top, want, err)
		}
	}
}

// TestGreedyClose closes the model while it decodes.
func TestGreedyClose(t *testing.T) {
	m := golden.Load(t, golden.Backend(t), "tiny-qwen3", backend.Fuse).Model.(*Model)
	seq, err := m.NewSequence()
	if err != nil {
		t.Fatal(err)
	}
	defer seq.Close()
	calls := 0
	err = seq.Greedy(t.Context(), 1, 20, func(int32) bool {
		if calls++; calls == 2 {
			m.Close()
		}
		return true
	})
	if !errors.Is(err, arch.ErrClosed) || calls != 2 {
		t.Errorf("after %d tokens: %v, want ErrClosed after 2", calls, err)
	}
}
