package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/urfave/cli/v2"

	"emily/backend/cpu"
)

// packFlag chooses whether weights are kept in a form that decodes faster.
func packFlag() cli.Flag {
	return &cli.StringFlag{Name: "pack", Usage: "pack bf16 weights without loss, once, while a model decodes on the CPU, and keep that in the user's cache folder: auto or off", Value: "auto"}
}

// packing reads packFlag. tell is given what to say when the command is done.
func packing(c *cli.Context, tell func(string)) (*cpu.Packing, error) {
	const (
		minBytes = 64 << 20 // fewer stay in the cache of many processors
		after    = 16       // tokens: a short answer does not pay for packing
	)
	switch mode := c.String("pack"); mode {
	case "off":
		return nil, nil
	case "auto", "":
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, nil // nowhere to keep it
		}
		return &cpu.Packing{Dir: filepath.Join(dir, "emily", "packed"), MinBytes: minBytes, After: after, Notice: tell}, nil
	default:
		return nil, usagef("--pack: %q is not auto or off", mode)
	}
}

// notices are lines that wait until the output is complete.
type notices struct {
	mu    sync.Mutex
	lines []string
}

func (n *notices) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notices) print(w io.Writer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, line := range n.lines {
		fmt.Fprintln(w, "emily:", line)
	}
	n.lines = nil
}
