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
	return &state{spec: spec, data: aligned(spec.Bytes())}, nil
}

func (s *state) Spec() *backend.StateSpec { return s.spec }

func (s *state) Read(dst []byte, offset int) error {
	if offset < 0 || offset+len(dst) > len(s.data) {
		return fmt.Errorf("state %s: bytes %d to %d of %d", s.spec.Name, offset, offset+len(dst), len(s.data))
	}
	copy(dst, s.data[offset:])
	return nil
}

func (s *state) Write(src []byte, offset int) error {
	if offset < 0 || offset+len(src) > len(s.data) {
		return fmt.Errorf("state %s: bytes %d to %d of %d", s.spec.Name, offset, offset+len(src), len(s.data))
	}
	copy(s.data[offset:], src)
	return nil
}

func (s *state) Close() error {
	s.data = nil
	return nil
}
