package emu_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"emily/backend"
	"emily/backend/gpu"
	"emily/backend/gpu/kernels"
)

// TestReadMemory checks that all of the memory is read, by the exclusive or of its words.
func TestReadMemory(t *testing.T) {
	b := open(t)
	d := b.Driver()
	compiled, err := d.Compile(kernels.Source("host", kernels.Plain), []string{"read_memory"})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	const threads = 64
	for _, pieces := range []int{1, 63, 64, 65, 511, 512, 1000} {
		x, y := make([]int32, 4*pieces), make([]int32, threads)
		var want, got int32
		for i := range x {
			x[i] = int32(rng.Uint32())
			want ^= x[i]
		}
		from, to := spanOf(t, d, 4*len(x)), spanOf(t, d, 4*threads)
		if err := d.Write(from, backend.BufferOf(x)); err != nil {
			t.Fatal(err)
		}
		args := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(pieces)), threads)
		if err := d.Launch(&gpu.Launch{Kernel: compiled[0], Grid: [3]int{2, 1, 1}, Threads: threads / 2, Spans: []gpu.Span{from, to}, Args: args}); err != nil {
			t.Fatal(err)
		}
		if err := d.Read(backend.BufferOf(y), to); err != nil {
			t.Fatal(err)
		}
		for _, v := range y {
			got ^= v
		}
		if got != want {
			t.Errorf("%d pieces: exclusive or %#x, want %#x", pieces, got, want)
		}
	}
	read, free, err := b.Reading(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	if err := read(2); err != nil {
		t.Error(err)
	}
	if _, _, err := b.Reading(8); err == nil {
		t.Error("less than a piece was read")
	}
}

// spanOf is memory of a device until the test ends.
func spanOf(t *testing.T, d gpu.Driver, bytes int) gpu.Span {
	t.Helper()
	m, err := d.Alloc(bytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(m) })
	return gpu.Span{Memory: m, Bytes: bytes}
}
