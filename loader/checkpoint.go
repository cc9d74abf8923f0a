package loader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"emily/backend"
	"emily/internal/mmap"
)

// Checkpoint is the open weights of a model. Weights are slices of mapped
// files: they take no memory of the Go heap, and their pages are read from disk
// when they are first used. A Checkpoint is safe for concurrent use until it
// is closed.
type Checkpoint struct {
	folder  *Folder
	tensors []Tensor // sorted by name
	weights map[string]*backend.Weight
	close   []func() error
}

// Tensors lists the tensors by name. It reads and checks the headers alone.
func (f *Folder) Tensors() ([]Tensor, error) {
	c, err := f.read(nil)
	if err != nil {
		return nil, err
	}
	return c.tensors, nil
}

// Open checks the headers of all safetensors files and then maps the files.
// These are model.safetensors, else the shards that model.safetensors.index.json
// names, else the only .safetensors file of the folder.
//
// A file that is cut short while it is mapped cannot be read any more: the
// processor reports a fault where it is touched. Code that reads weights runs
// under Guard or sets debug.SetPanicOnFault in its goroutine, so that this is
// an error and not the end of the process.
func (f *Folder) Open() (*Checkpoint, error) {
	c, err := f.read(mapFile)
	if err != nil {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
		return nil, err
	}
	return c, nil
}

// content gives access to the data of an open file of the given size, from its
// byte start to the end; the file stands at start.
type content func(file fs.File, start, size int64) (data []byte, close func() error, err error)

// read opens each file, checks its header and, if get is not nil, gets its
// data. On an error it returns what is to be closed.
func (f *Folder) read(get content) (*Checkpoint, error) {
	files, index, err := f.weightFiles()
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{folder: f, weights: make(map[string]*backend.Weight)}
	for _, name := range files {
		if err := c.add(name, get); err != nil {
			return c, err
		}
	}
	slices.SortFunc(c.tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	for i, t := range c.tensors[min(1, len(c.tensors)):] {
		if before := c.tensors[i]; before.Name == t.Name {
			return c, fmt.Errorf("%s: tensor %q is in two files, %s and %s", f.place("."), t.Name, before.File, t.File)
		}
	}
	return c, c.checkIndex(index)
}

// add reads one file.
func (c *Checkpoint) add(name string, get content) error {
	file, size, err := c.folder.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	tensors, start, err := readHeader(file, size)
	if err != nil {
		return fmt.Errorf("%s: %w", c.folder.place(name), err)
	}
	for i := range tensors {
		tensors[i].File = name
	}
	c.tensors = append(c.tensors, tensors...)
	if get == nil {
		return nil
	}
	data, close, err := get(file, start, size)
	if err != nil {
		return fmt.Errorf("%s: %w", c.folder.place(name), err)
	}
	c.close = append(c.close, close)
	source := identity(file, c.folder.filePath(name))
	_, mapped := file.(*os.File)
	for _, t := range tensors {
		if kind := storedTypes[t.DType].bind; kind != backend.Invalid {
			end := t.begin + t.Bytes
			w := &backend.Weight{Name: t.Name, DType: kind, Shape: t.Shape, Data: data[t.begin:end:end], Source: source}
			if mapped {
				w.Forget = func() { mmap.Forget(w.Data) }
			}
			c.weights[t.Name] = w
		}
	}
	return nil
}

// checkIndex compares the index of a sharded checkpoint with what the shards hold.
func (c *Checkpoint) checkIndex(index map[string]string) error {
	files := make(map[string]string, len(c.tensors))
	for _, t := range c.tensors {
		files[t.Name] = t.File
	}
	var wrong []string
	for name, file := range index {
		if files[name] != file {
			wrong = append(wrong, name)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	first := wrong[0]
	found := "which lacks it"
	if files[first] != "" {
		found = "but it is in " + files[first]
	}
	return fmt.Errorf("%s: %d wrong entries, first: tensor %q is said to be in %s, %s",
		c.folder.place(indexFile), len(wrong), first, index[first], found)
}

// mapFile maps files of the operating system and reads others into memory.
func mapFile(file fs.File, start, size int64) ([]byte, func() error, error) {
	if size > math.MaxInt {
		return nil, nil, fmt.Errorf("%d bytes are too many for this machine's address space", size)
	}
	if mappable, ok := file.(*os.File); ok {
		data, unmap, err := mmap.Map(mappable, int(size))
		if err != nil {
			return nil, nil, fmt.Errorf("mapping the file: %w", err)
		}
		return data[start:], unmap, nil
	}
	data := make([]byte, size-start)
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, nil, err
	}
	return data, func() error { return nil }, nil
}

// Weight returns a tensor by name, the same pointer each time. It is nil if
// there is no such tensor or its dtype is not F32, BF16 or F16.
func (c *Checkpoint) Weight(name string) *backend.Weight { return c.weights[name] }

// Tensors returns all tensors, also those that are no weights, sorted by name.
func (c *Checkpoint) Tensors() []Tensor { return slices.Clone(c.tensors) }

// Folder returns the folder that the checkpoint was opened from.
func (c *Checkpoint) Folder() *Folder { return c.folder }

// Parameters returns the number of elements of all tensors of floating point
// numbers.
func (c *Checkpoint) Parameters() int64 {
	var n int64
	for _, t := range c.tensors {
		if storedTypes[t.DType].float {
			n += t.Elements()
		}
	}
	return n
}

// Bytes returns the size of the data of all tensors.
func (c *Checkpoint) Bytes() int64 {
	var n int64
	for _, t := range c.tensors {
		n += t.Bytes
	}
	return n
}

// Close unmaps the files. No weight may be read after that, so sessions and
// programs that use the weights are closed first. A second Close does nothing.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, close := range c.close {
		errs = append(errs, close())
	}
	c.close, c.weights = nil, nil
	return errors.Join(errs...)
}

// tensor returns the description of a tensor.
func (c *Checkpoint) tensor(name string) (Tensor, bool) {
	i, found := slices.BinarySearchFunc(c.tensors, name, func(t Tensor, name string) int { return strings.Compare(t.Name, name) })
	if !found {
		return Tensor{}, false
	}
	return c.tensors[i], true
}
