package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"emily/loader/hub"
)

// CacheDir returns the folder of the Hugging Face cache, which need not exist.
func CacheDir(o Options) string { return hub.CacheOf(o.getenv).Dir }

// cache finds models in the cache that Python's huggingface_hub shares.
type cache struct {
	hub.Cache
}

func newCache(o Options) cache { return cache{hub.CacheOf(o.getenv)} }

// find returns the snapshot of a model at a revision.
func (c cache) find(name, revision string) (*Folder, error) {
	if !isDir(c.Repo(name)) {
		return nil, c.notFound(name)
	}
	commit, err := c.commit(name, revision)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.Repo(name), "snapshots", commit)
	if !isDir(path) {
		return nil, fmt.Errorf("%s at %s is not in the cache: its commit %s has no files in %s; download it again",
			name, revision, commit, c.Repo(name))
	}
	f := fromDir(path, name)
	f.revision = commit
	return f, nil
}

// commit returns the commit that a revision stands for.
func (c cache) commit(name, revision string) (string, error) {
	if hub.IsCommit(revision) {
		return revision, nil
	}
	if !hub.ValidRevision(revision) {
		return "", fmt.Errorf("%s@%s: not a revision: expected a branch, a tag or a commit of 40 hexadecimal digits", name, revision)
	}
	text, err := os.ReadFile(filepath.Join(c.Repo(name), "refs", filepath.FromSlash(revision)))
	if err != nil {
		if known := c.revisions(name); len(known) > 0 {
			return "", fmt.Errorf("%s at %s is not in the cache, but these are: %s", name, revision, strings.Join(known, ", "))
		}
		return "", c.notFound(name)
	}
	commit := strings.TrimSpace(string(text))
	if !hub.IsCommit(commit) {
		return "", fmt.Errorf("%s: expected a commit of 40 hexadecimal digits, found %q",
			filepath.Join(c.Repo(name), "refs", revision), shorten(commit))
	}
	return commit, nil
}

// revisions returns what find would accept: name@ref, else name@commit.
func (c cache) revisions(name string) []string {
	var known []string
	refs := os.DirFS(filepath.Join(c.Repo(name), "refs"))
	// A folder without refs is walked as if it were empty.
	fs.WalkDir(refs, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			known = append(known, name+"@"+path)
		}
		return nil
	})
	if len(known) == 0 {
		snapshots, _ := os.ReadDir(filepath.Join(c.Repo(name), "snapshots"))
		for _, s := range snapshots {
			known = append(known, name+"@"+s.Name())
		}
	}
	return known
}

// notFound says that a model is not cached, and what else it may be called.
func (c cache) notFound(name string) error {
	if _, err := os.ReadDir(c.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the model cache cannot be read: %w", err)
	}
	if guess := c.guess(name); guess != "" {
		return fmt.Errorf("%s is neither a folder nor a model in the cache (%s); did you mean %s?", name, c.Dir, guess)
	}
	return fmt.Errorf("%s is neither a folder nor a model in the cache (%s); download it with emily pull, or name a folder that holds its config.json and safetensors", name, c.Dir)
}

// guess returns the cached model or the folder whose name is most like name,
// or "" if none is like it.
func (c cache) guess(name string) string {
	entries, _ := os.ReadDir(c.Dir)
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
	if guess := closest(name, names); guess != name {
		return guess
	}
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
