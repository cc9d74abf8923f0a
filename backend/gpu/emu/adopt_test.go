//go:build unix

package emu_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"emily/arch"
	"emily/backend"
	"emily/backend/gpu"
	"emily/internal/golden"
	"emily/internal/mmap"
)

// account counts the bytes that are allocated on the emulated device, which
// binds no memory through it.
type account struct {
	gpu.Driver
	mu     sync.Mutex
	pieces map[uintptr]int
}

func newAccount(t *testing.T) *account {
	return &account{Driver: open(t).Driver(), pieces: map[uintptr]int{}}
}

func (a *account) Alloc(bytes int) (gpu.Memory, error) {
	m, err := a.Driver.Alloc(bytes)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pieces[m.Handle] = bytes
	return m, err
}

func (a *account) Free(m gpu.Memory) {
	a.mu.Lock()
	delete(a.pieces, m.Handle)
	a.mu.Unlock()
	a.Driver.Free(m)
}

func (a *account) used() (bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.pieces {
		bytes += n
	}
	return bytes
}

// address binds memory as the emulator does, page as Metal does: whole pages,
// in which the data has an offset. bound counts bytes.
type (
	address struct {
		*account
		bound int
	}
	page struct {
		*account
		bound int
	}
)

func (d *address) Adopt(data []byte) (gpu.Span, bool) {
	at, ok := d.Driver.(gpu.Adopter).Adopt(data)
	if ok {
		d.bound += len(data)
	}
	return at, ok
}

func (d *page) Adopt(data []byte) (gpu.Span, bool) {
	start := unsafe.Pointer(unsafe.SliceData(data))
	offset := int(uintptr(start) & uintptr(os.Getpagesize()-1))
	if offset%16 != 0 { // Metal's kernels load from there too, the emulator's do not
		return gpu.Span{}, false
	}
	at, ok := d.Driver.(gpu.Adopter).Adopt(unsafe.Slice((*byte)(unsafe.Add(start, -offset)), offset+len(data)))
	if ok {
		d.bound += len(data)
	}
	at.Offset, at.Bytes = offset, len(data)
	return at, ok
}

// TestBoundProducts multiplies with weights that lie in a mapped file, some of
// them where a kernel could not load from, and with one in Go's memory.
func TestBoundProducts(t *testing.T) {
	const width, size = 96, 4 * 96 * 96 // more than a page each
	offsets := []int{16, 16 + size, 8 + 16 + 2*size, 32 + 3*size}
	content := make([]byte, 64+4*size)
	for i := range len(content) / 4 {
		binary.LittleEndian.PutUint32(content[4*i:], math.Float32bits(float32(i%31-15)/100))
	}
	data := mapFile(t, content)
	var weights []*backend.Weight
	for i, at := range offsets {
		weights = append(weights, &backend.Weight{Name: fmt.Sprint(i), DType: backend.F32, Shape: []int{width, width}, Data: data[at : at+size], Forget: func() {}})
	}
	weights[3].Data, weights[3].Forget = slices.Clone(weights[3].Data), nil
	run := func(t *testing.T, d gpu.Driver, account *account, lane backend.Lane) (y []float32, used int) {
		b, err := gpu.New(d)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		g := backend.NewGraph()
		x := g.Input("x", backend.F32, 3, width)
		for _, w := range weights {
			x = x.Linear(w, nil)
		}
		g.Output("y", x)
		p, err := backend.Compile(b, g, backend.Options{Lane: lane})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		used = account.used()
		s, err := p.Bind()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		in := make([]float32, 3*width)
		for i := range in {
			in[i] = float32(i%7) - 3
		}
		y = make([]float32, 3*width)
		if err := s.Run(t.Context(), []backend.Buffer{backend.BufferOf(in)}, []backend.Buffer{backend.BufferOf(y)}); err != nil {
			t.Fatal(err)
		}
		return y, used
	}
	for _, lane := range golden.Lanes {
		copying := newAccount(t)
		want, all := run(t, copying, copying, lane)
		if all < 4*size {
			t.Errorf("%s: copies of four weights take %d bytes", lane, all)
		}
		if want[0] == 0 {
			t.Errorf("%s: the product is 0", lane)
		}
		byAddress, byPage := &address{account: newAccount(t)}, &page{account: newAccount(t)}
		for _, c := range []struct {
			what    string
			driver  gpu.Driver
			account *account
			bound   *int
		}{{"addresses", byAddress, byAddress.account, &byAddress.bound}, {"pages", byPage, byPage.account, &byPage.bound}} {
			got, used := run(t, c.driver, c.account, lane)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: bound weights give another product than copies", lane, c.what)
			}
			if *c.bound != 2*size || used != all-2*size {
				t.Errorf("%s, %s: %d bytes are bound and %d in use; want %d and %d", lane, c.what, *c.bound, used, 2*size, all-2*size)
			}
			if used := c.account.used(); used != 0 {
				t.Errorf("%s, %s: %d bytes are left", lane, c.what, used)
			}
		}
	}
}

// TestBoundModel runs a model's prompt and its decoder's kernel with weights in
// the mapped file.
func TestBoundModel(t *testing.T) {
	run := func(t *testing.T, d gpu.Driver, account *account) (ids []int32, values []float32, used int) {
		b, err := gpu.New(d)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		decoding := false
		event := func(s string) {
			if decoding { // not by the decoder's kernel
				t.Error(s)
			}
		}
		m := golden.LoadOptions(t, golden.Path("models", "tiny-llama"), arch.Options{Backend: b, Strict: true, Event: event}).Model
		seq, err := m.(arch.Decoder).NewSequence()
		if err != nil {
			t.Fatal(err)
		}
		defer seq.Close()
		next := []int32{1, 5, 9, 3}
		for range 3 {
			top, score, err := seq.Extend(t.Context(), next, 1)
			if err != nil {
				t.Fatal(err)
			}
			ids, values, next = append(ids, top[0]), append(values, score[0]), top[:1]
			decoding = true
		}
		return ids, values, account.used()
	}
	copying, binding := newAccount(t), &address{account: newAccount(t)}
	ids, values, all := run(t, copying, copying)
	gotIDs, gotValues, used := run(t, binding, binding.account)
	if !slices.Equal(gotIDs, ids) || !slices.Equal(gotValues, values) {
		t.Errorf("tokens %v of %v with bound weights, %v of %v with copies", gotIDs, gotValues, ids, values)
	}
	if binding.bound < 200_000 || used != all-binding.bound {
		t.Errorf("%d bytes are in use where %d of %d are bound", used, binding.bound, all)
	}
}

// TestBoundTruncated binds a weight whose mapped file has become shorter.
func TestBoundTruncated(t *testing.T) {
	b := open(t)
	const size = 1 << 20
	path := filepath.Join(t.TempDir(), "weights")
	data := mapPath(t, path, make([]byte, size))
	w := &backend.Weight{Name: "w", DType: backend.F32, Shape: []int{size / 4}, Data: data, Forget: func() {}}
	if err := b.Upload(w); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size/2); err != nil {
		t.Fatal(err)
	}
	if err := b.Upload(w); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("%v, want what happened to the file", err)
	}
}

func mapFile(t *testing.T, content []byte) []byte {
	t.Helper()
	return mapPath(t, filepath.Join(t.TempDir(), "weights"), content)
}

func mapPath(t *testing.T, path string, content []byte) []byte {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, unmap, err := mmap.Map(f, len(content))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmap() })
	return data
}
