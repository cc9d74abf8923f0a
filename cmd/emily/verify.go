package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"emily/verify"
)

func newVerify(std stdio) *cli.Command {
	flags := []cli.Flag{
		modelFlag(),
		&cli.Float64Flag{Name: "tolerance", Usage: "largest error, as a share of an output's range", Value: verify.DefaultTolerance, DefaultText: "5e-05, or 0.02 with --dtype or --kv bf16"},
		&cli.BoolFlag{Name: "json", Usage: "print a JSON object for each reference"},
	}
	return &cli.Command{
		Name:      "verify",
		Usage:     "compare a model with reference outputs",
		ArgsUsage: "REFERENCE.json...",
		Description: "A reference is NAME.json with NAME.safetensors beside it, as tools/reference.py writes them with transformers.\n" +
			"Each output is compared; an error beyond the tolerance ends with exit code 1. Greedy tokens must be equal, but for ties.\n\n" +
			"Example: emily verify --model testdata/models/tiny-qwen3 testdata/tiny/tiny-qwen3.json",
		Flags:  append(flags, computeFlags()...),
		Action: func(c *cli.Context) error { return runVerify(c.Context, c, std) },
	}
}

func runVerify(ctx context.Context, c *cli.Context, std stdio) error {
	if c.Args().Len() == 0 {
		return usagef("verify needs a reference file: NAME.json")
	}
	opt := verify.Options{Tolerance: c.Float64("tolerance"), Rounded: c.String("dtype") == "bf16" || c.String("kv") == "bf16"}
	if !c.IsSet("tolerance") && opt.Rounded {
		opt.Tolerance = 2e-2
	}
	if !(opt.Tolerance >= 0) {
		return usagef("--tolerance must be 0 or more, got %v", opt.Tolerance)
	}
	s, err := openModel(ctx, c, std)
	if err != nil {
		return err
	}
	defer s.close()
	failed := 0
	for _, path := range c.Args().Slice() {
		report, err := verifyOne(ctx, s, path, opt)
		if err != nil {
			return err
		}
		if !report.Pass {
			failed++
		}
		if c.Bool("json") {
			err = json.NewEncoder(std.out).Encode(report)
		} else {
			err = printReport(std.out, report, opt.Tolerance)
		}
		if err != nil {
			return err
		}
	}
	if failed > 0 {
		return errors.New("the model's outputs differ from the reference beyond the tolerance")
	}
	return nil
}

func verifyOne(ctx context.Context, s *session, path string, opt verify.Options) (*verify.Report, error) {
	ref, err := verify.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer ref.Close()
	return verify.Run(ctx, s.Loaded, ref, opt)
}

func printReport(w io.Writer, r *verify.Report, tolerance float64) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s against %s, tolerance %.1e of the range\n", r.Model, r.Reference, tolerance)
	fmt.Fprintln(t, "output\tmax error\tof range\targ-max\tids\tresult\t")
	for _, x := range r.Results {
		number := func(format string, v *float64, scale float64) string {
			if v == nil {
				return "-"
			}
			return fmt.Sprintf(format, *v*scale)
		}
		ids := "-"
		if x.Total > 0 {
			ids = fmt.Sprintf("%d/%d", x.Equal, x.Total)
		}
		result := "ok"
		if !x.Pass {
			result = "FAIL"
		}
		if x.Note != "" {
			result += ": " + x.Note
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t\n", x.Output, number("%.2e", x.MaxError, 1), number("%.1e", x.Share, 1), number("%.1f%%", x.ArgMax, 100), ids, result)
	}
	return t.Flush()
}
