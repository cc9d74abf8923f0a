package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"emily/arch"
	"emily/loader"
)

func newPull(std stdio) *cli.Command {
	return &cli.Command{
		Name:      "pull",
		Usage:     "download a model, or its newest version",
		ArgsUsage: "MODEL",
		Description: "Fetches config.json, the safetensors, the tokenizer and what else a model needs from the Hugging Face Hub (or HF_ENDPOINT)\n" +
			"into the cache that Python shares (HF_HOME, HF_HUB_CACHE), checks the hashes, and prints the folder. Run it again after any\n" +
			"interruption: it continues. The other commands download a model themselves if the cache lacks it.\n\n" +
			"Example: emily pull Qwen/Qwen3-0.6B",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "revision", Usage: "a branch, a tag or a commit (as MODEL@REVISION)"},
			&cli.StringFlag{Name: "token", Usage: "access token of the hub; HF_TOKEN and huggingface-cli login also set it"},
			&cli.StringSliceFlag{Name: "include", Usage: "fetch the files that match this pattern instead, such as *.json (may be repeated)"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no progress"},
		},
		Action: func(c *cli.Context) error { return runPull(c.Context, c, std) },
	}
}

func runPull(ctx context.Context, c *cli.Context, std stdio) error {
	if c.Args().Len() != 1 {
		return usagef("pull takes one model, such as Qwen/Qwen3-0.6B, got %d", c.Args().Len())
	}
	ref := c.Args().First()
	if revision := c.String("revision"); revision != "" {
		if strings.Contains(ref, "@") {
			return usagef("%s names a revision already, so --revision cannot", ref)
		}
		ref += "@" + revision
	}
	var folder *loader.Folder
	err := withProgress(std, c.Bool("quiet"), func(o loader.Options) (err error) {
		o.Token = c.String("token")
		folder, err = loader.Pull(ctx, ref, o, c.StringSlice("include")...)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, folder.Path())
	return err
}

// withProgress calls f with options that download and show how far it is.
func withProgress(std stdio, quiet bool, f func(loader.Options) error) error {
	o := loader.Options{Download: true, Accept: func(config *loader.Config) error {
		_, err := arch.Find(config)
		return err
	}}
	progress := newProgress(std.err, quiet)
	o.Progress = progress
	err := f(o)
	progress.close()
	if errors.Is(err, context.Canceled) && progress.started() && !quiet {
		fmt.Fprintln(std.err, "emily: interrupted; the next download of this model continues here")
	}
	return err
}
