// Package peers holds the scripts that run other systems as lanes of emily's
// benchmark, one a system, and the setup that installs what they need.
package peers

import (
	"embed"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

//go:embed *.py setup requirements.txt
var files embed.FS

// scripts are the files and arguments of each lane.
var scripts = map[string][]string{
	"exla":             {"exla.py"},
	"emlx":             {"emlx.py"},
	"torch":            {"pytorch.py"},
	"torch-compile":    {"pytorch.py", "--compile"},
	"llama.cpp":        {"llama.py", "bf16"},
	"llama.cpp-q8_0":   {"llama.py", "q8_0"},
	"onnxruntime":      {"onnx_runtime.py"},
	"onnxruntime-int8": {"onnx_runtime.py", "int8"},
	"ctranslate2":      {"ctranslate.py", "float32"},
	"ctranslate2-int8": {"ctranslate.py", "int8"},
}

// Write puts the scripts into a folder.
func Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if name == "setup" {
			mode = 0o755
		}
		return os.WriteFile(filepath.Join(dir, name), text, mode)
	})
}

// Python finds the interpreter of the virtual environment that setup made: in
// the folder that EMILY_BENCH_PEERS names, or else in dir. It is "" if there is none.
func Python(dir string) string {
	if own := os.Getenv("EMILY_BENCH_PEERS"); own != "" {
		dir = own
	}
	python := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return ""
	}
	return python
}

// Lanes are the names that Command knows, in order.
func Lanes() []string { return slices.Sorted(maps.Keys(scripts)) }

// Command is what runs the script of one of Lanes, which Write put into dir.
func Command(python, dir, lane string) []string {
	s := scripts[lane]
	return append([]string{python, "-u", filepath.Join(dir, s[0])}, s[1:]...)
}
