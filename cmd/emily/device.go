package main

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"emily/backend"
	"emily/backend/cpu"
	"emily/backend/gpu/cuda"
	"emily/backend/gpu/emu"
	"emily/backend/gpu/metal"
)

// deviceFlags choose what computes.
func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "backend", Usage: "the kind of device: cpu, cuda, metal, or emu, which runs the GPU's kernels on the CPU", Value: "cpu"},
		&cli.StringFlag{Name: "device", Usage: "one of several GPUs, such as cuda:1"},
		&cli.IntFlag{Name: "threads", Usage: "worker threads of the CPU, 0 for one per processor"},
	}
}

// openBackend starts the device that the flags name; packing is for the CPU.
func openBackend(c *cli.Context, packing *cpu.Packing) (backend.Backend, error) {
	if n := c.Int("threads"); n < 0 || n > cpu.MaxThreads {
		return nil, usagef("--threads must be between 0 and %d, got %d", cpu.MaxThreads, n)
	}
	name, index, err := parseDevice(c.String("backend"), c.IsSet("backend"), c.String("device"))
	if err != nil {
		return nil, err
	}
	return startDevice(name, index, cpu.Options{Threads: c.Int("threads"), Packing: packing})
}

// backendNames are the kinds of devices.
var backendNames = []string{"cpu", "cuda", "metal", "emu"}

// startDevice starts a device of a kind. The index is for several GPUs, the
// options for the CPU.
func startDevice(name string, index int, opt cpu.Options) (backend.Backend, error) {
	switch name {
	case "cpu":
		return cpu.New(opt)
	case "cuda":
		return cuda.New(index)
	case "metal":
		return metal.New()
	case "emu":
		return emu.New()
	}
	return nil, usagef("--backend: there is no %q; choose one of %s", name, strings.Join(backendNames, ", "))
}

// parseDevice joins --backend and --device, which may name the backend too.
func parseDevice(name string, chosen bool, device string) (string, int, error) {
	if device == "" {
		return name, 0, nil
	}
	kind, number, numbered := strings.Cut(device, ":")
	if !numbered {
		number = "0"
		if _, err := strconv.Atoi(kind); err == nil {
			kind, number = name, kind
		}
	}
	index, err := strconv.Atoi(number)
	switch {
	case err != nil || index < 0:
		return "", 0, usagef("--device: %q is not like cuda:1", device)
	case chosen && kind != name:
		return "", 0, usagef("--device %s is not of --backend %s", device, name)
	case kind != "cuda" && index > 0:
		return "", 0, usagef("--device: there is one %s only", kind)
	}
	return kind, index, nil
}
