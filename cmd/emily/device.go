package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"emily/backend"
	"emily/backend/cpu"
	"emily/backend/gpu/cuda"
	"emily/backend/gpu/emu"
	"emily/backend/gpu/metal"
)

// deviceFlags choose what computes; byDefault says what does without them.
func deviceFlags(byDefault string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "backend", Usage: "the kind of device: cpu, cuda, metal, or emu, which runs the GPU's kernels on the CPU", DefaultText: byDefault},
		&cli.StringFlag{Name: "device", Usage: "one of several GPUs, such as cuda:1"},
		&cli.IntFlag{Name: "threads", Usage: "worker threads of the CPU, which then computes; 0 for one per processor"},
	}
}

// openBackend starts the device that the flags name; packing is for the CPU.
// Where they name none it is the first NVIDIA GPU, or the CPU, and tell is told
// why. The built-in models, which are done before a GPU has started, stay on the CPU.
func openBackend(c *cli.Context, packing *cpu.Packing, tell func(string)) (backend.Backend, error) {
	name, index, err := chosenDevice(c)
	if err != nil {
		return nil, err
	}
	opt := cpu.Options{Threads: c.Int("threads"), Packing: packing}
	switch {
	case name == "cuda" || name == "metal":
		device, err := startDevice(name, index, opt)
		if err != nil {
			err = fmt.Errorf("%w (--backend cpu needs no GPU)", err)
		}
		return device, err
	case name != "":
		return startDevice(name, index, opt)
	case c.String("model") == "" || opt.Threads > 0:
		return startDevice("cpu", 0, opt)
	}
	device, err := cuda.New(0)
	if err == nil {
		return device, nil
	}
	tell(fmt.Sprintf("computing on the CPU, since %s; --backend cpu leaves this line out", noGPU(err)))
	return startDevice("cpu", 0, opt)
}

// chosenDevice is the kind of device and the index that the flags name, or the
// environment; "" if neither does.
func chosenDevice(c *cli.Context) (name string, index int, err error) {
	if n := c.Int("threads"); n < 0 || n > cpu.MaxThreads {
		return "", 0, usagef("--threads must be between 0 and %d, got %d", cpu.MaxThreads, n)
	}
	wanted := c.String("backend")
	if !c.IsSet("backend") && c.String("device") == "" {
		if wanted = os.Getenv("EMILY_BACKEND"); wanted != "" && !slices.Contains(backendNames, wanted) {
			return "", 0, usagef("EMILY_BACKEND: there is no %q; choose one of %s", wanted, strings.Join(backendNames, ", "))
		}
	}
	return parseDevice(wanted, c.IsSet("backend"), c.String("device"))
}

// noGPU is a few words for why there is no GPU.
func noGPU(err error) string {
	if errors.Is(err, cuda.ErrNoDriver) {
		return cuda.ErrNoDriver.Error()
	}
	return oneLine(err.Error())
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
		if (name != "" || chosen) && !slices.Contains(backendNames, name) {
			return "", 0, usagef("--backend: there is no %q; choose one of %s", name, strings.Join(backendNames, ", "))
		}
		return name, 0, nil
	}
	kind, number, numbered := strings.Cut(device, ":")
	if name == "" {
		name = "cuda"
	}
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
	case !slices.Contains(backendNames, kind):
		return "", 0, usagef("--device: there is no %q; choose one of %s", kind, strings.Join(backendNames, ", "))
	case chosen && kind != name:
		return "", 0, usagef("--device %s is not of --backend %s", device, name)
	case kind != "cuda" && index > 0:
		return "", 0, usagef("--device: there is one %s only", kind)
	}
	return kind, index, nil
}
