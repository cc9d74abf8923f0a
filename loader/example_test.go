package loader_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing/fstest"

	"emily/loader"
)

func Example() {
	folder, err := loader.Find(context.Background(), "../testdata/models/tiny-qwen3-untied", loader.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	config, err := folder.Config()
	if err != nil {
		fmt.Println(err)
		return
	}
	checkpoint, err := folder.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer checkpoint.Close()
	fmt.Println(folder.Name(), config.ModelType, checkpoint.Parameters(), "parameters")
	fmt.Println(checkpoint.Weight("lm_head.weight").Shape)
	// Output:
	// tiny-qwen3-untied qwen3 164336 parameters
	// [448 48]
}

func ExampleFind() {
	_, err := loader.Find(context.Background(), "../testdata/models/tiny-qwen", loader.Options{})
	fmt.Println(err)
	// Output: ../testdata/models/tiny-qwen: no such folder or file; did you mean ../testdata/models/tiny-qwen3?
}

func ExampleWriteSafetensors() {
	var file bytes.Buffer
	err := loader.WriteSafetensors(&file, nil, []loader.TensorSource{{
		Name: "ones", DType: "BF16", Shape: []int{2},
		WriteData: func(w io.Writer) error {
			_, err := w.Write([]byte{0x80, 0x3f, 0x80, 0x3f})
			return err
		},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	tensors, err := loader.FromFS(fstest.MapFS{"model.safetensors": {Data: file.Bytes()}}, "memory").Tensors()
	fmt.Println(tensors[0].Name, tensors[0].DType, tensors[0].Shape, tensors[0].Bytes, err)
	// Output: ones BF16 [2] 4 <nil>
}

// A model comes from the hub into the cache, or what is new of it.
func ExamplePull() {
	folder, err := loader.Pull(context.Background(), "Qwen/Qwen3-0.6B", loader.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(folder.Path())
}

// The configuration and the headers of a model are read on the hub.
func ExampleRemote() {
	folder, err := loader.Remote(context.Background(), "Qwen/Qwen3-0.6B", loader.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	tensors, err := folder.Tensors()
	fmt.Println(len(tensors), err)
}
