package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"emily/arch"
	"emily/backend"
	"emily/backend/backendtest"
	"emily/backend/cpu"
	"emily/backend/cpu/kernel"
	"emily/bench/roofline"
	"emily/demo"
	"emily/loader"
	"emily/tools/randommodel/random"
)

// selfTest is `emily doctor --backend`: a minute in which a device shows that
// it computes what it should. Every kernel is compared with a plain
// interpreter, then the built-in model with the CPU, then bandwidth is
// measured. Each check is reported as soon as it has ended. The error is for
// flags that name no device, and for the end of ctx.
func selfTest(ctx context.Context, c *cli.Context, report func(check)) error {
	chosen, err := chooseDevice(c)
	if err != nil {
		return err
	}
	device, err := openBackend(c, chosen, nil, nil)
	if err != nil {
		report(check{Name: "device", Status: "error", Detail: oneLine(err.Error()), Next: "emily doctor, without --backend, lists what is there"})
		return nil
	}
	defer device.Close()
	i := device.Info()
	report(check{Name: "device", Status: "ok", Detail: fmt.Sprintf("%s: %s, kernels for %s", i.Backend, i.Device, i.Kernels)})
	try := untilDone(ctx, report)
	for _, g := range backendtest.Groups() {
		if err := try(func() check { return checkGroup(g, device) }); err != nil {
			return err
		}
	}
	if err := try(func() check { return checkStory(ctx, device) }); err != nil {
		return err
	}
	return try(func() check { return checkBandwidth(ctx, device) })
}

// untilDone makes a function that reports a check, unless ctx ended while it ran.
func untilDone(ctx context.Context, report func(check)) func(func() check) error {
	return func(f func() check) error {
		k := f()
		if err := ctx.Err(); err != nil {
			return err
		}
		report(k)
		return nil
	}
}

// checkGroup runs the graphs of one family of ops in all lanes.
func checkGroup(g backendtest.Group, device backend.Backend) check {
	start := time.Now()
	errs := g.Check(device)
	if len(errs) > 0 {
		return check{Name: g.Name, Status: "error", Detail: fmt.Sprintf("%d of %d graphs are wrong; the first: %s", len(errs), g.Cases(), oneLine(errs[0].Error())), Next: "please report this line"}
	}
	return check{Name: g.Name, Status: "ok", Detail: fmt.Sprintf("%d graphs in three lanes agree with their definition, %.1f s", g.Cases(), time.Since(start).Seconds())}
}

// checkStory lets the built-in model write on the device and on the CPU.
func checkStory(ctx context.Context, device backend.Backend) check {
	k := check{Name: "story", Status: "error"}
	reference, err := cpu.New(cpu.Options{})
	if err != nil {
		k.Detail = err.Error()
		return k
	}
	defer reference.Close()
	var stories [2][]int32
	for i, be := range []backend.Backend{reference, device} {
		if stories[i], err = story(ctx, be); err != nil {
			k.Detail = oneLine(err.Error())
			return k
		}
	}
	if !slices.Equal(stories[0], stories[1]) {
		k.Detail, k.Next = fmt.Sprintf("the built-in model writes %d, on the CPU %d", stories[1], stories[0]), "please report this line"
		return k
	}
	return check{Name: "story", Status: "ok", Detail: fmt.Sprintf("the built-in model writes the same %d tokens as on the CPU", len(stories[0]))}
}

// story is the start of what the built-in model writes.
func story(ctx context.Context, be backend.Backend) ([]int32, error) {
	_, files, ok := demo.Find("generate")
	if !ok {
		return nil, fmt.Errorf("this build has no built-in model")
	}
	m, err := arch.Load(ctx, loader.FromFS(files, "the built-in model"), arch.Options{Backend: be})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	text, err := arch.NewText(m)
	if err != nil {
		return nil, err
	}
	g, err := text.Generate(ctx, text.Tokenizer.Encode("Once upon a time", false).IDs, arch.GenerateOptions{MaxTokens: 48}, nil)
	if err != nil {
		return nil, err
	}
	return g.Tokens, nil
}

// measureCPU measures the machine's limits with a CPU backend's kernels and threads.
func measureCPU(ctx context.Context, cpu backend.Info, opt roofline.Options) (roofline.Limits, error) {
	set, err := kernel.Named(cpu.Kernels)
	if err != nil {
		return roofline.Limits{}, err
	}
	return roofline.Measure(ctx, set, cpu.Threads, opt)
}

// readSpeed measures how fast a device reads its memory: the CPU that of the machine.
func readSpeed(ctx context.Context, device backend.Backend) (*roofline.Limit, error) {
	i, opt := device.Info(), roofline.Options{Bytes: 1 << 28, Runs: 9}
	if i.Backend != "cpu" {
		return roofline.MeasureRead(ctx, device, opt)
	}
	limits, err := measureCPU(ctx, i, opt)
	return limits.ReadAll, err
}

// checkBandwidth tells how fast decoding can read its weights.
func checkBandwidth(ctx context.Context, device backend.Backend) check {
	k := check{Name: "reading", Status: "error"}
	read, err := readSpeed(ctx, device)
	if err != nil {
		k.Detail = oneLine(err.Error())
		return k
	}
	model, err := random.Named("qwen3-0.6b")
	if err != nil {
		k.Detail = err.Error()
		return k
	}
	return check{Name: "reading", Status: "ok", Detail: fmt.Sprintf("the device's memory is read at %.1f GB/s: Qwen3-0.6B in bf16 can decode at most %.0f tok/s", read.Max/1e9, read.Max/float64(model.Bytes()))}
}
