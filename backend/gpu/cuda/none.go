//go:build !linux || nogpu

// Package cuda drives NVIDIA GPUs; this build leaves it out.
package cuda

import (
	"errors"

	"emily/backend/gpu"
)

var errLeftOut = errors.New("this build of emily has no CUDA: it needs Linux and a build without the tag nogpu")

// ErrNoDriver is in no error of this build.
var ErrNoDriver = errors.New("there is no NVIDIA driver")

// Device is a CUDA device as Probe finds it.
type Device struct {
	Index                                 int
	Name                                  string
	Memory, Major, Minor, Multiprocessors int
}

// New fails in this build.
func New(int) (*gpu.Backend, error) { return nil, errLeftOut }

// Probe fails in this build.
func Probe() ([]Device, error) { return nil, errLeftOut }
