package kernels

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// Built returns through use what build makes of a key: the source, the
// compiler and all that changes the result. The file is kept in the user's
// cache folder; one that use rejects is built again. Any number of processes
// may do this at once.
func Built(key, extension string, build, use func(path string) error) error {
	dir, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(dir, "emily", "kernels")
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil { // no home: build every time
		if dir, err = os.MkdirTemp("", "emily-kernels-"); err != nil {
			return fmt.Errorf("a folder for compiled kernels: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	path := filepath.Join(dir, fmt.Sprintf("%x%s", sha256.Sum256([]byte(key)), extension))
	if _, err := os.Stat(path); err == nil && use(path) == nil {
		return nil
	}
	f, err := os.CreateTemp(dir, "building-*"+extension)
	if err != nil {
		return fmt.Errorf("a file for compiled kernels: %w", err)
	}
	f.Close()
	defer os.Remove(f.Name())
	if err := build(f.Name()); err != nil {
		return err
	}
	if err := use(f.Name()); err != nil {
		return err
	}
	os.Rename(f.Name(), path) // if it fails, the next process builds again
	return nil
}
