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

// deviceChoice is a kind of device and which of several GPUs; without a kind, the
// default.
type deviceChoice struct {
	kind  string
	index int
}

// chooseDevice reads the flags that choose what computes, and the environment.
func chooseDevice(c *cli.Context) (chosen deviceChoice, err error) {
	if n := c.Int("threads"); n < 0 || n > cpu.MaxThreads {
		return chosen, usagef("--threads must be between 0 and %d, got %d", cpu.MaxThreads, n)
	}
	threads := c.Int("threads") > 0
	if c.IsSet("backend") || c.String("device") != "" {
		chosen.kind, chosen.index, err = parseDevice(c.String("backend"), c.IsSet("backend"), c.String("device"))
		if err == nil && threads && chosen.kind != "cpu" {
			err = usagef("--threads is for the CPU, not for %s", chosen.kind)
		}
		return chosen, err
	}
	if threads {
		return deviceChoice{kind: "cpu"}, nil
	}
	chosen.kind = os.Getenv("EMILY_BACKEND")
	if chosen.kind != "" {
		err = checkKind("EMILY_BACKEND", chosen.kind)
	}
	return chosen, err
}

// openBackend starts the device that was chosen; packing is for the CPU. The
// default is the first NVIDIA GPU, or the CPU, and tell is told why. The built-in
// models, which are done before a GPU has started, stay on the CPU.
func openBackend(c *cli.Context, chosen deviceChoice, packing *cpu.Packing, tell func(string)) (backend.Backend, error) {
	opt := cpu.Options{Threads: c.Int("threads"), Packing: packing}
	switch {
	case chosen.kind == "cuda" || chosen.kind == "metal":
		device, err := startDevice(chosen.kind, chosen.index, opt)
		if err != nil {
			err = fmt.Errorf("%w (--backend cpu needs no GPU)", err)
		}
		return device, err
	case chosen.kind != "":
		return startDevice(chosen.kind, chosen.index, opt)
	case c.String("model") == "":
		return startDevice("cpu", 0, opt)
	}
	device, err := cuda.New(0)
	if err == nil {
		return device, nil
	}
	tell(fmt.Sprintf("computing on the CPU, since %s; --backend cpu leaves this line out", noGPU(err)))
	return startDevice("cpu", 0, opt)
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

// checkKind checks the name of a kind of device that a flag or variable has.
func checkKind(what, name string) error {
	if slices.Contains(backendNames, name) {
		return nil
	}
	return usagef("%s: there is no %q; choose one of %s", what, name, strings.Join(backendNames, ", "))
}

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

// parseDevice joins --backend, if it was chosen, and --device, which may name the backend too.
func parseDevice(name string, chosen bool, device string) (string, int, error) {
	if device == "" {
		return name, 0, checkKind("--backend", name)
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
	unknown := checkKind("--device", kind)
	switch {
	case err != nil || index < 0:
		return "", 0, usagef("--device: %q is not like cuda:1", device)
	case unknown != nil:
		return "", 0, unknown
	case chosen && kind != name:
		return "", 0, usagef("--device %s is not of --backend %s", device, name)
	case kind != "cuda" && index > 0:
		return "", 0, usagef("--device: there is one %s only", kind)
	}
	return kind, index, nil
}
