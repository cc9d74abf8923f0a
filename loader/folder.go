package loader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile bounds what ReadFile reads: the largest tokenizers have 40 MB.
const maxFile = 256 << 20

// Folder is a folder with the files of one model: config.json, tokenizer.json,
// safetensors and so on. It may be a folder on disk, a snapshot in the Hugging
// Face cache or a part of any fs.FS. A Folder holds no open files and is safe
// for concurrent use.
type Folder struct {
	fsys     fs.FS
	name     string
	path     string
	revision string
	only     string // if set, the one file that holds the weights
	remote   bool
}

// FromFS returns the root of fsys as a folder, for models that are embedded
// in a program. The name is used in messages. Files of fsys that are files of
// the operating system (as in os.DirFS) are mapped; Open copies the weights of
// others, once per file.
func FromFS(fsys fs.FS, name string) *Folder {
	return &Folder{fsys: fsys, name: name}
}

// fromDir returns a folder on disk.
func fromDir(path, name string) *Folder {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if name == "" {
		name = filepath.Base(path)
	}
	return &Folder{fsys: os.DirFS(path), name: name, path: path}
}

// Name returns the model's name: "org/name" if it comes from the cache, the
// base name of a folder on disk, or the name that FromFS was given.
func (f *Folder) Name() string { return f.name }

// Path returns the folder's absolute path, or "" if it is not on disk.
func (f *Folder) Path() string { return f.path }

// Revision returns the commit of a snapshot in the cache or on the hub, else "".
func (f *Folder) Revision() string { return f.revision }

// Remote reports whether the files are on the hub, so that Open would
// transfer the weights.
func (f *Folder) Remote() bool { return f.remote }

// Has reports whether the folder holds a file with this slash-separated name.
func (f *Folder) Has(name string) bool {
	info, err := fs.Stat(f.fsys, name)
	return err == nil && info.Mode().IsRegular()
}

// ReadFile returns the content of a file of at most 256 MiB. The name is
// slash-separated and cannot lead out of the folder. The error of a missing
// file is fs.ErrNotExist to errors.Is.
func (f *Folder) ReadFile(name string) ([]byte, error) {
	file, size, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are more than such a file ever has (limit %d)", f.place(name), size, int64(maxFile))
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(file, text); err != nil {
		return nil, fmt.Errorf("%s: %w", f.place(name), err)
	}
	return text, nil
}

// ReadJSON decodes a JSON file of the folder into v. Errors name the file and
// the line and column or the field that does not fit.
func (f *Folder) ReadJSON(name string, v any) error {
	text, err := f.ReadFile(name)
	if err != nil {
		return err
	}
	return decodeJSON(f.place(name), text, v)
}

// open opens a regular file and returns its size. The file is checked before
// it is opened because opening a pipe would wait for a writer.
func (f *Folder) open(name string) (fs.File, int64, error) {
	if !fs.ValidPath(name) {
		return nil, 0, fmt.Errorf("%s: %q is not the name of a file in the folder", f.name, name)
	}
	info, err := fs.Stat(f.fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, &missingFile{f.place("."), name}
	case err != nil:
		return nil, 0, fmt.Errorf("%s: %w", f.place(name), reason(err))
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%s is not a regular file", f.place(name))
	}
	file, err := f.fsys.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", f.place(name), reason(err))
	}
	if info, err = file.Stat(); err != nil {
		file.Close()
		return nil, 0, fmt.Errorf("%s: %w", f.place(name), reason(err))
	}
	return file, info.Size(), nil
}

// place returns how messages name a file: its path if it has one.
func (f *Folder) place(name string) string {
	root := f.path
	if root == "" {
		root = f.name
	}
	return filepath.Join(root, filepath.FromSlash(name))
}

// filePath returns the path of a file on disk, or "".
func (f *Folder) filePath(name string) string {
	if f.path == "" {
		return ""
	}
	return filepath.Join(f.path, filepath.FromSlash(name))
}

// reason strips the operation and the path that our own message states.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

type missingFile struct{ folder, name string }

func (e *missingFile) Error() string        { return fmt.Sprintf("%s has no %s", e.folder, e.name) }
func (e *missingFile) Is(target error) bool { return target == fs.ErrNotExist }
