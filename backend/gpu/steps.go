package gpu

import (
	"context"
	"errors"

	"emily/backend"
)

// mostAhead is the number of runs that the closed loop queues before it looks
// at their tokens. The device waits for the host once in so many.
const mostAhead = 16

// stepper holds the tokens of queued runs on the device until they are read.
type stepper struct {
	memory Memory
	save   [mostAhead]Launch // copies the first output to its place in memory
	tokens [mostAhead]int32
}

func (s *session) newStepper() (*stepper, error) {
	g := s.program.plan.Graph
	if len(g.Inputs()) != 0 || len(g.Outputs()) == 0 || g.Outputs()[0].Tensor.DType() != backend.I32 || g.Outputs()[0].Tensor.Elements() != 1 {
		return nil, errors.New("the closed loop needs a program without inputs whose first output is one I32")
	}
	st := &stepper{}
	var err error
	if st.memory, err = s.program.backend.memory(4 * mostAhead); err != nil {
		return nil, err
	}
	one := []int{1}
	args := bytesOf(mapping([]int{1}, one, one))
	for i := range st.save {
		st.save[i] = Launch{Kernel: s.program.backend.kernels[copy32], Grid: [3]int{1, 1, 1}, Threads: warpSize, Args: args,
			Spans: []Span{{s.memory, s.outputs[0], 4}, {st.memory, 4 * i, 4}}}
	}
	return st, nil
}

func (st *stepper) close(d Driver) error {
	if st != nil {
		d.Free(st.memory)
	}
	return nil
}

// Steps runs the closed loop. The program carries token and position in
// states, so runs are queued ahead, first one, then twice as many each time.
// When yield ends the loop, the runs queued ahead have run and are counted.
func (s *session) Steps(ctx context.Context, n int, yield func(int32) bool) (int, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	if s.steps == nil {
		var err error
		if s.steps, err = s.newStepper(); err != nil {
			return 0, err
		}
	}
	st := s.steps
	for done, ahead := 0, 1; ; ahead = min(2*ahead, mostAhead) {
		ahead = min(ahead, n-done)
		if ahead <= 0 {
			return done, nil
		}
		for i := range ahead {
			if err := s.compute(ctx); err != nil {
				return done, err
			}
			if err := s.driver.Launch(&st.save[i]); err != nil {
				return done, err
			}
		}
		tokens := st.tokens[:ahead]
		if err := s.driver.Read(backend.BufferOf(tokens), Span{st.memory, 0, 4 * ahead}); err != nil {
			return done, err
		}
		done += ahead
		for _, token := range tokens {
			if !yield(token) {
				return done, nil
			}
		}
	}
}
