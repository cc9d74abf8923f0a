package compact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"emily/backend/cpu/kernel"
	"emily/internal/leftover"
	"emily/internal/mmap"
)

// Store keeps compact forms in a folder:
//
//	SOURCE/NAME.exact
//	SOURCE/NAME.screen
//
// SOURCE names the content of a checkpoint's file, NAME is the hash of a
// tensor's name. Files are written beside their place and renamed, so that any
// number of processes may share a store; what is damaged is made anew. A Store
// is safe for concurrent use.
type Store struct {
	dir string

	mu     sync.Mutex
	mapped []func() error
}

// NewStore returns the store in a folder, which need not exist.
func NewStore(dir string) *Store { return &Store{dir: dir} }

// Dir returns the folder.
func (s *Store) Dir() string { return s.dir }

// Matrix is a bf16 weight [N,K] that has a form in a store. Source is not empty.
type Matrix struct {
	Source, Name string
	N, K         int
	Data         []byte
}

func (s *Store) path(m Matrix, kind Kind) string {
	name := sha256.Sum256([]byte(m.Name))
	ext := map[Kind]string{Exact: ".exact", Screen: ".screen"}[kind]
	return filepath.Join(s.dir, m.Source, hex.EncodeToString(name[:16])+ext)
}

// OpenExact maps the exact form of a matrix. The error is fs.ErrNotExist to
// errors.Is if there is none. The whole file is read once to check it; the
// matrix may be used until the store is closed.
func (s *Store) OpenExact(m Matrix) (*kernel.Compact, error) { return open(s, m, Exact, readExact) }

// OpenScreen is OpenExact for the screen.
func (s *Store) OpenScreen(m Matrix) (*Screened, error) { return open(s, m, Screen, readScreen) }

func open[T any](s *Store, m Matrix, kind Kind, read func(image []byte, n, k int) (*T, error)) (*T, error) {
	path := s.path(m, kind)
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() < headerSize || info.Size() > 2*int64(len(m.Data))+1<<20 {
		return nil, fmt.Errorf("%s: %w", path, errDamaged)
	}
	image, unmap, err := mmap.Map(file, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	w, err := read(image, m.N, m.K)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), unmap())
	}
	s.mu.Lock()
	s.mapped = append(s.mapped, unmap)
	s.mu.Unlock()
	return w, nil
}

// spare is the disk space that packing leaves to others.
const spare = 1 << 30

// Write makes a form of a matrix and returns the size of its file. When ctx is
// cancelled nothing is left. A matrix that does not compress gives 0.
func (s *Store) Write(ctx context.Context, m Matrix, kind Kind) (size int64, err error) {
	path := s.path(m, kind)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return 0, err
	}
	if free, known := freeSpace(filepath.Dir(path)); known && free < int64(len(m.Data))+spare {
		return 0, fmt.Errorf("%s: too little room: %d MB are free", s.dir, free>>20)
	}
	leftover.Remove(filepath.Dir(path), "writing-")
	file, err := os.CreateTemp(filepath.Dir(path), "writing-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil || size == 0 {
			os.Remove(file.Name())
		}
	}()
	encode := encodeExact
	if kind == Screen {
		encode = encodeScreen
	}
	_, err = file.Write(make([]byte, headerSize))
	var h header
	if err == nil {
		h, err = encode(ctx, file, m.Data, m.N, m.K)
	}
	if err == nil {
		_, err = file.WriteAt(h.encode(), 0)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		if errors.Is(err, errIncompressible) {
			return 0, nil
		}
		return 0, err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		// Windows replaces no file that is mapped: another process made it meanwhile.
		if info, statErr := os.Stat(path); statErr != nil || info.Size() != h.size() {
			return 0, err
		}
		os.Remove(file.Name())
	}
	return h.size(), nil
}

// Close unmaps what was opened.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, unmap := range s.mapped {
		errs = append(errs, unmap())
	}
	s.mapped = nil
	return errors.Join(errs...)
}
