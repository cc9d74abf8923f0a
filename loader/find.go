package loader

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Options say where Find looks. The zero value is what a command line wants.
type Options struct {
	// Getenv replaces os.Getenv. Find reads HF_HUB_CACHE, HF_HOME,
	// XDG_CACHE_HOME and the home folder's variable.
	Getenv func(string) string
}

func (o Options) getenv(name string) string {
	if o.Getenv != nil {
		return o.Getenv(name)
	}
	return os.Getenv(name)
}

// hubName is a repository on the Hugging Face Hub: org/name, or name alone for
// the oldest ones.
var hubName = regexp.MustCompile(`^(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}$`)

// Find returns the folder that ref names. In this order, ref is
//
//   - the path of a folder,
//   - the path of a .safetensors file: its folder, with the weights of that file alone,
//   - org/name or org/name@revision, a model in the Hugging Face cache. The
//     revision is a branch, a tag or a commit of 40 hexadecimal digits; without
//     one it is the branch main.
//
// A folder that exists wins over a cached model of the same name, as it does
// in Python's transformers. Errors say what is wrong and what to do about it.
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
	name, revision, pinned := strings.Cut(ref, "@")
	if !pinned {
		revision = "main"
	}
	if !hubName.MatchString(name) {
		return nil, noSuchPath(ref)
	}
	return newCache(o).find(name, revision)
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
		if d := edits(strings.ToLower(word), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// edits returns the Levenshtein distance of a and b in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
