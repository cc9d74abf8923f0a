package gpu

import (
	"fmt"

	"emily/backend"
)

// state is device memory that outlives runs.
type state struct {
	driver Driver
	spec   *backend.StateSpec
	memory Memory
	open   bool
}

// maxState bounds a state, so that no product of sizes overflows.
const maxState = 1 << 42

// NewState returns a state of zeros on the device.
func (b *Backend) NewState(spec *backend.StateSpec) (backend.State, error) {
	n := spec.DType.Size()
	for _, d := range spec.Shape {
		if d < 1 || n > maxState/d {
			return nil, fmt.Errorf("state %s: each dimension must be at least 1 and the whole at most %d TiB", spec, maxState>>40)
		}
		n *= d
	}
	m, err := b.memory(n)
	if err != nil {
		return nil, fmt.Errorf("state %s: %w", spec, err)
	}
	if err := b.driver.Zero(Span{m, 0, n}); err != nil {
		b.driver.Free(m)
		return nil, fmt.Errorf("state %s: %w", spec, err)
	}
	return &state{b.driver, spec, m, true}, nil
}

func (s *state) Spec() *backend.StateSpec { return s.spec }

// span returns n bytes at an offset, if all of them are in the state.
func (s *state) span(n, offset int) (Span, error) {
	if !s.open {
		return Span{}, fmt.Errorf("state %s is closed", s.spec)
	}
	if offset < 0 || offset > s.spec.Bytes()-n {
		return Span{}, fmt.Errorf("state %s: %d bytes at %d do not lie in its %d", s.spec.Name, n, offset, s.spec.Bytes())
	}
	return Span{s.memory, offset, n}, nil
}

func (s *state) Read(dst []byte, offset int) error {
	span, err := s.span(len(dst), offset)
	if err != nil {
		return err
	}
	return s.driver.Read(dst, span)
}

func (s *state) Write(src []byte, offset int) error {
	span, err := s.span(len(src), offset)
	if err != nil {
		return err
	}
	return s.driver.Write(span, src)
}

func (s *state) Close() error {
	if s.open {
		s.open = false
		s.driver.Free(s.memory)
	}
	return nil
}
