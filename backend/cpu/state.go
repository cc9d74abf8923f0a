package cpu

import (
	"fmt"

	"emily/backend"
)

// state is a buffer in the heap; large ones come from the system as zero
// pages, so that a cache takes memory only as it fills.
type state struct {
	spec *backend.StateSpec
	data []byte
}

// NewState returns a state of zeros.
func (b *Backend) NewState(spec *backend.StateSpec) (backend.State, error) {
	n := spec.DType.Size()
	for _, d := range spec.Shape {
		if d < 1 || n > maxState/d {
			return nil, fmt.Errorf("state %s: each dimension must be at least 1 and the whole at most %d TiB", spec, maxState>>40)
		}
		n *= d
	}
	return &state{spec: spec, data: aligned(n)}, nil
}

// maxState bounds a state, so that no product of sizes overflows.
const maxState = 1 << 42

// open returns an error if the state is closed.
func (s *state) open() error {
	if s.data == nil {
		return fmt.Errorf("state %s is closed", s.spec)
	}
	return nil
}

// check returns an error if n bytes at an offset are not all in the state.
func (s *state) check(n, offset int) error {
	if err := s.open(); err != nil {
		return err
	}
	if offset < 0 || offset > len(s.data)-n {
		return fmt.Errorf("state %s: %d bytes at %d do not lie in its %d", s.spec.Name, n, offset, len(s.data))
	}
	return nil
}

func (s *state) Spec() *backend.StateSpec { return s.spec }

func (s *state) Read(dst []byte, offset int) error {
	if err := s.check(len(dst), offset); err != nil {
		return err
	}
	copy(dst, s.data[offset:])
	return nil
}

func (s *state) Write(src []byte, offset int) error {
	if err := s.check(len(src), offset); err != nil {
		return err
	}
	copy(s.data[offset:], src)
	return nil
}

func (s *state) Close() error {
	s.data = nil
	return nil
}
