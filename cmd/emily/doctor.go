package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"emily/backend/cpu"
	"emily/backend/cpu/kernel"
	"emily/backend/gpu/cuda"
	"emily/backend/gpu/emu"
	"emily/backend/gpu/metal"
	"emily/bench"
	"emily/bench/roofline"
	"emily/loader"
	"emily/tools/randommodel/random"
)

func newDoctor(std stdio) *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "what this machine can do, and what is in the way",
		Description: "Each check is ok, warn, error or skip, with what to do next. An error ends with exit code 1.\n\nWith --backend the device tests itself, which takes up to a minute: every kernel against its\ndefinition, the built-in model against the CPU, and how fast it reads weights.\n\nExamples: emily doctor\n          emily doctor --backend metal",
		Flags:       append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print a JSON array of checks"}}, deviceFlags("none: the list of what is here")...),
		Action:      func(c *cli.Context) error { return runDoctor(c.Context, c, std) },
	}
}

// check is one line of the doctor.
type check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warn, error, skip
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"` // what to do about it
}

func runDoctor(ctx context.Context, c *cli.Context, std stdio) error {
	if c.Args().Len() > 0 {
		return usagef("doctor takes no arguments")
	}
	var checks []check
	failed := 0
	report := func(k check) {
		checks = append(checks, k)
		if k.Status == "error" {
			failed++
		}
		if !c.Bool("json") {
			printCheck(std, k)
		}
	}
	if c.IsSet("backend") || c.IsSet("device") {
		if err := selfTest(ctx, c, report); err != nil {
			return err
		}
	} else {
		if c.IsSet("threads") {
			return usagef("--threads belongs to the self-test of a device: add --backend cpu")
		}
		for _, f := range []func() check{checkVersion, checkKernels, checkThreads, checkMemory, func() check { return checkLimits(ctx) }, checkCache, checkChoice, checkCUDA, checkEmulator, checkMetal} {
			if err := untilDone(ctx, report)(f); err != nil {
				return err
			}
		}
	}
	if c.Bool("json") {
		if err := printJSON(std.out, checks); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d check(s) failed", failed)
	}
	return nil
}

func printCheck(std stdio, k check) {
	fmt.Fprintf(std.out, "%-5s  %-11s  %s\n", k.Status, k.Name, k.Detail)
	if k.Next != "" {
		fmt.Fprintf(std.out, "                    -> %s\n", k.Next)
	}
}

func checkVersion() check {
	return check{Name: "emily", Status: "ok", Detail: fmt.Sprintf("%s, %s/%s, %s", versionString(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
}

func checkKernels() check {
	k := check{Name: "kernels", Status: "ok"}
	b, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		return check{Name: "kernels", Status: "error", Detail: err.Error(), Next: "unset EMILY_CPU"}
	}
	defer b.Close()
	var names []string
	for _, s := range kernel.All() {
		names = append(names, s.Name)
	}
	k.Detail = fmt.Sprintf("%s in use; this processor runs %s (EMILY_CPU chooses)", b.Info().Kernels, strings.Join(names, ", "))
	switch {
	case os.Getenv("EMILY_CPU") != "" && b.Info().Kernels != names[0]:
		k.Status, k.Next = "warn", "unset EMILY_CPU to use "+names[0]
	case names[0] == "generic":
		k.Status, k.Next = "warn", "there is no assembly for this processor: expect a tenth of its speed"
	}
	return k
}

func checkThreads() check {
	k := check{Name: "threads", Status: "ok", Detail: fmt.Sprintf("%d workers on %d processors", runtime.GOMAXPROCS(0), runtime.NumCPU())}
	if runtime.GOMAXPROCS(0) < runtime.NumCPU() {
		k.Status, k.Next = "warn", "GOMAXPROCS or the container's CPU quota keeps emily from using all processors"
	}
	return k
}

func checkMemory() check {
	total, free, err := bench.Memory()
	if err != nil {
		return check{Name: "memory", Status: "skip", Detail: err.Error()}
	}
	k := check{Name: "memory", Status: "ok", Detail: fmt.Sprintf("%s, %s of it free or reclaimable", size(total), size(free))}
	if free < 2e9 {
		k.Status, k.Next = "warn", "a checkpoint that does not fit is read from disk again and again: close programs or take a smaller model"
	}
	return k
}

// checkLimits measures memory and arithmetic and says what they mean for
// decoding, which reads every weight for every token.
func checkLimits(ctx context.Context) check {
	set, err := kernel.Named(os.Getenv("EMILY_CPU"))
	if err != nil {
		return check{Name: "limits", Status: "skip", Detail: "measured with the kernels in use, and there are none"}
	}
	l, err := roofline.Measure(ctx, set, runtime.GOMAXPROCS(0), roofline.Options{})
	if err != nil {
		return check{Name: "limits", Status: "error", Detail: err.Error()}
	}
	k := check{Name: "limits", Status: "ok"}
	k.Detail = fmt.Sprintf("memory read at %.1f GB/s (%.1f by one thread), f32 multiply-adds at %.0f GFLOP/s (%.0f)", l.ReadAll.Value/1e9, l.ReadOne.Value/1e9, l.F32All.Value/1e9, l.F32One.Value/1e9)
	if l.BF16All != nil {
		k.Detail += fmt.Sprintf(", dot products of bf16 at %.0f GFLOP/s (%.0f)", l.BF16All.Value/1e9, l.BF16One.Value/1e9)
	}
	if l.Int8All != nil {
		k.Detail += fmt.Sprintf(", of int8 at %.0f GOP/s (%.0f)", l.Int8All.Value/1e9, l.Int8One.Value/1e9)
	}
	for _, m := range []struct{ title, name string }{{"Qwen3-0.6B", "qwen3-0.6b"}, {"Qwen3-4B", "qwen3-4b"}} {
		model, err := random.Named(m.name)
		if err != nil {
			return check{Name: "limits", Status: "error", Detail: err.Error()}
		}
		k.Detail += fmt.Sprintf("; %s in bf16 can decode at most %.1f tok/s here", m.title, 1/l.Seconds(roofline.Work{Bytes: model.Bytes()}))
	}
	k.Detail += ", and more once its weights are packed"
	return k
}

func checkCache() check {
	dir := loader.CacheDir(loader.Options{})
	k := check{Name: "cache", Status: "ok", Detail: dir}
	entries, err := os.ReadDir(dir)
	switch {
	case os.IsNotExist(err):
		k.Detail += " does not exist yet"
	case err != nil:
		k.Status, k.Detail, k.Next = "error", err.Error(), "set HF_HUB_CACHE to a folder that you can read"
	default:
		models := 0
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "models--") {
				models++
			}
		}
		k.Detail += fmt.Sprintf(" holds %d model(s)", models)
	}
	return k
}

// checkChoice looks at what EMILY_BACKEND chooses.
func checkChoice() check {
	const variable = "EMILY_BACKEND"
	name := os.Getenv(variable)
	if name == "" {
		return check{Name: "backend", Status: "ok", Detail: "an NVIDIA GPU where there is one, else the CPU (" + variable + " chooses)"}
	}
	err := checkKind(variable, name)
	switch name {
	case "cuda":
		_, err = cuda.Probe()
	case "emu":
		_, err = emu.Probe()
	case "metal":
		_, err = metal.Probe()
	}
	if err != nil {
		return check{Name: "backend", Status: "error", Detail: oneLine(err.Error()), Next: "unset " + variable}
	}
	return check{Name: "backend", Status: "ok", Detail: name + ", which " + variable + " chooses"}
}

// checkCUDA lists the NVIDIA GPUs, or says what was looked for.
func checkCUDA() check {
	k := check{Name: "cuda", Status: "skip"}
	devices, err := cuda.Probe()
	if err != nil {
		k.Detail = oneLine(err.Error())
		return k
	}
	k.Status, k.Next = "ok", "use it with --backend cuda"
	var names []string
	for _, d := range devices {
		names = append(names, fmt.Sprintf("cuda:%d %s, %s, compute capability %d.%d", d.Index, d.Name, size(int64(d.Memory)), d.Major, d.Minor))
	}
	k.Detail = strings.Join(names, "; ")
	return k
}

// checkEmulator says whether the GPU's kernels can be tested here.
func checkEmulator() check {
	compiler, err := emu.Probe()
	if err != nil {
		return check{Name: "emu", Status: "skip", Detail: err.Error()}
	}
	return check{Name: "emu", Status: "ok", Detail: "--backend emu compiles the GPU's kernels with " + compiler}
}

// checkMetal names the GPU of a Mac.
func checkMetal() check {
	name, err := metal.Probe()
	if err != nil {
		return check{Name: "metal", Status: "skip", Detail: oneLine(err.Error())}
	}
	return check{Name: "metal", Status: "warn", Detail: name + "; the project has not run its Metal driver on Apple hardware yet", Next: "try it with: emily doctor --backend metal"}
}
