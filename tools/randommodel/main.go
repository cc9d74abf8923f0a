// Command randommodel writes a Hugging Face checkpoint with random weights.
//
//	go run ./tools/randommodel qwen3-0.6b OUT
//	go run ./tools/randommodel -tokenizer models/qwen3-tokenizer qwen3-0.6b OUT
//	go run ./tools/randommodel path/to/config.json OUT
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"emily/tools/randommodel/random"
)

func main() {
	seed := flag.Uint64("seed", 1, "seed of the weights")
	tokenizer := flag.String("tokenizer", "", "copy tokenizer.json and tokenizer_config.json from this `folder`")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: randommodel [flags] MODEL|config.json OUT\nmodels: %s\n", strings.Join(random.Names(), ", "))
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), flag.Arg(1), *tokenizer, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "randommodel:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name, out, tokenizer string, seed uint64) error {
	model, err := find(name)
	if err != nil {
		return err
	}
	if err := model.Write(ctx, out, seed); err != nil {
		return err
	}
	if tokenizer != "" {
		for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
			text, err := os.ReadFile(filepath.Join(tokenizer, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(out, name), text, 0o644); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%s: %d parameters, seed %d\n", out, model.Parameters(), seed)
	return nil
}

func find(name string) (*random.Model, error) {
	if filepath.Ext(name) != ".json" {
		return random.Named(name)
	}
	config, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return random.FromConfig(config)
}
