package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// FS returns the files of the repository as a file system: those that are in
// the cache from there, the others read from the hub as far as they are read,
// in ranges, and not stored. The context covers all reads. Only the root can
// be listed.
func (r *Repo) FS(ctx context.Context) fs.FS { return &remoteFS{ctx, r} }

type remoteFS struct {
	ctx  context.Context
	repo *Repo
}

func (f *remoteFS) local(name string) string {
	return filepath.Join(f.repo.Path(), filepath.FromSlash(name))
}

// Stat implements fs.StatFS. The size of a file that is not in the cache is
// -1 until it is opened, so that looking for a file asks nothing.
func (f *remoteFS) Stat(name string) (fs.FileInfo, error) {
	switch {
	case !fs.ValidPath(name):
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	case !f.repo.Has(name):
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	if info, err := os.Stat(f.local(name)); err == nil {
		return info, nil
	}
	return remoteInfo{path.Base(name), -1}, nil
}

// Open implements fs.FS.
func (f *remoteFS) Open(name string) (fs.File, error) {
	if name == "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
	}
	info, err := f.Stat(name)
	if err != nil {
		return nil, err
	}
	if _, remote := info.(remoteInfo); !remote {
		return os.Open(f.local(name))
	}
	b, err := f.repo.fact(f.ctx, name)
	if err != nil {
		return nil, err
	}
	return &remoteFile{fsys: f, name: name, info: remoteInfo{path.Base(name), b.size}}, nil
}

// ReadDir implements fs.ReadDirFS for the root.
func (f *remoteFS) ReadDir(name string) (entries []fs.DirEntry, err error) {
	if name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.ErrUnsupported}
	}
	for _, file := range f.repo.Files {
		if !strings.Contains(file, "/") {
			entries = append(entries, remoteInfo{file, -1})
		}
	}
	return entries, nil
}

// remoteInfo is an fs.FileInfo and an fs.DirEntry.
type remoteInfo struct {
	name string
	size int64
}

func (i remoteInfo) Name() string               { return i.name }
func (i remoteInfo) Size() int64                { return i.size }
func (i remoteInfo) Mode() fs.FileMode          { return 0o444 }
func (i remoteInfo) Type() fs.FileMode          { return 0 }
func (i remoteInfo) ModTime() time.Time         { return time.Time{} }
func (i remoteInfo) IsDir() bool                { return false }
func (i remoteInfo) Sys() any                   { return nil }
func (i remoteInfo) Info() (fs.FileInfo, error) { return i, nil }

// remoteFile reads a file in ranges: at least ahead bytes, more if the caller
// wants more at once.
type remoteFile struct {
	fsys   *remoteFS
	name   string
	info   remoteInfo
	pos    int64 // of the first byte of buffer
	buffer []byte
}

const ahead = 64 << 10

func (f *remoteFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *remoteFile) Close() error               { return nil }

func (f *remoteFile) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(f.buffer) == 0 {
		if f.pos >= f.info.size {
			return 0, io.EOF
		}
		if err := f.fill(int64(len(p))); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.buffer)
	f.buffer = f.buffer[n:]
	f.pos += int64(n)
	return n, nil
}

// fill reads the next range.
func (f *remoteFile) fill(want int64) error {
	r, c := f.fsys.repo, f.fsys.repo.client
	end := min(f.pos+max(want, ahead), f.info.size)
	data := make([]byte, end-f.pos)
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", f.pos, end-1)}}
	err := c.retry(f.fsys.ctx, func() (bool, error) {
		resp, err := c.do(f.fsys.ctx, http.MethodGet, r.url(f.name), r.target(f.name), header)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if err = seek(resp, f.pos, end, f.info.size); err == nil {
			if _, err = io.ReadFull(resp.Body, data); err != nil {
				err = transient(err)
			}
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", r.target(f.name), err)
		}
		return true, nil
	})
	f.buffer = data
	if err != nil {
		f.buffer = nil
	}
	return err
}
