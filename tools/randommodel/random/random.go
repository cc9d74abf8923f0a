// Package random makes Hugging Face checkpoints with random weights from a
// model's true configuration: what a benchmark needs where the real file
// cannot be had, since speed does not depend on the values.
package random

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"emily/loader"
)

//go:embed configs
var configs embed.FS

// Model is a checkpoint to be made: the small files of its folder and the list
// of its tensors.
type Model struct {
	files   map[string][]byte // config.json and others, by name
	tensors []tensor
	dtype   string // as safetensors spells it
}

// Names returns the names of the built-in configurations.
func Names() []string {
	entries, _ := configs.ReadDir("configs") // embedded, so it is there
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Named returns a built-in model, such as "qwen3-0.6b".
func Named(name string) (*Model, error) {
	folder, err := fs.Sub(configs, path.Join("configs", name))
	if err != nil {
		return nil, fmt.Errorf("%q is not a built-in model; there are %s", name, strings.Join(Names(), ", "))
	}
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("%q is not a built-in model; there are %s", name, strings.Join(Names(), ", "))
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		if files[e.Name()], err = fs.ReadFile(folder, e.Name()); err != nil {
			return nil, err
		}
	}
	return fromFiles(files)
}

// FromConfig returns the model that a config.json describes. Its model_type is
// qwen3, llama, distilbert (question answering), vit or whisper.
func FromConfig(config []byte) (*Model, error) {
	return fromFiles(map[string][]byte{"config.json": config})
}

func fromFiles(files map[string][]byte) (*Model, error) {
	m := &Model{files: files}
	var common struct {
		ModelType  string `json:"model_type"`
		TorchDType string `json:"torch_dtype"`
		DType      string `json:"dtype"`
	}
	config := files["config.json"]
	if err := json.Unmarshal(config, &common); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	dtypes := map[string]string{"": "F32", "float32": "F32", "bfloat16": "BF16"}
	var known bool
	if m.dtype, known = dtypes[common.TorchDType+common.DType]; !known {
		return nil, fmt.Errorf("config.json: dtype %s is neither float32 nor bfloat16", common.TorchDType+common.DType)
	}
	family, known := families[common.ModelType]
	if !known {
		return nil, fmt.Errorf("config.json: model_type %q has no list of tensors here", common.ModelType)
	}
	list := &tensors{}
	if err := family(list, config); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	m.tensors = list.all
	return m, nil
}

// Parameters returns the number of weights.
func (m *Model) Parameters() int64 {
	var n int64
	for _, t := range m.tensors {
		n += t.elements()
	}
	return n
}

// Bytes returns the size of the weights.
func (m *Model) Bytes() int64 {
	sizes := map[string]int64{"F32": 4, "BF16": 2}
	return m.Parameters() * sizes[m.dtype]
}

// Write makes the folder dir with the model's files. It streams the weights, so
// it needs no memory for them; equal seeds give equal files, whatever the
// number of threads. It is an error if the folder has a model.safetensors.
func (m *Model) Write(ctx context.Context, dir string, seed uint64) (err error) {
	const name = "model.safetensors"
	if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has a %s already", dir, name)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range m.files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	part, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return err
	}
	defer func() {
		part.Close()
		if err != nil {
			os.Remove(part.Name())
		}
	}()
	if err := loader.WriteSafetensors(part, map[string]string{"format": "pt"}, m.sources(ctx, seed)); err != nil {
		return fmt.Errorf("writing %s: %w", part.Name(), err)
	}
	if err := errors.Join(part.Chmod(0o644), part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), filepath.Join(dir, name))
}
