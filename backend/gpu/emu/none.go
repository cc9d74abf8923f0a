//go:build (!linux && !darwin) || nogpu

// Package emu emulates a GPU; this build leaves it out.
package emu

import (
	"errors"

	"emily/backend/gpu"
)

// ErrNoCompiler is the error of New in this build.
var ErrNoCompiler = errors.New("this build of emily has no emulator: it needs Linux or macOS and a build without the tag nogpu")

// New fails in this build.
func New() (*gpu.Backend, error) { return nil, ErrNoCompiler }

// NewGrid fails in this build.
func NewGrid(gpu.Grid) (*gpu.Backend, error) { return nil, ErrNoCompiler }

// NewWarps fails in this build.
func NewWarps() (*gpu.Backend, error) { return nil, ErrNoCompiler }

// Probe fails in this build.
func Probe() (string, error) { return "", ErrNoCompiler }
