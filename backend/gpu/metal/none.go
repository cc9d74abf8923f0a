//go:build !darwin || !arm64 || nogpu

// Package metal drives the GPU of Macs with Apple silicon; this build leaves it out.
package metal

import (
	"errors"

	"emily/backend/gpu"
)

var errLeftOut = errors.New("this build of emily has no Metal: it needs macOS on Apple silicon and a build without the tag nogpu")

// New fails in this build.
func New() (*gpu.Backend, error) { return nil, errLeftOut }

// Probe fails in this build.
func Probe() (string, error) { return "", errLeftOut }
