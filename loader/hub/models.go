package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Model is a model in the cache.
type Model struct {
	// Name is org/name.
	Name string
	// Revisions are the branches and tags that point to a commit whose files
	// are there, or commits that none points to.
	Revisions []string
	// Bytes is what the model takes on the disk.
	Bytes int64
	// Partial is the part of Bytes that belongs to transfers that have not ended.
	Partial int64
	// Used is when a file was last read, as far as the system records that.
	Used time.Time
}

// Models lists the cache, sorted by name. A cache that does not exist is empty.
func (c Cache) Models() ([]Model, error) {
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the model cache cannot be read: %w", err)
	}
	var models []Model
	for _, e := range entries {
		folder, ok := strings.CutPrefix(e.Name(), "models--")
		name := strings.Replace(folder, "--", "/", 1)
		if ok && ValidName(name) {
			models = append(models, c.model(name))
		}
	}
	slices.SortFunc(models, func(a, b Model) int { return strings.Compare(a.Name, b.Name) })
	return models, nil
}

func (c Cache) model(name string) Model {
	m := Model{Name: name}
	// Links count nothing, and what cannot be read is left out.
	fs.WalkDir(os.DirFS(c.Repo(name)), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		size := onDisk(info)
		m.Bytes += size
		if strings.HasSuffix(path, ".emily-part") || strings.HasSuffix(path, ".incomplete") {
			m.Partial += size
		}
		if used := lastUsed(info); used.After(m.Used) {
			m.Used = used
		}
		return nil
	})
	m.Revisions = c.revisions(name)
	return m
}

// revisions returns the refs whose snapshots exist, and the other snapshots.
func (c Cache) revisions(name string) []string {
	var known []string
	named := make(map[string]bool)
	for revision, commit := range c.Refs(name) {
		if info, err := os.Stat(c.snapshot(name, commit)); err == nil && info.IsDir() {
			known = append(known, revision)
			named[commit] = true
		}
	}
	snapshots, _ := os.ReadDir(filepath.Join(c.Repo(name), snapshotsDir))
	for _, s := range snapshots {
		if IsCommit(s.Name()) && !named[s.Name()] {
			known = append(known, s.Name())
		}
	}
	slices.Sort(known)
	return known
}

// Refs returns the commits that branches and tags of a model point to. It is
// empty for a model that is not in the cache.
func (c Cache) Refs(name string) map[string]string {
	refs := make(map[string]string)
	root := os.DirFS(filepath.Join(c.Repo(name), refsDir))
	fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if text, err := fs.ReadFile(root, path); err == nil && IsCommit(strings.TrimSpace(string(text))) {
			refs[path] = strings.TrimSpace(string(text))
		}
		return nil
	})
	return refs
}

// Remove deletes a model. It refuses while another process downloads it.
func (c Cache) Remove(ctx context.Context, name string) error {
	if !ValidName(name) {
		return fmt.Errorf("%q is not a model: expected org/name", shorten(name))
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return c.cacheError(err)
	}
	defer root.Close()
	if _, err := root.Lstat(folderName(name)); err != nil {
		return &Error{Reason: NotFound, message: fmt.Sprintf("%s is not in the cache (%s)", name, c.Dir)}
	}
	locks := filepath.Join(c.Dir, locksDir, folderName(name))
	entries, _ := os.ReadDir(locks)
	for _, e := range entries {
		l := flock.New(filepath.Join(locks, e.Name()))
		held, err := l.TryLock()
		if err == nil && !held {
			return fmt.Errorf("%s is being downloaded by another process", name)
		}
		l.Close()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := root.RemoveAll(folderName(name)); err != nil {
		return c.cacheError(err)
	}
	return c.cacheError(root.RemoveAll(locksDir + "/" + folderName(name)))
}
