package cpu_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"emily/backend"
	"emily/backend/cpu"
)

func randomFloats(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = rng.Float32() - 0.5
	}
	return x
}

func randomWeight(rng *rand.Rand, shape ...int) *backend.Weight {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return &backend.Weight{Name: "w", DType: backend.F32, Shape: shape, Data: backend.BufferOf(randomFloats(rng, n))}
}

// decoder is a layer with caches and a head: most kernels of a model in one graph.
type decoder struct {
	graph  *backend.Graph
	states []*backend.StateSpec
	rows   int
}

const decoderWidth = 64

func newDecoder(rows int) *decoder {
	rng := rand.New(rand.NewPCG(1, 1))
	d := &decoder{graph: backend.NewGraph(), rows: rows}
	g := d.graph
	for _, name := range []string{"keys", "values"} {
		d.states = append(d.states, backend.CacheSpec(name, backend.BF16, 1, 1, 2, 64, 16))
	}
	seg := g.SegmentsInput(rows)
	table := seg.Positions().RotaryTable([]float32{1, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.001}, 1)
	x := g.Input("x", backend.F32, rows, decoderWidth)
	w := func(shape ...int) *backend.Weight { return randomWeight(rng, shape...) }
	y := x.RMSNorm(w(64), 1e-6)
	q, k, v := y.Linear(w(64, 64), nil), y.Linear(w(32, 64), nil), y.Linear(w(32, 64), nil)
	k.RMSNorm(w(16), 1e-6).RoPE(table, 2).CacheUpdate(d.states[0], 0, seg)
	v.CacheUpdate(d.states[1], 0, seg)
	a := q.RMSNorm(w(16), 1e-6).RoPE(table, 4).Attention(backend.AttentionSpec{Heads: 4, KVHeads: 2, Causal: true, KeyState: d.states[0], ValueState: d.states[1], Segments: seg})
	x = x.Add(a.Linear(w(64, 64), w(64)))
	y = x.LayerNorm(w(64), w(64), 1e-5)
	x = x.Add(y.Linear(w(200, 64), nil).SwiGLU(y.Linear(w(200, 64), nil)).Linear(w(64, 200), nil))
	logits := x.RMSNorm(w(64), 1e-6).Linear(w(1000, 64), nil)
	ids, values := logits.TopK(5)
	g.Output("ids", ids)
	g.Output("values", values)
	g.Output("softmax", x.Softmax().Mul(g.Scalar(2)))
	return d
}

// session is a bound decoder with the buffers of its runs.
type session struct {
	backend.Session
	in, out []backend.Buffer
	values  []float32
}

func (d *decoder) bind(t testing.TB, be backend.Backend, prog backend.Program) *session {
	t.Helper()
	var states []backend.State
	for _, spec := range d.states {
		s, err := be.NewState(spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		states = append(states, s)
	}
	sess, err := prog.Bind(states...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sess.Close() })
	s := &session{Session: sess, values: make([]float32, d.rows*5)}
	s.in = []backend.Buffer{backend.BufferOf([]int32{0, 3, int32(d.rows)}), backend.BufferOf(randomFloats(rand.New(rand.NewPCG(2, 2)), d.rows*decoderWidth))}
	s.out = []backend.Buffer{backend.BufferOf(make([]int32, d.rows*5)), backend.BufferOf(s.values), backend.BufferOf(make([]float32, d.rows*decoderWidth))}
	return s
}

func (s *session) run(ctx context.Context) error { return s.Run(ctx, s.in, s.out) }

func compile(t testing.TB, be backend.Backend, g *backend.Graph, opt backend.Options) backend.Program {
	t.Helper()
	prog, err := backend.Compile(be, g, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog
}

// near reports whether two results are equal up to the order of sums.
func near(x, y []float32) bool {
	return slices.EqualFunc(x, y, func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-4 })
}

func TestRunAllocatesNothing(t *testing.T) {
	for _, lane := range []backend.Lane{backend.Fuse, backend.Native} {
		for _, threads := range []int{1, 2} {
			for _, rows := range []int{1, 5, 20} {
				t.Run(fmt.Sprintf("%s/%d threads/%d rows", lane, threads, rows), func(t *testing.T) {
					be := open(t, cpu.Options{Threads: threads})
					d := newDecoder(rows)
					s := d.bind(t, be, compile(t, be, d.graph, backend.Options{Lane: lane}))
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					// A worker's scratch grows when it meets its first large chunk.
					n := testing.AllocsPerRun(30, func() {
						if err := s.run(ctx); err != nil {
							t.Fatal(err)
						}
					})
					if n != 0 {
						t.Errorf("%v allocations a run", n)
					}
				})
			}
		}
	}
}

// TestConcurrentSessions runs sessions of one program at the same time.
func TestConcurrentSessions(t *testing.T) {
	for _, threads := range []int{1, 3} {
		be := open(t, cpu.Options{Threads: threads})
		for _, lane := range []backend.Lane{backend.Fuse, backend.Native, backend.Eager} {
			d := newDecoder(3)
			prog := compile(t, be, d.graph, backend.Options{Lane: lane})
			first := d.bind(t, be, prog)
			if err := first.run(context.Background()); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 4 {
				s := d.bind(t, be, prog)
				wg.Go(func() {
					for range 20 {
						clear(s.values)
						if err := s.run(context.Background()); err != nil {
							t.Error(err)
						}
						if !near(s.values, first.values) {
							t.Errorf("got %v, alone %v", s.values, first.values)
						}
					}
				})
			}
			wg.Wait()
		}
	}
}

// countdown is a context that is cancelled at the n-th look at it.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancel stops runs at every step. The buffers belong to the caller again
// at once, and the session works as before.
func TestCancel(t *testing.T) {
	for _, threads := range []int{1, 3} {
		for _, lane := range []backend.Lane{backend.Fuse, backend.Native, backend.Eager} {
			t.Run(fmt.Sprintf("%s/%d threads", lane, threads), func(t *testing.T) {
				be := open(t, cpu.Options{Threads: threads})
				d := newDecoder(20)
				s := d.bind(t, be, compile(t, be, d.graph, backend.Options{Lane: lane}))
				if err := s.run(context.Background()); err != nil {
					t.Fatal(err)
				}
				want := slices.Clone(s.values)
				finished := false
				for n := int64(0); !finished; n++ {
					ctx := &countdown{Context: context.Background()}
					ctx.left.Store(n)
					err := s.run(ctx)
					finished = err == nil
					if err != nil && err != context.Canceled {
						t.Fatalf("after %d looks: %v", n, err)
					}
					for _, b := range s.out { // races with any worker that goes on
						clear(b)
					}
					if n%8 != 0 && !finished {
						continue
					}
					if err := s.run(context.Background()); err != nil {
						t.Fatal(err)
					}
					if !near(s.values, want) {
						t.Fatalf("after a cancelled run: got %v, want %v", s.values, want)
					}
				}
			})
		}
	}
}

// loop records a tiny language model that feeds itself: the token and its
// place are states. The token after t is (3t+1) mod vocabulary.
func loop(t *testing.T, be backend.Backend) (backend.Session, map[string]backend.State) {
	t.Helper()
	const vocabulary = 11
	table, next := make([]float32, vocabulary*vocabulary), make([]float32, vocabulary*vocabulary)
	for i := range vocabulary {
		table[i*vocabulary+i] = 1
		next[(3*i+1)%vocabulary*vocabulary+i] = 1
	}
	square := func(x []float32) *backend.Weight {
		return &backend.Weight{Name: "w", DType: backend.F32, Shape: []int{vocabulary, vocabulary}, Data: backend.BufferOf(x)}
	}
	token := &backend.StateSpec{Name: "token", DType: backend.I32, Shape: []int{1}}
	place := &backend.StateSpec{Name: "segments", DType: backend.I32, Shape: []int{1, 3}}
	g := backend.NewGraph()
	x := g.Embedding(square(table), g.ReadState(token))
	ids, _ := x.Linear(square(next), nil).TopK(1)
	g.WriteState(token, ids)
	g.WriteState(place, g.ReadState(place).Add(g.Ints([]int32{0, 1, 0}, 1, 3)))
	g.Output("token", ids)
	prog := compile(t, be, g, backend.Options{Strict: true})
	states := map[string]backend.State{}
	for _, spec := range []*backend.StateSpec{place, token} {
		s, err := be.NewState(spec)
		if err != nil {
			t.Fatal(err)
		}
		states[spec.Name] = s
	}
	sess, err := prog.Bind(states["segments"], states["token"])
	if err != nil {
		t.Fatal(err)
	}
	return sess, states
}

func TestSteps(t *testing.T) {
	sess, states := loop(t, open(t, cpu.Options{Threads: 2}))
	start := []int32{2}
	if err := states["token"].Write(backend.BufferOf(start), 0); err != nil {
		t.Fatal(err)
	}
	var got []int32
	collect := func(limit int) func(int32) bool {
		return func(id int32) bool {
			got = append(got, id)
			return len(got) < limit
		}
	}
	ctx := context.Background()
	if n, err := sess.Steps(ctx, 4, collect(100)); n != 4 || err != nil {
		t.Fatalf("4 steps: %d, %v", n, err)
	}
	if n, err := sess.Steps(ctx, 100, collect(6)); n != 2 || err != nil {
		t.Fatalf("stopped by yield: %d, %v", n, err)
	}
	if n, err := sess.Steps(ctx, 0, collect(0)); n != 0 || err != nil {
		t.Fatalf("no steps: %d, %v", n, err)
	}
	if want := []int32{7, 0, 1, 4, 2, 7}; !slices.Equal(got, want) {
		t.Errorf("tokens are %d, want %d", got, want)
	}
	place := make([]int32, 3)
	if err := states["segments"].Read(backend.BufferOf(place), 0); err != nil {
		t.Fatal(err)
	}
	if place[1] != 6 {
		t.Errorf("position is %d after 6 steps", place[1])
	}
	cancelled, cancel := context.WithCancel(ctx)
	n, err := sess.Steps(cancelled, 10, func(int32) bool {
		cancel()
		return true
	})
	if n != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled in the first yield: %d, %v", n, err)
	}
}

func TestMisuse(t *testing.T) {
	be, other := open(t, cpu.Options{Threads: 1}), open(t, cpu.Options{Threads: 1})
	d := newDecoder(2)
	prog := compile(t, be, d.graph, backend.Options{})
	s := d.bind(t, be, prog)
	ctx := context.Background()
	state := func(spec *backend.StateSpec) backend.State {
		st, err := be.NewState(spec)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	closed := state(d.states[1])
	closed.Close()
	shut := d.bind(t, be, prog)
	shut.Close()
	pair := []backend.State{state(d.states[0]), state(d.states[1])}
	late, err := prog.Bind(pair...)
	if err != nil {
		t.Fatal(err)
	}
	pair[0].Close()
	stepless, err := prog.Bind(state(d.states[0]), state(d.states[1]))
	if err != nil {
		t.Fatal(err)
	}
	small := state(&backend.StateSpec{Name: "small", DType: backend.F32, Shape: []int{2}})
	bind := func(states ...backend.State) error { _, err := prog.Bind(states...); return err }
	newState := func(shape ...int) error {
		_, err := be.NewState(&backend.StateSpec{Name: "cache", DType: backend.F32, Shape: shape})
		return err
	}
	for _, c := range []struct {
		name, words string
		err         error
	}{
		{"too few inputs", "2 inputs|got 1", s.Run(ctx, s.in[:1], s.out)},
		{"too many outputs", "3 outputs|4", s.Run(ctx, s.in, append(s.out[:3:3], nil))},
		{"short input", "input x|508 bytes|f32[2 64]", s.Run(ctx, []backend.Buffer{s.in[0], s.in[1][4:]}, s.out)},
		{"nil input", "input x|0 bytes", s.Run(ctx, []backend.Buffer{s.in[0], nil}, s.out)},
		{"long output", "output ids|44 bytes|i32[2 5]", s.Run(ctx, s.in, []backend.Buffer{make(backend.Buffer, 44), s.out[1], s.out[2]})},
		{"no states", "keys", bind()},
		{"one state", "values", bind(state(d.states[0]))},
		{"nil state", "keys", bind(nil, nil)},
		{"a state of an equal spec", "keys", bind(state(backend.CacheSpec("keys", backend.BF16, 1, 1, 2, 64, 16)), state(d.states[1]))},
		{"a foreign state", "keys|another backend", bind(foreign{d.states[0]}, state(d.states[1]))},
		{"a closed state", "values|closed", bind(state(d.states[0]), closed)},
		{"a state closed after Bind", "keys|closed", late.Run(ctx, s.in, s.out)},
		{"a closed session", "session is closed", shut.run(ctx)},
		{"read past the end", "small|8 bytes at 4", small.Read(make([]byte, 8), 4)},
		{"write past the end", "small|9 bytes", small.Write(make([]byte, 9), 0)},
		{"negative offset", "small|-1", small.Read(make([]byte, 1), -1)},
		{"offset that overflows", "small", small.Write(make([]byte, 4), math.MaxInt)},
		{"a closed state's contents", "closed", closed.Read(make([]byte, 4), 0)},
		{"negative size", "cache|at least 1", newState(2, -1)},
		{"no size", "cache|at least 1", newState(2, 0)},
		{"size that overflows", "cache|4 TiB", newState(1<<40, 1<<40)},
		{"steps of a program with inputs", "2 inputs", func() error { _, err := stepless.Steps(ctx, 3, nil); return err }()},
		{"negative threads", "-1", func() error { _, err := cpu.New(cpu.Options{Threads: -1}); return err }()},
		{"unknown kernels", "mmx|generic", func() error { _, err := cpu.New(cpu.Options{Kernels: "mmx"}); return err }()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.err == nil {
				t.Fatal("no error")
			}
			for _, w := range strings.Split(c.words, "|") {
				if !strings.Contains(c.err.Error(), w) {
					t.Errorf("%q does not say %q", c.err, w)
				}
			}
		})
	}
	if err := s.run(ctx); err != nil {
		t.Errorf("after all that: %v", err)
	}
	// Two processors' backends share what they read: a program does not mind whose pool made a state.
	if st, err := other.NewState(d.states[0]); err != nil || bind(st, state(d.states[1])) != nil {
		t.Errorf("a state of another cpu backend: %v", err)
	}
}

// foreign is a state that no cpu backend made.
type foreign struct{ spec *backend.StateSpec }

func (f foreign) Spec() *backend.StateSpec { return f.spec }
func (foreign) Read([]byte, int) error     { return nil }
func (foreign) Write([]byte, int) error    { return nil }
func (foreign) Close() error               { return nil }

func TestInfo(t *testing.T) {
	t.Setenv("EMILY_CPU", "generic")
	info := open(t, cpu.Options{Threads: 3}).Info()
	if info.Backend != "cpu" || info.Kernels != "generic" || info.Threads != 3 || info.Device == "" {
		t.Errorf("%+v", info)
	}
	t.Setenv("EMILY_CPU", "")
	if info := open(t, cpu.Options{}).Info(); info.Threads < 1 || info.Kernels == "" {
		t.Errorf("%+v", info)
	}
}
