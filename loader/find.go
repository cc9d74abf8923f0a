package loader

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/xrash/smetrics"

	"emily/loader/hub"
)

// Options say where Find looks. With the zero value it looks on this machine
// alone.
type Options struct {
	// Getenv replaces os.Getenv. Package hub lists the variables that are read.
	Getenv func(string) string
	// Download lets Find fetch from the hub what the cache lacks.
	Download bool
	// Token is the hub's access token; "" takes that of the environment.
	Token string
	// Progress is told about downloads; nil for nobody.
	Progress hub.Progress
	// Accept is asked about the config.json of a model before its weights are
	// fetched; its error ends the download. nil accepts all.
	Accept func(*Config) error
}

func (o Options) getenv(name string) string {
	if o.Getenv != nil {
		return o.Getenv(name)
	}
	return os.Getenv(name)
}

// Find returns the folder that ref names. In this order, ref is
//
//   - the path of a folder,
//   - the path of a .safetensors file: its folder, with the weights of that file alone,
//   - org/name or org/name@revision, a model in the Hugging Face cache. The
//     revision is a branch, a tag or a commit of 40 hexadecimal digits; without
//     one it is the branch main.
//
// A folder that exists wins over a cached model of the same name, as it does
// in Python's transformers. With o.Download, a model of which the cache lacks
// something is fetched from the hub; one that is complete is used without
// asking whether there is a newer commit, which Pull does. Errors say what is
// wrong and what to do about it.
func Find(ctx context.Context, ref string, o Options) (*Folder, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ref == "" {
		return nil, fmt.Errorf("no model given: name a folder, a .safetensors file or org/name")
	}
	info, err := os.Stat(ref)
	switch {
	case err == nil && info.IsDir():
		return fromDir(ref, ""), nil
	case err == nil:
		return fromFile(ref)
	case looksLikePath(ref):
		return nil, noSuchPath(ref)
	}
	name, revision, ok := splitRef(ref)
	if !ok {
		return nil, noSuchPath(ref)
	}
	cache := newCache(o)
	found, err := cache.find(name, revision)
	if !o.Download || err == nil && cache.complete(found) {
		return found, err
	}
	pulled, pullErr := Pull(ctx, ref, o)
	switch {
	case pullErr == nil:
		return pulled, nil
	case reasonOf(pullErr) == hub.Offline:
		return found, err
	case err == nil && reasonOf(pullErr) == hub.Failed && found.hasWeights():
		return found, nil // what it seems to lack may not exist
	case err != nil && reasonOf(pullErr) <= hub.Failed && ctx.Err() == nil: // it may be a misspelt folder
		return nil, fmt.Errorf("%s cannot be downloaded: %w (%w)", ref, pullErr, noSuchPath(ref))
	}
	return nil, pullErr
}

// splitRef splits org/name@revision. Without a revision it is main.
func splitRef(ref string) (name, revision string, ok bool) {
	name, revision, pinned := strings.Cut(ref, "@")
	if !pinned {
		revision = "main"
	}
	return name, revision, hub.ValidName(name)
}

// fromFile returns the folder of a file that holds all weights.
func fromFile(path string) (*Folder, error) {
	dir, base := filepath.Split(path)
	switch ext := strings.ToLower(filepath.Ext(base)); ext {
	case ".safetensors":
	case ".gguf", ".bin", ".pt", ".pth", ".onnx", ".h5", ".msgpack", ".ckpt":
		return nil, fmt.Errorf("%s is a %s file: safetensors are needed, as most models on the Hugging Face Hub have them", path, ext)
	case ".json":
		return nil, fmt.Errorf("%s is a file: name its folder, %s, instead", path, filepath.Clean(filepath.Join(dir, ".")))
	default:
		return nil, fmt.Errorf("%s is neither a folder nor a .safetensors file", path)
	}
	f := fromDir(filepath.Join(dir, "."), "")
	f.only = base
	return f, nil
}

// looksLikePath reports whether a user who wrote ref meant a file or folder
// rather than a model on the hub.
func looksLikePath(ref string) bool {
	name, _, _ := strings.Cut(ref, "@")
	return filepath.IsAbs(ref) || strings.HasPrefix(ref, ".") || strings.HasPrefix(ref, "~") ||
		strings.Contains(ref, `\`) || strings.HasSuffix(ref, "/") || strings.Count(name, "/") > 1 ||
		strings.HasSuffix(ref, ".safetensors") || strings.HasSuffix(ref, ".gguf")
}

func noSuchPath(ref string) error {
	if strings.HasPrefix(ref, "~") {
		return fmt.Errorf("%s: no such folder or file: ~ is expanded by the shell only, and not inside quotes", ref)
	}
	path := filepath.Clean(ref)
	entries, _ := os.ReadDir(filepath.Dir(path))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	if guess := closest(filepath.Base(path), names); guess != "" {
		return fmt.Errorf("%s: no such folder or file; did you mean %s?", ref, filepath.Join(filepath.Dir(path), guess))
	}
	return fmt.Errorf("%s: no such folder or file", ref)
}

// closest returns the candidate that differs least from word, or "" if each
// differs in more than two letters and a third of them.
func closest(word string, candidates []string) string {
	best, distance := "", min(max(len(word)/3, 2)+1, len(word))
	for _, c := range candidates {
		if d := smetrics.WagnerFischer(strings.ToLower(word), strings.ToLower(c), 1, 1, 1); d < distance {
			best, distance = c, d
		}
	}
	return best
}
