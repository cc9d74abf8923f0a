package kernels

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"emily/internal/leftover"
)

// Built returns through use what build makes of a key: the source, the
// compiler and all that changes the result. The file is kept in the user's
// cache folder, with its digest in its name; one that is damaged, or that use
// rejects, is built again. Any number of processes may do this at once. Where
// nothing can be kept, for want of a home, permission or room, it is built every time.
func Built(key, extension string, build, use func(path string) error) error {
	name := digest([]byte(key))
	if dir, err := folder(); err == nil {
		if path := kept(dir, name, extension); path != "" && use(path) == nil {
			return nil
		}
		leftover.Remove(dir, building)
		if built(dir, name, extension, build, use) == nil {
			return nil
		}
	}
	dir, err := os.MkdirTemp("", "emily-kernels-")
	if err != nil {
		return fmt.Errorf("a folder for compiled kernels: %w", err)
	}
	defer os.RemoveAll(dir)
	return built(dir, name, extension, build, use)
}

// folder makes the one in the user's cache.
func folder() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "emily", "kernels")
	return dir, os.MkdirAll(dir, 0o700)
}

// kept returns the file of a name, or "". A damaged one must not reach the
// system's loader, which would end the process; it is removed.
func kept(dir, name, extension string) string {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), name+"-")
		if !ok || filepath.Ext(rest) != extension {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if content, err := os.ReadFile(path); err == nil && digest(content)+extension == rest {
			return path
		}
		os.Remove(path)
	}
	return ""
}

// built builds a file in a folder and uses it.
func built(dir, name, extension string, build, use func(path string) error) error {
	f, err := os.CreateTemp(dir, building+"*"+extension)
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
	if content, err := os.ReadFile(f.Name()); err == nil {
		os.Rename(f.Name(), filepath.Join(dir, name+"-"+digest(content)+extension)) // if it fails, the next process builds again
	}
	return nil
}

const building = "building-"

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
