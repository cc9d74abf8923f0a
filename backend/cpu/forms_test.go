package cpu_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"emily/backend"
	"emily/backend/cpu"
	"emily/backend/cpu/kernel"
)

// bf16Weight returns a weight of normally distributed numbers, at an odd address.
func bf16Weight(name string, n, k int) *backend.Weight {
	rng := rand.New(rand.NewPCG(uint64(len(name)), 5))
	x := make([]float32, n*k)
	for i := range x {
		x[i] = float32(rng.NormFloat64()) / 16
	}
	data := make([]byte, 2*n*k+1)[1:]
	kernel.Best().BFloat16.Narrow(data, x)
	return &backend.Weight{Name: name, DType: backend.BF16, Shape: []int{n, k}, Data: data, Source: "test"}
}

// packable is a graph like a decoder's: all kinds of products, and a head.
type packable struct{ q, k, gate, up, down, head *backend.Weight }

const packableWidth = 192

func newPackable() packable {
	return packable{
		q: bf16Weight("q", 192, 192), k: bf16Weight("k", 100, 192),
		gate: bf16Weight("gate", 200, 192), up: bf16Weight("up", 200, 192),
		down: bf16Weight("down", 192, 200), head: bf16Weight("head", 3000, 192),
	}
}

func (d packable) graph(rows, want, top int) *backend.Graph {
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, rows, packableWidth)
	g.Output("k", x.Linear(d.k, nil))
	h := x.Add(x.Linear(d.q, nil))
	h = h.Add(h.Linear(d.gate, nil).SwiGLU(h.Linear(d.up, nil)).Linear(d.down, nil))
	logits := h.Rows(g.Input("want", backend.I32, want)).Linear(d.head, nil)
	ids, values := logits.TopK(top)
	g.Output("ids", ids)
	g.Output("values", values)
	return g
}

// results are what a run of the decoder computes.
type results struct {
	k, values []float32
	ids       []int32
}

// packableRun is an open session of the decoder.
type packableRun struct {
	t         *testing.T
	session   backend.Session
	rows, top int
	want      []int32
}

func (d packable) open(t *testing.T, be *cpu.Backend, opt backend.Options, rows, want, top int) *packableRun {
	t.Helper()
	p, err := backend.Compile(be, d.graph(rows, want, top), opt)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Bind()
	if err != nil {
		t.Fatal(err)
	}
	r := &packableRun{t: t, session: s, rows: rows, top: top}
	for i := range want {
		r.want = append(r.want, int32(rows-1-i))
	}
	return r
}

func (r *packableRun) close() {
	if err := r.session.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *packableRun) run(x []float32) results {
	r.t.Helper()
	n := len(r.want) * r.top
	out := results{k: make([]float32, r.rows*100), ids: make([]int32, n), values: make([]float32, n)}
	err := r.session.Run(context.Background(), []backend.Buffer{backend.BufferOf(x), backend.BufferOf(r.want)},
		[]backend.Buffer{backend.BufferOf(out.k), backend.BufferOf(out.ids), backend.BufferOf(out.values)})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// sameBits fails unless two results have the same bits.
func sameBits(t *testing.T, what string, got, want results) {
	t.Helper()
	if !slices.Equal(got.ids, want.ids) {
		t.Fatalf("%s: ids %v, want %v", what, got.ids, want.ids)
	}
	equal := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b }
	if !slices.EqualFunc(got.values, want.values, equal) || !slices.EqualFunc(got.k, want.k, equal) {
		t.Fatalf("%s: values %v, want %v", what, got.values, want.values)
	}
}

func normalRows(rng *rand.Rand, rows int) []float32 {
	x := make([]float32, rows*packableWidth)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// notices gathers what a backend tells.
func notices() (func(string), chan string) {
	lines := make(chan string, 100)
	return func(line string) { lines <- line }, lines
}

func packedFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// pack runs the decoder until its weights are packed.
func pack(t *testing.T, d packable, dir string) {
	t.Helper()
	notice, lines := notices()
	be := open(t, cpu.Options{Threads: 2, Packing: &cpu.Packing{Anyway: true, Dir: dir, After: 2, Notice: notice}})
	r := d.open(t, be, backend.Options{}, 1, 1, 1)
	defer r.close()
	x := normalRows(rand.New(rand.NewPCG(1, 1)), 1)
	for range 2 {
		r.run(x)
	}
	if files := packedFiles(t, dir); len(files) > 0 {
		t.Fatalf("packed before its time: %v", files)
	}
	r.run(x)
	select {
	case line := <-lines:
		if !strings.HasPrefix(line, "packed ") || !strings.Contains(line, dir) {
			t.Fatalf("the notice is %q", line)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing was packed")
	}
}

// TestPacking compares packed with plain weights bit by bit: every set of
// kernels, lane and number of rows, arg-max and top-k.
func TestPacking(t *testing.T) {
	d, dir := newPackable(), t.TempDir()
	pack(t, d, dir)
	if files := packedFiles(t, dir); len(files) != 6 {
		t.Fatalf("the store holds %v, want 5 exact forms and a screen", files)
	}
	rng := rand.New(rand.NewPCG(8, 8))
	for _, set := range kernel.All() {
		for _, threads := range []int{1, 3} {
			plain := open(t, cpu.Options{Threads: threads, Kernels: set.Name})
			packed := open(t, cpu.Options{Threads: threads, Kernels: set.Name, Packing: &cpu.Packing{Anyway: true, Dir: dir}})
			for _, opt := range []backend.Options{{Lane: backend.Fuse}, {Lane: backend.Native}, {DType: backend.BF16}} {
				for _, c := range []struct{ rows, want, top int }{{1, 1, 1}, {1, 1, 50}, {2, 1, 5}, {16, 2, 3}, {17, 1, 1}, {40, 17, 2}} {
					a, b := d.open(t, plain, opt, c.rows, c.want, c.top), d.open(t, packed, opt, c.rows, c.want, c.top)
					for i := range 7 {
						x := normalRows(rng, c.rows)
						switch i {
						case 1:
							clear(x)
						case 2:
							x[7] = float32(math.NaN())
						case 3:
							x[7] = float32(math.Inf(-1))
						case 4, 5, 6: // squares, then products underflow
							for p := range x {
								x[p] *= []float32{1e-20, 1e-24, 1e-38}[i-4]
							}
						}
						sameBits(t, fmt.Sprintf("%s, %d threads, %+v, %+v, case %d", set.Name, threads, opt, c, i), b.run(x), a.run(x))
					}
					a.close()
					b.close()
				}
			}
		}
	}
}

// TestPackingReadsForms gives weights other bytes than the store holds for
// them: the results are the store's, so it is what products read.
func TestPackingReadsForms(t *testing.T) {
	d, dir := newPackable(), t.TempDir()
	pack(t, d, dir)
	be := open(t, cpu.Options{Packing: &cpu.Packing{Anyway: true, Dir: dir}})
	x := normalRows(rand.New(rand.NewPCG(1, 1)), 1)
	other := newPackable()
	clear(other.k.Data)
	clear(other.gate.Data)
	r := other.open(t, be, backend.Options{}, 1, 1, 3)
	defer r.close()
	plain := d.open(t, open(t, cpu.Options{}), backend.Options{}, 1, 1, 3)
	defer plain.close()
	sameBits(t, "weights whose bytes were cleared", r.run(x), plain.run(x))
}

// TestPackingLive has weights packed while results are compared.
func TestPackingLive(t *testing.T) {
	d, dir := newPackable(), t.TempDir()
	notice, lines := notices()
	a := d.open(t, open(t, cpu.Options{Threads: 2}), backend.Options{}, 1, 1, 4)
	b := d.open(t, open(t, cpu.Options{Threads: 2, Packing: &cpu.Packing{Anyway: true, Dir: dir, Notice: notice}}), backend.Options{}, 1, 1, 4)
	defer a.close()
	defer b.close()
	rng := rand.New(rand.NewPCG(2, 2))
	for done, after := false, 0; after < 3; {
		x := normalRows(rng, 1)
		sameBits(t, "while packing", b.run(x), a.run(x))
		select {
		case <-lines:
			done = true
		default:
		}
		if done {
			after++
		}
	}
}

// TestPackingResumes closes sessions in the midst of packing.
func TestPackingResumes(t *testing.T) {
	d, dir := newPackable(), t.TempDir()
	notice, lines := notices()
	be := open(t, cpu.Options{Threads: 2, Packing: &cpu.Packing{Anyway: true, Dir: dir, Notice: notice}})
	x := normalRows(rand.New(rand.NewPCG(1, 1)), 1)
	for runs := 2; len(packedFiles(t, dir)) < 6; runs *= 2 {
		r := d.open(t, be, backend.Options{}, 1, 1, 1)
		for range runs {
			r.run(x)
		}
		r.close()
		if runs > 1<<20 {
			t.Fatalf("there is only %v", packedFiles(t, dir))
		}
	}
	for len(lines) > 0 {
		if line := <-lines; !strings.HasPrefix(line, "packed ") {
			t.Error(line)
		}
	}
}

// TestPackingDamaged makes damaged files anew.
func TestPackingDamaged(t *testing.T) {
	d, dir := newPackable(), t.TempDir()
	pack(t, d, dir)
	files := packedFiles(t, dir)
	before := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		before[f] = string(text)
		if err := os.WriteFile(f, text[:len(text)-1], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	notice, lines := notices()
	be := open(t, cpu.Options{Packing: &cpu.Packing{Anyway: true, Dir: dir, Notice: notice}})
	r := d.open(t, be, backend.Options{}, 1, 1, 1)
	r.run(normalRows(rand.New(rand.NewPCG(1, 1)), 1))
	select {
	case <-lines:
	case <-time.After(time.Minute):
		t.Fatal("nothing was packed")
	}
	r.close()
	for f, want := range before {
		if text, err := os.ReadFile(f); err != nil || string(text) != want {
			t.Errorf("%s was not made anew: %v", f, err)
		}
	}
}

// TestPackingTellsOnce has a matrix that does not compress among the others.
func TestPackingTellsOnce(t *testing.T) {
	d, dir := newPackable(), t.TempDir()
	for i := range d.k.Data {
		d.k.Data[i] = byte(i * i >> 3)
	}
	notice, lines := notices()
	be := open(t, cpu.Options{Threads: 2, Packing: &cpu.Packing{Anyway: true, Dir: dir, Notice: notice}})
	x := normalRows(rand.New(rand.NewPCG(1, 1)), 1)
	for i := range 3 {
		r := d.open(t, be, backend.Options{}, 1, 1, 1)
		r.run(x)
		if i == 0 {
			<-lines
		}
		r.run(x)
		r.close()
	}
	if files := packedFiles(t, dir); len(files) != 5 || len(lines) > 0 {
		t.Errorf("the store holds %v; %d more notices", files, len(lines))
	}
}

// TestPackingSlow has kernels for which packing is no gain.
func TestPackingSlow(t *testing.T) {
	notice, lines := notices()
	d, dir := newPackable(), t.TempDir()
	r := d.open(t, open(t, cpu.Options{Kernels: "generic", Packing: &cpu.Packing{Dir: dir, Notice: notice}}), backend.Options{}, 1, 1, 1)
	for range 5 {
		r.run(normalRows(rand.New(rand.NewPCG(1, 1)), 1))
	}
	r.close()
	if files := packedFiles(t, dir); len(files) > 0 || len(lines) > 0 {
		t.Errorf("%v were packed, %d notices", files, len(lines))
	}
}

// TestPackingRefused lists what is not packed.
func TestPackingRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *packable, p *cpu.Packing)
		want   string // of the notice
	}{
		"small": {func(d *packable, p *cpu.Packing) { p.MinBytes = 1 << 30 }, ""},
		"unknown source": {func(d *packable, p *cpu.Packing) {
			for _, w := range []*backend.Weight{d.q, d.k, d.gate, d.up, d.down, d.head} {
				w.Source = ""
			}
		}, ""},
		"no folder": {func(d *packable, p *cpu.Packing) { p.Dir = os.DevNull }, "weights stay unpacked: "},
	} {
		t.Run(name, func(t *testing.T) {
			notice, lines := notices()
			d, p := newPackable(), &cpu.Packing{Anyway: true, Dir: t.TempDir(), Notice: notice}
			c.change(&d, p)
			r := d.open(t, open(t, cpu.Options{Packing: p}), backend.Options{}, 1, 1, 1)
			for range 5 {
				r.run(normalRows(rand.New(rand.NewPCG(1, 1)), 1))
			}
			if c.want != "" {
				if line := <-lines; !strings.HasPrefix(line, c.want) {
					t.Errorf("the notice is %q, want %q", line, c.want)
				}
			}
			r.close()
			if files := packedFiles(t, p.Dir); len(files) > 0 || len(lines) > 0 {
				t.Errorf("%v were packed, %d more notices", files, len(lines))
			}
		})
	}
}
