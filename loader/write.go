package loader

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// TensorSource is a tensor to be written to a safetensors file.
type TensorSource struct {
	// Name is the tensor's name.
	Name string
	// DType is the element type as safetensors spells it, such as "BF16".
	DType string
	// Shape is row-major; empty for a scalar.
	Shape []int
	// WriteData writes the elements, little endian and without padding.
	WriteData func(io.Writer) error
}

// WriteSafetensors writes a safetensors file to w as a stream: it holds the
// header in memory and no data. Tensors of wide elements come first, so that
// each is aligned to its elements in the file, and else in the order given.
// The metadata may be nil.
func WriteSafetensors(w io.Writer, metadata map[string]string, tensors []TensorSource) error {
	tensors = slices.Clone(tensors)
	slices.SortStableFunc(tensors, func(a, b TensorSource) int {
		return cmp.Compare(storedTypes[b.DType].bits, storedTypes[a.DType].bits)
	})
	header, sizes, err := makeHeader(metadata, tensors)
	if err != nil {
		return err
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))); err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for i, t := range tensors {
		limited := &limitedWriter{w, sizes[i]}
		if err := t.WriteData(limited); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if limited.left != 0 {
			return fmt.Errorf("tensor %q: %d of %d bytes were not written", t.Name, limited.left, sizes[i])
		}
	}
	return nil
}

// makeHeader returns the header, padded with spaces to 8 bytes, and the size
// of each tensor's data.
func makeHeader(metadata map[string]string, tensors []TensorSource) (header []byte, sizes []int64, err error) {
	var text bytes.Buffer
	separator := "{"
	entry := func(name string, value any) error {
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(value)
		fmt.Fprintf(&text, "%s%s:%s", separator, key, encoded)
		separator = ","
		return err
	}
	if len(metadata) > 0 {
		if err := entry("__metadata__", metadata); err != nil {
			return nil, nil, err
		}
	}
	begin := int64(0)
	for _, t := range tensors {
		shape := make([]int64, len(t.Shape))
		for i, d := range t.Shape {
			shape[i] = int64(d)
		}
		size, ok := byteSize(shape, storedTypes[t.DType].bits)
		if !ok || storedTypes[t.DType].bits == 0 {
			return nil, nil, fmt.Errorf("tensor %q: %s of shape %v cannot be stored", t.Name, t.DType, t.Shape)
		}
		if err := entry(t.Name, struct {
			DType   string   `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{t.DType, shape, [2]int64{begin, begin + size}}); err != nil {
			return nil, nil, err
		}
		sizes = append(sizes, size)
		begin += size
	}
	if separator == "{" {
		text.WriteByte('{')
	}
	text.WriteByte('}')
	text.Write(bytes.Repeat([]byte(" "), -text.Len()&7))
	// The reader's checks are the writer's too: names that occur twice, sizes.
	if read, err := parseHeader(text.Bytes()); err != nil {
		return nil, nil, err
	} else if err := checkLayout(read, begin); err != nil {
		return nil, nil, err
	}
	return text.Bytes(), sizes, nil
}

// limitedWriter refuses to write more than is left.
type limitedWriter struct {
	w    io.Writer
	left int64
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, fmt.Errorf("%d bytes more than its shape needs", int64(len(p))-l.left)
	}
	n, err := l.w.Write(p)
	l.left -= int64(n)
	return n, err
}
