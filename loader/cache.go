package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// cache is a folder in the layout of Python's huggingface_hub:
//
//	models--org--name/refs/main          the commit that a branch or tag points to
//	models--org--name/snapshots/COMMIT/  the files by name, links into blobs
//	models--org--name/blobs/             the content by hash
type cache struct {
	dir string
}

var commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// newCache returns the cache that huggingface_hub would use.
func newCache(o Options) cache {
	home := o.getenv("HOME")
	if runtime.GOOS == "windows" {
		home = o.getenv("USERPROFILE")
	}
	expand := func(path string) string {
		if rest, ok := strings.CutPrefix(path, "~/"); ok {
			return filepath.Join(home, rest)
		}
		return path
	}
	if dir := o.getenv("HF_HUB_CACHE"); dir != "" {
		return cache{expand(dir)}
	}
	if dir := o.getenv("HF_HOME"); dir != "" {
		return cache{filepath.Join(expand(dir), "hub")}
	}
	if dir := o.getenv("XDG_CACHE_HOME"); dir != "" {
		return cache{filepath.Join(expand(dir), "huggingface", "hub")}
	}
	return cache{filepath.Join(home, ".cache", "huggingface", "hub")}
}

// CacheDir returns the folder of the Hugging Face cache, which need not exist.
func CacheDir(o Options) string { return newCache(o).dir }

// repo returns the folder of a model, which need not exist.
func (c cache) repo(name string) string {
	return filepath.Join(c.dir, "models--"+strings.ReplaceAll(name, "/", "--"))
}

// find returns the snapshot of a model at a revision.
func (c cache) find(name, revision string) (*Folder, error) {
	if !isDir(c.repo(name)) {
		return nil, c.notFound(name)
	}
	commit, err := c.commit(name, revision)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.repo(name), "snapshots", commit)
	if !isDir(path) {
		return nil, fmt.Errorf("%s at %s is not in the cache: its commit %s has no files in %s; download it again",
			name, revision, commit, c.repo(name))
	}
	f := fromDir(path, name)
	f.revision = commit
	return f, nil
}

// commit returns the commit that a revision stands for.
func (c cache) commit(name, revision string) (string, error) {
	if commitID.MatchString(revision) {
		return revision, nil
	}
	if !filepath.IsLocal(revision) || strings.ContainsAny(revision, "\\\x00") {
		return "", fmt.Errorf("%s@%s: not a revision: expected a branch, a tag or a commit of 40 hexadecimal digits", name, revision)
	}
	text, err := os.ReadFile(filepath.Join(c.repo(name), "refs", filepath.FromSlash(revision)))
	if err != nil {
		if known := c.revisions(name); len(known) > 0 {
			return "", fmt.Errorf("%s at %s is not in the cache, but these are: %s", name, revision, strings.Join(known, ", "))
		}
		return "", c.notFound(name)
	}
	commit := strings.TrimSpace(string(text))
	if !commitID.MatchString(commit) {
		return "", fmt.Errorf("%s: expected a commit of 40 hexadecimal digits, found %q",
			filepath.Join(c.repo(name), "refs", revision), shorten(commit))
	}
	return commit, nil
}

// revisions returns what find would accept: name@ref, else name@commit.
func (c cache) revisions(name string) []string {
	var known []string
	refs := os.DirFS(filepath.Join(c.repo(name), "refs"))
	// A folder without refs is walked as if it were empty.
	fs.WalkDir(refs, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			known = append(known, name+"@"+path)
		}
		return nil
	})
	if len(known) == 0 {
		snapshots, _ := os.ReadDir(filepath.Join(c.repo(name), "snapshots"))
		for _, s := range snapshots {
			known = append(known, name+"@"+s.Name())
		}
	}
	return known
}

// notFound says that a model is not cached, and what else it may be called.
func (c cache) notFound(name string) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the model cache cannot be read: %w", err)
	}
	var names []string
	for _, e := range entries {
		if repo, ok := strings.CutPrefix(e.Name(), "models--"); ok {
			names = append(names, strings.Replace(repo, "--", "/", 1))
		}
	}
	folders, _ := os.ReadDir(filepath.Dir(name)) // the user may have meant a path
	for _, e := range folders {
		if e.IsDir() {
			names = append(names, filepath.ToSlash(filepath.Join(filepath.Dir(name), e.Name())))
		}
	}
	if guess := closest(name, names); guess != "" && guess != name {
		return fmt.Errorf("%s is neither a folder nor a model in the cache (%s); did you mean %s?", name, c.dir, guess)
	}
	return fmt.Errorf("%s is neither a folder nor a model in the cache (%s); download it, or name a folder that holds its config.json and safetensors", name, c.dir)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
