package arch_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"emily/arch"
	_ "emily/arch/bert"
	_ "emily/arch/vit"
	_ "emily/arch/whisper"
	"emily/backend/cpu"
	"emily/loader"
)

// FuzzConfig builds models from any config.json over the weights of a tiny
// one: an error or a model, never a panic.
func FuzzConfig(f *testing.F) {
	names := []string{"tiny-qwen3", "tiny-llama3", "tiny-bert", "tiny-distilbert-qa", "tiny-vit", "tiny-whisper"}
	for i, name := range names {
		text, err := os.ReadFile(filepath.Join("../testdata/models", name, "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, text)
		f.Add(i, bytes.ReplaceAll(text, []byte(": 64"), []byte(": -1")))
	}
	device, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { device.Close() })
	dir := f.TempDir()
	for _, name := range names {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("../testdata/models", name))); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, which int, config []byte) {
		if which < 0 || which >= len(names) {
			return
		}
		path := filepath.Join(dir, names[which])
		if err := os.WriteFile(filepath.Join(path, "config.json"), config, 0o644); err != nil {
			t.Fatal(err)
		}
		folder, err := loader.Find(t.Context(), path, loader.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := arch.Load(t.Context(), folder, arch.Options{Backend: device}); err == nil {
			m.Close()
		}
	})
}
