package loader

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
)

const (
	// maxHeader is the longest header that the safetensors format allows.
	maxHeader = 100_000_000
	// maxRank bounds shapes; the models here have at most 4 dimensions.
	maxRank = 32
)

// Tensor describes one tensor of a checkpoint as its file's header states it.
type Tensor struct {
	// Name is the tensor's name in the checkpoint.
	Name string
	// DType is the element type as safetensors spells it, such as "BF16".
	DType string
	// Shape is row-major; it is empty for a scalar.
	Shape []int
	// Bytes is the size of the data.
	Bytes int64
	// File is the name of the file in the folder that holds the data.
	File string

	begin int64 // first byte, counted from the end of the header
}

// Float reports whether the elements are floating point numbers.
func (t Tensor) Float() bool { return storedTypes[t.DType].float }

// Elements returns the number of elements.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}

// readHeader reads the header of a safetensors file of the given size from r,
// which stands at the start of the file, and returns the tensors in the order
// of their data and where the data starts. A file is hostile input: it is read
// no further than the header, everything the header says is checked against
// the format (github.com/huggingface/safetensors) and the size, and memory is
// bounded by a multiple of the header, which the file really has.
func readHeader(r io.Reader, size int64) (tensors []Tensor, start int64, err error) {
	var prefix [8]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		if size < 8 {
			return nil, 0, fmt.Errorf("not a safetensors file: %d bytes, shorter than the length of a header", size)
		}
		return nil, 0, fmt.Errorf("reading the header: %w", err)
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case string(prefix[:]) == "version ":
		return nil, 0, errors.New(`a Git LFS pointer, not the file itself: run "git lfs pull" in its folder`)
	case n > maxHeader:
		return nil, 0, fmt.Errorf("not a safetensors file: a header of %d bytes exceeds the format's limit of %d", n, maxHeader)
	case int64(n) > size-8:
		return nil, 0, fmt.Errorf("truncated: the header has %d bytes, of which %d are missing", n, int64(n)-(size-8))
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, 0, fmt.Errorf("reading the header: %w", err)
	}
	start = 8 + int64(n)
	tensors, err = parseHeader(text)
	if err == nil {
		err = checkLayout(tensors, size-start)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("bad safetensors header: %w", err)
	}
	return tensors, start, nil
}

// parseHeader reads the JSON of a header. It checks each tensor by itself.
func parseHeader(text []byte) ([]Tensor, error) {
	if !bytes.HasPrefix(text, []byte("{")) {
		return nil, errors.New("it must start with {")
	}
	var tensors []Tensor
	err := scanObject(text, func(s *scanner, name string) error {
		if name == "__metadata__" {
			return s.object("__metadata__", func(key string) error {
				_, err := s.text("a value of __metadata__")
				return err
			})
		}
		t, err := parseTensor(s, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", shorten(name), err)
		}
		tensors = append(tensors, t)
		return nil
	})
	return tensors, err
}

func parseTensor(s *scanner, name string) (Tensor, error) {
	t := Tensor{Name: name}
	var shape, offsets []int64
	err := s.object("a tensor", func(key string) (err error) {
		switch key {
		case "dtype":
			t.DType, err = s.text("dtype")
		case "shape":
			shape, err = s.naturals("shape", maxRank)
		case "data_offsets":
			offsets, err = s.naturals("data_offsets", 2)
		default:
			err = fmt.Errorf("unknown field %q", shorten(key))
		}
		return err
	})
	if err != nil {
		return t, err
	}
	if t.DType == "" || shape == nil || len(offsets) != 2 {
		return t, errors.New("it needs dtype, shape and two data_offsets")
	}
	kind, ok := storedTypes[t.DType]
	if !ok {
		return t, fmt.Errorf("unknown dtype %q", shorten(t.DType))
	}
	for _, d := range shape {
		if d > math.MaxInt {
			return t, fmt.Errorf("dimension %d is too large for this machine", d)
		}
		t.Shape = append(t.Shape, int(d))
	}
	if t.Bytes, ok = byteSize(shape, kind.bits); !ok {
		return t, fmt.Errorf("shape %v of %s is not a possible size", shape, t.DType)
	}
	t.begin = offsets[0]
	if have := offsets[1] - offsets[0]; have != t.Bytes {
		return t, fmt.Errorf("shape %v of %s needs %d bytes, data_offsets give %d", shape, t.DType, t.Bytes, have)
	}
	return t, nil
}

// byteSize returns the bytes of a tensor. It is false if the number does not
// fit or if elements of less than a byte do not fill whole bytes.
func byteSize(shape []int64, elementBits int64) (int64, bool) {
	n := uint64(elementBits)
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		n = lo
	}
	return int64(n / 8), n%8 == 0
}

// checkLayout sorts tensors by their place and checks that they cover size
// bytes of data without overlap, hole or remainder, as the format demands.
func checkLayout(tensors []Tensor, size int64) error {
	slices.SortFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Name, b.Name))
	})
	end := int64(0)
	for i, t := range tensors {
		switch {
		case t.begin > end:
			return fmt.Errorf("%d bytes before tensor %q belong to no tensor", t.begin-end, shorten(t.Name))
		case t.begin < end:
			return fmt.Errorf("tensors %q and %q overlap", shorten(tensors[i-1].Name), shorten(t.Name))
		}
		end += t.Bytes
	}
	switch {
	case end > size:
		return fmt.Errorf("the file is truncated: %d bytes of data are missing; download it again", end-size)
	case end < size:
		return fmt.Errorf("the file is %d bytes longer than its tensors", size-end)
	}
	return nil
}
