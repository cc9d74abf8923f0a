package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"emily/backend"
	"emily/backend/cpu"
	"emily/backend/cpu/kernel"
	"emily/bench"
)

func newBench(std stdio) *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure this machine: emily's lanes beside other systems",
		Description: "Tier 1 is single operations, 2 DistilBERT question answering, 3 Qwen3-0.6B decoding, 4 ViT-base, 5 Whisper-tiny, the addendum Qwen3-4B.\n" +
			"Other systems run in a Python environment that bench/peers/setup makes; without it emily's own lanes run alone.\n" +
			"Lanes: " + strings.Join(bench.LaneNames(), ", ") + ".\n\n" +
			"Example: emily bench --tier 3 --lanes eager,native,fuse --random-weights",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "tier", Usage: "tiers to run, 1 to 5, addendum or all, with commas between", DefaultText: "all"},
			&cli.StringSliceFlag{Name: "lanes", Usage: "lanes to run, with commas between", DefaultText: "all"},
			&cli.StringFlag{Name: "backend", Usage: "the devices' kinds for emily's lanes: " + strings.Join(backendNames, ", ") + ", with commas between", Value: "cpu"},
			&cli.StringFlag{Name: "dtype", Usage: "precision of activations: f32, bf16 or f32,bf16", Value: "f32"},
			&cli.IntFlag{Name: "runs", Usage: "timed samples of each row", Value: 3},
			&cli.IntFlag{Name: "warmup", Usage: "calls before the timed ones", DefaultText: "5 in tier 1, else 1"},
			&cli.IntFlag{Name: "new-tokens", Usage: "tokens that tier 3 and the addendum generate", DefaultText: "48, or 8 with --smoke"},
			&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "another checkpoint for the only tier that runs"},
			&cli.BoolFlag{Name: "random-weights", Usage: "make checkpoints with random weights from the real configurations (once, in emily's cache)"},
			&cli.BoolFlag{Name: "smoke", Usage: "run everything once and leave out the addendum, and torch-compile unless it is named"},
			&cli.IntFlag{Name: "threads", Usage: "worker threads of every lane, 0 for one per processor"},
			&cli.DurationFlag{Name: "row-limit", Usage: "how long the calls of one row may take, before it is given up", Value: 5 * time.Minute},
			&cli.StringFlag{Name: "markdown", Usage: "write the report to this `FILE`, - for standard output", DefaultText: "standard output"},
			&cli.StringFlag{Name: "out-json", Usage: "write the figures to this `FILE`; - for standard output, instead of the report"},
			&cli.StringFlag{Name: "compare", Usage: "hold the figures against those of an older `FILE` of --out-json"},
			&cli.BoolFlag{Name: "clean", Usage: "remove the checkpoints with random weights, and run nothing"},
		},
		Action: func(c *cli.Context) error { return runBench(c.Context, c, std) },
	}
}

func runBench(ctx context.Context, c *cli.Context, std stdio) error {
	if c.Args().Len() > 0 {
		return usagef("bench takes no arguments, got %q", c.Args().First())
	}
	config, err := benchConfig(c, std)
	if err != nil {
		return err
	}
	if err := config.Check(); err != nil {
		return usagef("%v", err)
	}
	if c.Bool("clean") {
		return bench.Clean(config.Cache)
	}
	// A mistake in the files should not cost a run.
	var before *bench.Report
	if path := c.String("compare"); path != "" {
		if before, err = readReport(path); err != nil {
			return err
		}
	}
	outputs := benchOutputs(c, before)
	if err := checkOutputs(outputs); err != nil {
		return err
	}
	var unwritten error
	config.Finished = func(report *bench.Report) error {
		unwritten = writeReport(std, outputs, report, report.Environment.Partial != "")
		return unwritten
	}
	report, err := bench.Run(ctx, config)
	if c := config.Progress; c != nil {
		c(bench.Progress{})
	}
	switch {
	case unwritten != nil:
		return unwritten
	case err != nil && report != nil && len(report.Results) > 0:
		if unwritten = writeReport(std, outputs, report, false); unwritten != nil && ctx.Err() != nil {
			return unwritten // of an interrupted run nothing else would be told
		}
		return errors.Join(err, unwritten)
	case err != nil:
		return err
	}
	return verdict(report)
}

func benchConfig(c *cli.Context, std stdio) (bench.Config, error) {
	config := bench.Config{
		Tiers: c.StringSlice("tier"), Lanes: c.StringSlice("lanes"), DTypes: strings.Split(c.String("dtype"), ","),
		Runs: c.Int("runs"), Warmup: -1, NewTokens: c.Int("new-tokens"), Model: c.String("model"),
		RandomWeights: c.Bool("random-weights"), Smoke: c.Bool("smoke"), Threads: c.Int("threads"), RowLimit: c.Duration("row-limit"), Version: versionString(),
	}
	switch {
	case c.Int("runs") < 1:
		return config, usagef("--runs must be 1 or more, got %d", c.Int("runs"))
	case c.IsSet("new-tokens") && c.Int("new-tokens") < 1:
		return config, usagef("--new-tokens must be 1 or more, got %d", c.Int("new-tokens"))
	case c.Duration("row-limit") <= 0:
		return config, usagef("--row-limit must be longer than nothing, such as 90s or 5m, got %s", c.Duration("row-limit"))
	case c.Int("warmup") < 0:
		return config, usagef("--warmup must be 0 or more, got %d", c.Int("warmup"))
	case c.Int("threads") < 0 || c.Int("threads") > cpu.MaxThreads:
		return config, usagef("--threads must be between 0 and %d, got %d", cpu.MaxThreads, c.Int("threads"))
	}
	for name := range strings.SplitSeq(c.String("backend"), ",") {
		if !slices.Contains(backendNames, name) {
			return config, usagef("--backend: there is no %q; choose %s", name, strings.Join(backendNames, ", "))
		}
		config.Backends = append(config.Backends, name)
	}
	if c.IsSet("warmup") {
		config.Warmup = c.Int("warmup")
	}
	var err error
	if config.Kernels, err = kernel.Named(os.Getenv("EMILY_CPU")); err != nil {
		return config, fmt.Errorf("EMILY_CPU: %w", err)
	}
	if config.Cache, err = bench.DefaultCache(); err != nil && (c.Bool("clean") || c.Bool("random-weights")) { // other runs can do without
		return config, err
	}
	self, err := os.Executable()
	if err != nil {
		return config, fmt.Errorf("the lanes are processes of emily's own file, which was not found: %w", err)
	}
	config.Device = func(name string) (backend.Backend, error) { return startDevice(name, 0, cpu.Options{}) }
	config.Self = func(lane, backend string) []string { return []string{self, "bench-lane", lane, backend} }
	config.Progress = benchProgress(std)
	return config, nil
}

// benchProgress shows what runs: one line that changes on a terminal, else a
// line for each tier and lane. An empty Progress ends it.
func benchProgress(std stdio) func(bench.Progress) {
	terminal, last := isTerminal(std.err), ""
	return func(p bench.Progress) {
		text := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", p.Lane, p.Case, p.Doing)), " ")
		if p.Tier != "" {
			text = "tier " + p.Tier + ": " + text
		}
		switch {
		case p == bench.Progress{}:
			if terminal {
				fmt.Fprint(std.err, "\r\x1b[K")
			}
		case terminal:
			if p.Left > 0 {
				text += fmt.Sprintf(" (about %s left in this tier)", p.Left.Round(time.Second))
			}
			fmt.Fprintf(std.err, "\r%s\x1b[K", text)
		default:
			if key := p.Tier + p.Lane; key != last && p.Doing != "" && p.Case == "" {
				last = key
				fmt.Fprintln(std.err, text)
			}
		}
	}
}

func readReport(path string) (*bench.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := bench.ReadReport(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// verdict is the error of a run whose report is not what was asked for.
func verdict(report *bench.Report) error {
	if wrong := report.Wrong(); len(wrong) > 0 {
		return fmt.Errorf("%d row(s) are WRONG: %s computes something else than the first lane", len(wrong), wrong[0].Lane)
	}
	for _, r := range report.Results {
		if r.Value != nil {
			return nil
		}
	}
	return errors.New("nothing was measured: the report says why")
}

// newBenchLane is one of emily's lanes as a process of its own.
func newBenchLane(std stdio) *cli.Command {
	return &cli.Command{
		Name: "bench-lane", Hidden: true, Usage: "serve a lane of emily bench", ArgsUsage: "LANE BACKEND",
		Action: func(c *cli.Context) error {
			lane, err := backend.ParseLane(c.Args().First())
			if err != nil {
				return usagef("%v", err)
			}
			return bench.Serve(c.Context, std.in, std.out, bench.LaneOptions{
				Lane: lane, Version: versionString(),
				Open: func(threads int) (backend.Backend, error) {
					return startDevice(c.Args().Get(1), 0, cpu.Options{Threads: threads})
				},
			})
		},
	}
}
