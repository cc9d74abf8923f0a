package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"emily/arch"
	"emily/backend"
	"emily/demo"
	"emily/loader"
)

// modelFlag names the model of a command.
func modelFlag() cli.Flag {
	return &cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "the model: a folder, a .safetensors file, org/name or org/name@revision", EnvVars: []string{"EMILY_MODEL"}, DefaultText: "the built-in one of the command, if it has one"}
}

// computeFlags say how a model computes; they mean the same in every command.
func computeFlags() []cli.Flag {
	return append(deviceFlags("$EMILY_BACKEND, or else cuda where there is an NVIDIA GPU, and cpu where there is none and for the built-in models"),
		&cli.StringFlag{Name: "lane", Usage: "how the graph is run: eager, native or fuse", Value: "fuse"},
		&cli.StringFlag{Name: "dtype", Usage: "precision of activations: f32 or bf16", Value: "f32"},
		&cli.StringFlag{Name: "kv", Usage: "precision of the cache of keys and values: f32 or bf16", Value: "f32"},
		packFlag(),
		&cli.BoolFlag{Name: "verbose", Usage: "tell on stderr what runs where, and how fast"},
	)
}

// session is a loaded model with the backend that it runs on.
type session struct {
	*arch.Loaded
	backend backend.Backend
	notices notices
	err     io.Writer // for notices
}

// openModel loads the model that --model names, for a command's task.
func openModel(ctx context.Context, c *cli.Context, std stdio, tasks ...arch.Task) (*session, error) {
	opt, err := computeOptions(c)
	if err != nil {
		return nil, err
	}
	s := &session{err: std.err}
	if c.Bool("verbose") {
		opt.Event = s.notices.add
	}
	pack, err := packing(c, s.notices.add)
	if err != nil {
		return nil, err
	}
	device, err := chooseDevice(c)
	if err != nil {
		return nil, err
	}
	var lines []string // for a model that loads: an error is one line
	tell := func(line string) { lines = append(lines, line) }
	folder, err := folderOf(ctx, c, std, tasks, tell)
	if err != nil {
		return nil, err
	}
	if err := checkTask(folder, c.Command.Name, tasks); err != nil {
		return nil, err
	}
	if opt.Backend, err = openBackend(c, device, pack, tell); err != nil {
		return nil, err
	}
	loaded, err := arch.Load(ctx, folder, opt)
	if err != nil {
		opt.Backend.Close()
		return nil, err
	}
	for _, line := range lines {
		fmt.Fprintln(std.err, "emily: "+line)
	}
	if c.Bool("verbose") {
		i := opt.Backend.Info()
		fmt.Fprintf(std.err, "%s: %s, %s backend, %s kernels, %d threads, %s lane, %s\n", folder.Name(), loaded.Class.Name, i.Backend, i.Kernels, i.Threads, opt.Lane, opt.DType)
	}
	s.Loaded, s.backend = loaded, opt.Backend
	return s, nil
}

// close ends the model, then the backend, and tells what there is to tell.
func (s *session) close() {
	s.Loaded.Close()
	s.backend.Close()
	s.notices.print(s.err)
}

// folderOf is findFolder, or without --model the built-in model of the command,
// of which tell is told.
func folderOf(ctx context.Context, c *cli.Context, std stdio, tasks []arch.Task, tell func(string)) (*loader.Folder, error) {
	if c.String("model") != "" || len(tasks) == 0 {
		return findFolder(ctx, c, std)
	}
	m, files, ok := demo.Find(string(tasks[0]))
	if !ok || c.Command.Name != m.Task {
		return findFolder(ctx, c, std)
	}
	tell(fmt.Sprintf("the built-in model %s; try --model %s next", m.Knows, m.Next))
	return loader.FromFS(files, "the built-in "+m.Task+" model"), nil
}

// findFolder resolves --model, and downloads a model that the cache lacks.
func findFolder(ctx context.Context, c *cli.Context, std stdio) (folder *loader.Folder, err error) {
	ref := c.String("model")
	if ref == "" {
		return nil, usagef("no model was named: add --model with a folder or org/name")
	}
	err = withProgress(std, false, func(o loader.Options) (err error) {
		folder, err = loader.Find(ctx, ref, o)
		return err
	})
	return folder, err
}

// checkTask says which command a model of another kind belongs to.
func checkTask(folder *loader.Folder, command string, tasks []arch.Task) error {
	config, err := folder.Config()
	if err != nil {
		return err
	}
	class, err := arch.Find(config)
	if err != nil {
		return fmt.Errorf("%s: %w", folder.Name(), err)
	}
	if len(tasks) > 0 && !slices.Contains(tasks, class.Task) {
		return fmt.Errorf("%s is a %s, not a model for emily %s: use emily %s", folder.Name(), class.Name, command, class.Task)
	}
	return nil
}

// computeOptions reads the flags of computeFlags.
func computeOptions(c *cli.Context) (arch.Options, error) {
	lane, err := backend.ParseLane(c.String("lane"))
	if err != nil {
		return arch.Options{}, usagef("--lane: %v", err)
	}
	opt := arch.Options{Lane: lane}
	for name, dst := range map[string]*backend.DType{"dtype": &opt.DType, "kv": &opt.KV} {
		d, err := backend.ParseDType(c.String(name))
		if err != nil || (d != backend.F32 && d != backend.BF16) {
			return opt, usagef("--%s: %q is not f32 or bf16", name, c.String(name))
		}
		*dst = d
	}
	return opt, nil
}
