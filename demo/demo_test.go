package demo_test

import (
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"emily/backend"
	"emily/demo"
	"emily/loader"
)

// maxBytes bounds what the models add to the program, together.
const maxBytes = 20 << 20

func TestModelsLoad(t *testing.T) {
	architectures := map[string]string{
		"generate":   "Qwen3ForCausalLM",
		"classify":   "ViTForImageClassification",
		"transcribe": "WhisperForConditionalGeneration",
		"answer":     "DistilBertForQuestionAnswering",
	}
	if len(demo.Models()) != len(architectures) {
		t.Fatalf("%d models, want %d", len(demo.Models()), len(architectures))
	}
	for _, m := range demo.Models() {
		t.Run(m.Task, func(t *testing.T) {
			_, fsys, ok := demo.Find(m.Task)
			if !ok {
				t.Fatal("no folder")
			}
			folder := loader.FromFS(fsys, m.Task)
			config, err := folder.Config()
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{architectures[m.Task]}; !slices.Equal(config.Architectures, want) {
				t.Errorf("architectures %v, want %v", config.Architectures, want)
			}
			checkpoint, err := folder.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer checkpoint.Close()
			for _, tensor := range checkpoint.Tensors() {
				w := checkpoint.Weight(tensor.Name)
				if w.DType != backend.BF16 {
					t.Errorf("%s is %v, want bf16", tensor.Name, w.DType)
				}
				if i, found := loader.FirstNonFinite(w); found {
					t.Errorf("%s[%d] is not a number", tensor.Name, i)
				}
			}
		})
	}
}

func TestSize(t *testing.T) {
	var total int64
	for _, m := range demo.Models() {
		_, fsys, _ := demo.Find(m.Task)
		err := fs.WalkDir(fsys, ".", func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				total += info.Size()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if total > maxBytes {
		t.Errorf("the models have %d bytes, more than %d", total, maxBytes)
	}
}

func TestNoModel(t *testing.T) {
	if _, _, ok := demo.Find("paint"); ok {
		t.Error("found a model for a task that has none")
	}
}

func ExampleFind() {
	model, fsys, _ := demo.Find("classify")
	checkpoint, err := loader.FromFS(fsys, model.Task).Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer checkpoint.Close()
	fmt.Println(checkpoint.Parameters(), "parameters; next:", model.Next)
	// Output: 819614 parameters; next: google/vit-base-patch16-224
}
