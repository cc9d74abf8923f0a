package emu_test

import (
	"slices"
	"testing"

	"emily/backend"
)

// TestSteps runs a program that counts in a state, in every lane.
func TestSteps(t *testing.T) {
	b := open(t)
	for _, lane := range []backend.Lane{backend.Fuse, backend.Native, backend.Eager} {
		spec := &backend.StateSpec{Name: "token", DType: backend.I32, Shape: []int{1}}
		g := backend.NewGraph()
		token := g.ReadState(spec)
		g.WriteState(spec, token.Add(g.Ints([]int32{3}, 1)))
		g.Output("token", token)
		p, err := backend.Compile(b, g, backend.Options{Lane: lane})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		state, err := b.NewState(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		s, err := p.Bind(state)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()

		var got []int32
		n, err := s.Steps(t.Context(), 40, func(v int32) bool { got = append(got, v); return true })
		if err != nil || n != 40 || len(got) != 40 || got[0] != 0 || got[39] != 117 || !slices.IsSorted(got) {
			t.Errorf("%s: %d runs gave %v (%v)", lane, n, got, err)
		}

		// The loop ends early: the runs are counted, also those queued ahead.
		got = nil
		n, err = s.Steps(t.Context(), 1000, func(v int32) bool { got = append(got, v); return len(got) < 5 })
		if err != nil || len(got) != 5 || n < 5 {
			t.Errorf("%s: %d runs gave %v (%v)", lane, n, got, err)
		}
		next := make([]int32, 1)
		if err := state.Read(backend.BufferOf(next), 0); err != nil || next[0] != int32(3*(40+n)) {
			t.Errorf("%s: after %d runs the state is %d (%v)", lane, 40+n, next[0], err)
		}
	}
}

// TestStepsOfOtherPrograms refuses programs that have no closed loop.
func TestStepsOfOtherPrograms(t *testing.T) {
	b := open(t)
	g := backend.NewGraph()
	g.Output("y", g.Input("x", backend.F32, 2).Neg())
	p, err := backend.Compile(b, g, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := p.Bind()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Steps(t.Context(), 1, func(int32) bool { return true }); err == nil {
		t.Error("a program with inputs runs as a closed loop")
	}
}
