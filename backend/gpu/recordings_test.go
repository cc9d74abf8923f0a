package gpu_test

import (
	"testing"

	"emily/backend"
	"emily/backend/gpu"
)

// mover is a device whose memory has other places after each move.
type mover struct {
	counter
	place uintptr
}

func (d *mover) Alloc(bytes int) (gpu.Memory, error) {
	return gpu.Memory{Handle: 256 + d.place, Bytes: bytes}, nil
}

// TestRecordings binds a program again and again: it is recorded anew only
// where its memory is, or its state's, has changed, or another session has the recording.
func TestRecordings(t *testing.T) {
	d := &mover{counter: counter{launches: map[string]int{}}}
	b, err := gpu.New(d)
	if err != nil {
		t.Fatal(err)
	}
	spec := &backend.StateSpec{Name: "s", DType: backend.F32, Shape: []int{4}}
	g := backend.NewGraph()
	g.WriteState(spec, g.ReadState(spec).Neg())
	p, err := backend.Compile(b, g, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bind := func() (backend.State, backend.Session) {
		st, err := b.NewState(spec)
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Bind(st)
		if err != nil {
			t.Fatal(err)
		}
		return st, s
	}
	check := func(when string, want int) {
		t.Helper()
		if d.records != want {
			t.Errorf("%s: recorded %d times, want %d", when, d.records, want)
		}
	}
	_, s := bind()
	check("first", 1)
	_, beside := bind()
	check("beside it", 2)
	s.Close()
	beside.Close()
	_, s = bind()
	check("in the same memory", 2)
	s.Close()
	d.place = 256
	_, s = bind()
	check("elsewhere", 3)
	if err := s.Run(t.Context(), nil, nil); err != nil || len(d.launches) == 0 {
		t.Errorf("%v, launches %v", err, d.launches)
	}
	s.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
