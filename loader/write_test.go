package loader

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nlpodyssey/safetensors"
)

func source(name, dtype string, shape []int, data string) TensorSource {
	return TensorSource{name, dtype, shape, func(w io.Writer) error {
		_, err := io.WriteString(w, data)
		return err
	}}
}

// TestWriteSafetensors reads back what was written, with this package and with another reader.
func TestWriteSafetensors(t *testing.T) {
	tensors := []TensorSource{
		source("narrow", "U8", []int{3}, "abc"),
		source("half \"\u00e9<", "BF16", []int{1, 2}, "wxyz"),
		source("wide", "F32", []int{}, "1234"),
		source("none", "F32", []int{0, 5}, ""),
	}
	var text bytes.Buffer
	if err := WriteSafetensors(&text, map[string]string{"format": "pt"}, tensors); err != nil {
		t.Fatal(err)
	}
	c, err := FromFS(fstest.MapFS{singleFile: {Data: text.Bytes()}}, "m").Open()
	if err != nil {
		t.Fatal(err)
	}
	other, err := safetensors.Deserialize(text.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range tensors {
		var data bytes.Buffer
		want.WriteData(&data)
		if view, ok := other.Tensor(want.Name); !ok || !bytes.Equal(view.Data(), data.Bytes()) {
			t.Errorf("%s: another reader finds %v", want.Name, view)
		}
		w := c.Weight(want.Name)
		if want.DType == "U8" {
			continue
		}
		if w == nil || !bytes.Equal(w.Data, data.Bytes()) || len(w.Shape) != len(want.Shape) {
			t.Errorf("%s: %+v", want.Name, w)
		}
	}
	if start := bytes.Index(text.Bytes(), []byte("1234wxyzabc")); start%8 != 0 {
		t.Errorf("the data starts at %d", start)
	}
	text.Reset()
	if err := WriteSafetensors(&text, nil, nil); err != nil || text.String()[8:] != "{}      " {
		t.Errorf("no tensors: %q, %v", text.String(), err)
	}
}

func TestWriteSafetensorsRejects(t *testing.T) {
	tests := []struct {
		tensors []TensorSource
		want    string
	}{
		{[]TensorSource{source("a", "F32", []int{1}, "123")}, "1 of 4 bytes were not written"},
		{[]TensorSource{source("a", "F32", []int{1}, "12345")}, "1 bytes more than its shape needs"},
		{[]TensorSource{source("a", "F31", []int{1}, "1234")}, "cannot be stored"},
		{[]TensorSource{source("a", "F32", []int{-1}, "1234")}, "cannot be stored"},
		{[]TensorSource{source("a", "U8", []int{1}, "1"), source("a", "U8", []int{1}, "1")}, "occurs twice"},
		{[]TensorSource{source("__metadata__", "U8", []int{1}, "1")}, "__metadata__"},
	}
	for _, tt := range tests {
		err := WriteSafetensors(io.Discard, nil, tt.tensors)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}
