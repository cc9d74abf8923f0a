package emu_test

import (
	"strings"
	"testing"

	"emily/backend"
	"emily/backend/gpu"
	"emily/backend/gpu/kernels"
)

// meeting are kernels whose blocks wait for each other: some work, others have a mistake.
const meeting = `
// handed: each block adds its number and hands the sum to the next; the last one writes it.
KERNEL(handed, RowArgs, BUF(0, uchar, words), BUF(1, float, x)) {
  const Thread t = THREAD;
  GLOBAL(ulong) w = AS(ulong, words);
  if (t.index != 0) return;
  float sum = t.group_x == 0 ? 0.0f : as_float(take_word(w, t.group_x - 1, 5));
  put_word(w, t.group_x, as_uint(sum + float(t.group_x)), 5);
  if (t.group_x == args.rows - 1) x[0] = sum + float(t.group_x);
}
// vain: all wait for a word that nobody writes.
KERNEL(vain, RowArgs, BUF(0, uchar, words), BUF(1, float, x)) {
  x[0] = as_float(take_word(AS(ulong, words), 0, 5));
}
// late: the word is overwritten before the other block has read it.
KERNEL(late, RowArgs, BUF(0, uchar, words), BUF(1, float, x)) {
  const Thread t = THREAD;
  GLOBAL(ulong) w = AS(ulong, words);
  if (t.index != 0) return;
  if (t.group_x == 0) {
    put_word(w, 0, 1, 5);
    put_word(w, 0, 1, 6);
    put_word(w, 1, 1, 5);
  } else {
    take_word(w, 1, 5);
    x[0] = as_float(take_word(w, 0, 5));
  }
}
// ring: the second warp copies, the first reads each tile when its gate opens.
DEVICE void turn(Thread t, GLOBAL(uchar) words, GLOBAL(float) x, bool waits, bool frees) {
  DYNAMIC(memory);
  LOCAL(ulong) gates = (LOCAL(ulong))(memory + 256);
  if (t.index == 0) {
    for (int i = 0; i < 2; i++) {
      gate_init(gates + i, 1);
      gate_init(gates + 2 + i, 1);
    }
    gates_ready();
  }
  barrier();
  float sum = 0;
  for (int i = 0; i < 6; i++) {
    int slot = i % 2;
    if (t.index == WARP) {
      if (frees) gate_wait(gates + 2 + slot, i / 2 + 1);
      gate_expect(gates + slot, 128);
      bulk_copy(memory + 128 * slot, words + 128 * i, 128, gates + slot);
    }
    if (t.index >= WARP) continue;
    if (waits) gate_wait(gates + slot, i / 2);
    sum += ((LOCAL(float))(memory + 128 * slot))[t.index];
    warp_barrier();
    if (t.index == 0) gate_arrive(gates + 2 + slot);
  }
  if (t.index < WARP) x[t.index] = sum;
}
KERNEL(ring, RowArgs, BUF(0, uchar, words), BUF(1, float, x)) { turn(THREAD, words, x, true, true); }
KERNEL(hasty, RowArgs, BUF(0, uchar, words), BUF(1, float, x)) { turn(THREAD, words, x, false, true); }
KERNEL(greedy, RowArgs, BUF(0, uchar, words), BUF(1, float, x)) { turn(THREAD, words, x, true, false); }
`

// TestResident runs blocks that wait for each other, and finds the mistakes in how they do.
func TestResident(t *testing.T) {
	d := open(t).Driver()
	names := []string{"handed", "vain", "late", "ring", "hasty", "greedy"}
	compiled, err := d.Compile(kernels.Source("host", kernels.Plain)+meeting, names)
	if err != nil {
		t.Fatal(err)
	}
	// run launches a kernel over words that are numbers 0, 1, 2... and returns 32 results.
	run := func(i, blocks int) ([]float32, error) {
		in := make([]float32, 6*32)
		if names[i] == "ring" || names[i] == "hasty" || names[i] == "greedy" {
			for j := range in {
				in[j] = float32(j)
			}
		}
		words, err := d.Alloc(4 * len(in))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(words)
		out, err := d.Alloc(4 * 32)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(out)
		if err := d.Write(gpu.Span{Memory: words, Bytes: 4 * len(in)}, backend.BufferOf(in)); err != nil {
			t.Fatal(err)
		}
		launch := gpu.Launch{Kernel: compiled[i], Grid: [3]int{blocks, 1, 1}, Threads: 64, Shared: 512, Resident: true, Args: backend.BufferOf([]int32{int32(blocks), 0}),
			Spans: []gpu.Span{{Memory: words, Bytes: 4 * len(in)}, {Memory: out, Bytes: 4 * 32}}}
		err = d.Launch(&launch)
		x := make([]float32, 32)
		if err := d.Read(backend.BufferOf(x), gpu.Span{Memory: out, Bytes: 4 * 32}); err != nil {
			t.Fatal(err)
		}
		return x, err
	}
	for round := range 4 { // in both orders of threads
		if x, err := run(0, 5); err != nil || x[0] != 0+1+2+3+4 {
			t.Errorf("round %d: a sum handed from block to block is %v (%v)", round, x[0], err)
		}
		if x, err := run(3, 1); err != nil || x[1] != 6*1+32*(1+2+3+4+5) {
			t.Errorf("round %d: the sum of a ring's tiles is %v (%v)", round, x[1], err)
		}
		if _, err := run(1, 3); err == nil || !strings.Contains(err.Error(), "no thread gets on; ") || !strings.Contains(err.Error(), "block 2 waits for a word of another block") {
			t.Errorf("round %d: a word that nobody writes: %v", round, err)
		}
		if _, err := run(2, 2); err == nil || !strings.Contains(err.Error(), "overwritten before it was read") {
			t.Errorf("round %d: a word that is written too early: %v", round, err)
		}
		if x, err := run(4, 1); err == nil && x[1] == x[1] {
			t.Errorf("round %d: a tile that is read before it is full gives %v", round, x[1])
		}
		if x, err := run(5, 1); err == nil && x[1] == 6*1+32*(1+2+3+4+5) {
			t.Errorf("round %d: a tile that is filled before it is free makes no difference", round)
		}
		if err := d.Synchronize(); err != nil {
			t.Fatal(err)
		}
	}
}
