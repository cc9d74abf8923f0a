// Package arch turns checkpoints into models: a registry from the class named
// in config.json to a constructor, and the small types that architectures
// share. Each folder below it holds one architecture's forward pass.
package arch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"emily/backend"
	"emily/loader"
)

// Options say how a model computes.
type Options struct {
	Backend backend.Backend
	Lane    backend.Lane
	// DType is the precision of activations, F32 or BF16; the zero value means F32.
	DType backend.DType
	// KV is the dtype of caches of keys and values, F32 or BF16; the zero value means F32.
	KV backend.DType
	// Strict makes an op without a kernel an error instead of an event.
	Strict bool
	// Event, if not nil, is told in one line about anything that is otherwise than asked.
	Event func(string)
}

func (o Options) event(format string, args ...any) {
	if o.Event != nil {
		o.Event(fmt.Sprintf(format, args...))
	}
}

// Compile compiles a graph for the chosen backend, lane and precision.
func (o Options) Compile(g *backend.Graph) (backend.Program, error) {
	return backend.Compile(o.Backend, g, backend.Options{Lane: o.Lane, DType: o.DType, Strict: o.Strict, Event: o.Event})
}

// Source is what a constructor is given: the model's files and how to compute.
type Source struct {
	Folder     *loader.Folder
	Config     *loader.Config
	Checkpoint *loader.Checkpoint
	Options
}

// Model is a loaded checkpoint. What it can do is found by asserting one of
// the task interfaces, such as Decoder.
type Model interface {
	// Weights returns the structs that hold the bound weights, for telling
	// which tensors of the checkpoint the model does not use.
	Weights() []any
	// Close waits for running calls and frees programs and states. The
	// checkpoint is closed after the model.
	Close() error
}

// Task is what a class of models is for; it is also the command that runs it.
type Task string

// The tasks.
const (
	Generate   Task = "generate"
	Answer     Task = "answer"
	Embed      Task = "embed"
	Classify   Task = "classify"
	Transcribe Task = "transcribe"
)

// Class is a registered architecture.
type Class struct {
	Name string // as in config.json's architectures
	Task Task
	New  func(Source) (Model, error)
}

var classes = map[string]Class{}

// Register adds a class; architectures call it from init. It panics on a
// duplicate, which is a mistake in the program.
func Register(c Class) {
	if _, twice := classes[c.Name]; twice {
		panic("arch: " + c.Name + " is registered twice")
	}
	classes[c.Name] = c
}

// Classes returns the registered classes by name.
func Classes() []Class {
	list := make([]Class, 0, len(classes))
	for _, c := range classes {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Class) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Find returns the class of a configuration.
func Find(c *loader.Config) (Class, error) {
	for _, name := range c.Architectures {
		if class, ok := classes[name]; ok {
			return class, nil
		}
	}
	if len(c.Architectures) == 0 {
		return Class{}, fmt.Errorf(`config.json does not say what the model is: add its class as "architectures", such as ["LlamaForCausalLM"] (its model_type is %q)`, c.ModelType)
	}
	what := strings.Join(c.Architectures, ", ")
	var names []string
	for _, k := range Classes() {
		names = append(names, k.Name)
	}
	return Class{}, fmt.Errorf("config.json: the architecture %s is not supported; supported are %s", what, strings.Join(names, ", "))
}

// Loaded is a model with its files.
type Loaded struct {
	Model
	Class      Class
	Folder     *loader.Folder
	Config     *loader.Config
	Checkpoint *loader.Checkpoint
}

// Load opens a folder's checkpoint and builds the model that config.json names.
func Load(ctx context.Context, folder *loader.Folder, opt Options) (*Loaded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	config, err := folder.Config()
	if err != nil {
		return nil, err
	}
	class, err := Find(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder.Name(), err)
	}
	checkpoint, err := folder.Open()
	if err != nil {
		return nil, err
	}
	model, err := class.New(Source{folder, config, checkpoint, opt})
	if err != nil {
		return nil, errors.Join(err, checkpoint.Close())
	}
	if extra := loader.Unused(checkpoint, model.Weights()...); len(extra) > 0 {
		opt.event("%d tensors of the checkpoint are not used, such as %s", len(extra), extra[0].Name)
	}
	return &Loaded{model, class, folder, config, checkpoint}, nil
}

// Close closes the model, then the checkpoint.
func (l *Loaded) Close() error { return errors.Join(l.Model.Close(), l.Checkpoint.Close()) }
