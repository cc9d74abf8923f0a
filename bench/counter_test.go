package bench

import (
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/backend/cpu"
	"emily/internal/golden"
)

// TestCounter: the closed loop is counted as the calls that it stands for are.
func TestCounter(t *testing.T) {
	device, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{Backend: device}
	defer c.Close()
	seq, err := golden.Load(t, c, "tiny-qwen3", backend.Fuse).Model.(arch.Decoder).NewSequence()
	if err != nil {
		t.Fatal(err)
	}
	defer seq.Close()
	prompt := []int32{1, 2, 3, 4, 5}
	if _, _, err := seq.Extend(t.Context(), prompt, 1); err != nil {
		t.Fatal(err)
	}
	const tokens = 4
	c.start()
	for range tokens {
		if _, _, err := seq.Extend(t.Context(), []int32{7}, 1); err != nil {
			t.Fatal(err)
		}
	}
	calls, err := c.stop()
	if err != nil {
		t.Fatal(err)
	}
	seq.Truncate(len(prompt))
	c.start()
	if err := seq.Greedy(t.Context(), 7, tokens, func(int32) bool { return true }); err != nil {
		t.Fatal(err)
	}
	loop, err := c.stop()
	if err != nil {
		t.Fatal(err)
	}
	if len(calls) != tokens || len(loop) != tokens {
		t.Fatalf("%d calls and %d steps are counted, want %d", len(calls), len(loop), tokens)
	}
	for i := range tokens {
		// Ids, places and the choice of a row are a few bytes of difference.
		if more := loop[i].Bytes - calls[i].Bytes; more < -256 || more > 256 || loop[i].Bytes < 400_000 {
			t.Errorf("step %d has %d bytes, the call %d", i, loop[i].Bytes, calls[i].Bytes)
		}
		if i > 0 && loop[i].Bytes <= loop[i-1].Bytes {
			t.Errorf("step %d reads no more of the cache than the one before", i)
		}
	}
}
