package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"emily/arch"
	"emily/loader"
)

func newInfo(std stdio) *cli.Command {
	return &cli.Command{
		Name:      "info",
		Usage:     "what a model is: architecture, parameters, dtypes, memory",
		ArgsUsage: "[MODEL]",
		Description: "Reads config.json and the headers of the safetensors files, not the weights. Of a model that is not in the cache it reads them\n" +
			"on the hub and stores nothing.\n\n" +
			"Example: emily info Qwen/Qwen3-0.6B --tensors",
		Flags: []cli.Flag{
			modelFlag(),
			&cli.BoolFlag{Name: "tensors", Usage: "list every tensor"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		},
		Action: func(c *cli.Context) error { return runInfo(c.Context, c, std) },
	}
}

// modelInfo is what info tells; it is also its JSON.
type modelInfo struct {
	Name         string           `json:"name"`
	Path         string           `json:"path,omitempty"`
	Remote       bool             `json:"remote,omitempty"` // read on the hub
	Architecture string           `json:"architecture"`
	Task         arch.Task        `json:"task,omitempty"`
	Parameters   int64            `json:"parameters"`
	Bytes        int64            `json:"bytes"`
	DTypes       map[string]int64 `json:"dtypes"` // bytes of each
	Files        int              `json:"files"`
	Facts        []arch.Fact      `json:"facts,omitempty"`
	Unused       []string         `json:"unused_tensors,omitempty"`
	Problem      string           `json:"problem,omitempty"` // why the model would not load
	Tensors      []tensorInfo     `json:"tensors,omitempty"`
}

type tensorInfo struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`
	File  string `json:"file"`
}

func runInfo(ctx context.Context, c *cli.Context, std stdio) error {
	if c.Args().Len() > 1 {
		return usagef("info takes one model, got %d", c.Args().Len())
	}
	if ref := c.Args().First(); ref != "" {
		if m := c.String("model"); m != "" && m != os.Getenv("EMILY_MODEL") {
			return usagef("info takes one model: --model %s or %s", m, ref)
		}
		if err := c.Set("model", ref); err != nil {
			return err
		}
	}
	ref := c.String("model")
	if ref == "" {
		return usagef("no model was named: add a folder or org/name")
	}
	folder, err := loader.Peek(ctx, ref, loader.Options{})
	if err != nil {
		return err
	}
	info, err := describe(folder, c.Bool("tensors"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		enc := json.NewEncoder(std.out)
		enc.SetIndent("", "  ")
		return enc.Encode(info)
	}
	return info.print(std.out)
}

func describe(folder *loader.Folder, tensors bool) (*modelInfo, error) {
	config, err := folder.Config()
	if err != nil {
		return nil, err
	}
	info := &modelInfo{Name: folder.Name(), Path: folder.Path(), Remote: folder.Remote(), Architecture: strings.Join(config.Architectures, ", "), DTypes: map[string]int64{}}
	list, err := folder.Tensors()
	if err != nil {
		return nil, err
	}
	files := map[string]bool{}
	for _, t := range list {
		info.Bytes += t.Bytes
		info.DTypes[t.DType] += t.Bytes
		files[t.File] = true
		if t.Float() {
			info.Parameters += t.Elements()
		}
		if tensors {
			info.Tensors = append(info.Tensors, tensorInfo{t.Name, t.DType, t.Shape, t.Bytes, t.File})
		}
	}
	info.Files = len(files)
	class, err := arch.Find(config)
	if err != nil {
		info.Problem = err.Error()
		return info, nil
	}
	info.Task = class.Task
	if folder.Remote() {
		return info, nil // what the class would tell needs the weights
	}
	if info.Facts, info.Unused, err = arch.Describe(class, folder, config); err != nil {
		info.Problem = err.Error()
	}
	return info, nil
}

func (m *modelInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("model", "%s", m.Name)
	if m.Path != "" {
		row("folder", "%s", m.Path)
	}
	if m.Remote {
		row("folder", "none: on the hub, not downloaded")
	}
	row("architecture", "%s", oneLine(m.Architecture))
	if m.Task != "" {
		row("command", "emily %s", m.Task)
	}
	row("parameters", "%s", count(m.Parameters))
	row("weights", "%s in %d file(s)", size(m.Bytes), m.Files)
	for _, d := range slices.Sorted(maps.Keys(m.DTypes)) {
		row("  "+strings.ToLower(d), "%s", size(m.DTypes[d]))
	}
	for _, f := range m.Facts {
		row(f.Name, "%s", oneLine(f.Value))
	}
	if len(m.Unused) > 0 {
		row("not used", "%d tensor(s): %s", len(m.Unused), oneLine(strings.Join(m.Unused[:min(3, len(m.Unused))], ", ")))
	}
	if m.Problem != "" {
		row("problem", "%s", oneLine(m.Problem))
	}
	for _, x := range m.Tensors {
		row("  "+oneLine(x.Name), "%s\t%v\t%s\t%s", strings.ToLower(x.DType), x.Shape, size(x.Bytes), oneLine(x.File))
	}
	return t.Flush()
}

// count prints a number of parameters: 596.0 M.
func count(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f billion", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f million", float64(n)/1e6)
	}
	return fmt.Sprint(n)
}

// size prints bytes in decimal units, as disks and memory buses are measured.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
