package hub

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Cache is a folder in the layout of Python's huggingface_hub:
//
//	models--org--name/refs/main            the commit that a branch or tag points to
//	models--org--name/snapshots/COMMIT/    the files by name, links into blobs
//	models--org--name/blobs/               the content by hash
//	models--org--name/.no_exist/COMMIT/    empty files: names that the commit lacks
//	.locks/models--org--name/HASH.lock     held while a blob is written
//
// Besides, blobs holds HASH.emily-part and HASH.emily-journal of transfers that
// have not ended.
type Cache struct {
	// Dir is the folder's path.
	Dir string

	copies bool // HF_HUB_DISABLE_SYMLINKS: no links in snapshots
}

const (
	blobsDir     = "blobs"
	snapshotsDir = "snapshots"
	refsDir      = "refs"
	absentDir    = ".no_exist"
	locksDir     = ".locks"
)

func folderName(name string) string { return "models--" + strings.ReplaceAll(name, "/", "--") }

// Repo returns the folder of a model, which need not exist.
func (c Cache) Repo(name string) string { return filepath.Join(c.Dir, folderName(name)) }

// snapshot returns the folder with the files of a commit.
func (c Cache) snapshot(name, commit string) string {
	return filepath.Join(c.Repo(name), snapshotsDir, commit)
}

// Absent reports whether the hub is known to have no such file at a commit.
func (c Cache) Absent(name, commit, file string) bool {
	if !validFile(file) {
		return true
	}
	_, err := os.Lstat(filepath.Join(c.Repo(name), absentDir, commit, filepath.FromSlash(file)))
	return err == nil
}

// folder is the folder of one model, opened for writing. All its paths stay
// inside: os.Root refuses links that lead out.
type folder struct {
	*os.Root
	cache Cache
}

// open makes the folder of a model and opens it.
func (c Cache) open(name string) (*folder, error) {
	dir := c.Repo(name)
	if err := os.MkdirAll(filepath.Join(dir, blobsDir), 0o777); err != nil {
		return nil, c.cacheError(err)
	}
	return c.openExisting(name)
}

// openExisting opens the folder of a model that has one.
func (c Cache) openExisting(name string) (*folder, error) {
	root, err := os.OpenRoot(c.Repo(name))
	if err != nil {
		return nil, c.cacheError(err)
	}
	return &folder{root, c}, nil
}

func blobPath(etag string) string { return blobsDir + "/" + etag }

// hasBlob reports whether a blob is there with the right size.
func (f *folder) hasBlob(b fact) bool {
	// A blob may be a link into a store that models share, so not f.Stat.
	info, err := os.Stat(filepath.Join(f.Name(), blobsDir, b.etag))
	return err == nil && info.Mode().IsRegular() && info.Size() == b.size
}

// hasFile reports whether a snapshot has a file whose content is there.
func (f *folder) hasFile(commit, file string) bool {
	info, err := os.Stat(filepath.Join(f.Name(), snapshotsDir, commit, filepath.FromSlash(file)))
	return err == nil && info.Mode().IsRegular()
}

// place gives a blob its names in a snapshot: by relative symbolic links, else
// by hard links (Windows without the privilege), else by moving it to the last
// name and copying it to the others, as on FAT.
func (f *folder) place(etag, commit string, files []string) error {
	for i, file := range files {
		name := path.Join(snapshotsDir, commit, file)
		if err := f.MkdirAll(path.Dir(name), 0o777); err != nil {
			return f.cache.cacheError(err)
		}
		if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f.cache.cacheError(err)
		}
		err := errors.ErrUnsupported
		if !f.cache.copies {
			err = f.link(etag, name)
		}
		switch {
		case err == nil:
		case i == len(files)-1:
			err = f.Rename(blobPath(etag), name)
		default:
			err = f.copy(blobPath(etag), name)
		}
		if err != nil {
			return f.cache.cacheError(err)
		}
	}
	return nil
}

// link gives a blob a name without a second copy, if the system can. A name
// that exists was made by another process at this moment.
func (f *folder) link(etag, name string) error {
	up := strings.Repeat("../", strings.Count(name, "/"))
	err := f.Symlink(filepath.FromSlash(up+blobPath(etag)), name)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = f.Link(blobPath(etag), name)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// copy copies a file; the copy has its name only when it is complete.
func (f *folder) copy(from, to string) (err error) {
	src, err := f.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	return f.write(to, func(dst *os.File) error {
		_, err := io.Copy(dst, src)
		return err
	})
}

// write creates or replaces a file at once.
func (f *folder) write(name string, content func(*os.File) error) error {
	if err := f.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%08x.tmp", name, rand.Uint32())
	file, err := f.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	err = errors.Join(content(file), file.Sync(), file.Close())
	if err == nil {
		err = f.Rename(temporary, name)
	}
	if err != nil {
		f.Remove(temporary)
	}
	return err
}

// setRef makes a branch or tag point to a commit.
func (f *folder) setRef(revision, commit string) error {
	name := path.Join(refsDir, revision)
	if old, err := f.ReadFile(name); err == nil && string(old) == commit {
		return nil
	}
	return f.write(name, func(file *os.File) error {
		_, err := file.WriteString(commit) // no newline: Python does not strip it
		return err
	})
}

// setAbsent notes that a commit has no such file.
func (f *folder) setAbsent(commit, file string) error {
	name := path.Join(absentDir, commit, file)
	if _, err := f.Lstat(name); err == nil {
		return nil
	}
	return f.write(name, func(*os.File) error { return nil })
}

// Publish makes the repository's revision point to its commit in the cache,
// and notes which of the wanted names it does not have. It is called when
// everything needed was fetched, so that readers find the old commit or all
// of the new one. It writes nothing if nothing is new.
func (r *Repo) Publish(wanted ...string) error {
	f, err := r.client.cache.openExisting(r.Name)
	if err != nil {
		if f, err = r.client.cache.open(r.Name); err != nil {
			return err
		}
	}
	defer f.Close()
	for _, file := range wanted {
		if validFile(file) && !r.Has(file) {
			f.setAbsent(r.Commit, file) // it saves a question later, no more
		}
	}
	if r.Revision == r.Commit {
		return nil
	}
	return f.cache.cacheError(f.setRef(r.Revision, r.Commit))
}
