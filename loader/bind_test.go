package loader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"emily/backend"
)

type qwenLayer struct {
	InputNorm *backend.Weight `tensor:"input_layernorm.weight" shape:"hidden"`
	Q         *backend.Weight `tensor:"self_attn.q_proj.weight" shape:"heads*head_dim,hidden"`
	QBias     *backend.Weight `tensor:"self_attn.q_proj.bias" shape:"heads*head_dim" when:"attention_bias"`
	Other     *backend.Weight `tensor:"self_attn.other.bias,optional" shape:"hidden"`
}

type qwen struct {
	Embed  *backend.Weight `tensor:"model.embed_tokens.weight" shape:"vocab,hidden"`
	Layers []qwenLayer     `tensor:"model.layers"`
	Final  struct {
		Norm *backend.Weight `tensor:"scale|weight" shape:"hidden"`
	} `tensor:"model.norm"`
	Head    *backend.Weight `tensor:"lm_head.weight" shape:"vocab,hidden" when:"untied"`
	Scratch []int
}

func TestBind(t *testing.T) {
	c, err := models("tiny-qwen3-untied").Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dims := map[string]int{"vocab": 448, "hidden": 48, "heads": 4, "head_dim": 16, "attention_bias": 1, "untied": 1}
	for _, x := range c.Tensors() {
		if x.Name == "model.layers.0.self_attn.q_proj.weight" {
			dims["heads"], dims["head_dim"] = 1, x.Shape[0]
		}
	}
	w := qwen{Layers: make([]qwenLayer, 2)}
	if err := Bind(c, "", &w, dims); err != nil {
		t.Fatal(err)
	}
	if w.Layers[1].Q != c.Weight("model.layers.1.self_attn.q_proj.weight") || w.Layers[1].Q == nil ||
		w.Layers[0].QBias == nil || w.Layers[0].Other != nil || w.Final.Norm == nil || w.Head == nil {
		t.Errorf("%+v", w)
	}
	unused := Unused(c, &w)
	if len(unused) != len(c.Tensors())-9 {
		t.Errorf("%d of %d tensors are unused", len(unused), len(c.Tensors()))
	}

	// Conditions that do not hold leave the weight out although it is there.
	dims["attention_bias"], dims["untied"] = 0, 0
	if err := Bind(c, "", &w, dims); err != nil || w.Head != nil || w.Layers[0].QBias != nil {
		t.Errorf("%v: %+v", err, w)
	}

	// A prefix starts the path.
	var layer qwenLayer
	if err := Bind(c, "model.layers.1", &layer, dims); err != nil || layer.Q != w.Layers[1].Q {
		t.Errorf("%v: %+v", err, layer)
	}
}

func TestBindFaults(t *testing.T) {
	text := file(header(tensor("a", "F32", "[2,3]", 0, 24), tensor("b", "I64", "[1]", 24, 32), tensor("n.gamma", "F32", "[]", 32, 36)), 36)
	c, err := FromFS(fstest.MapFS{singleFile: {Data: text}}, "m").Open()
	if err != nil {
		t.Fatal(err)
	}
	var w struct {
		A *backend.Weight `tensor:"a" shape:"2,n+2*1"`
		B *backend.Weight `tensor:"b" shape:"1"`
		C *backend.Weight `tensor:"c|d" shape:"1"`
		D *backend.Weight `tensor:"e" shape:"1"`
		N *backend.Weight `tensor:"n.weight|n.gamma" shape:""`
	}
	err = Bind(c, "", &w, map[string]int{"n": 2})
	var faults *BindError
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	want := "the weights of m do not fit its config.json: c is missing; e is missing; a has shape [2 3], the configuration asks for [2 4]; and 1 more"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if len(faults.Missing) != 2 || len(faults.Shape) != 1 || len(faults.DType) != 1 || len(faults.Lines()) != 4 ||
		!strings.Contains(faults.Lines()[3], "b is stored as I64") {
		t.Errorf("%+v", faults)
	}
	if w.A != nil || w.B != nil || w.N == nil {
		t.Errorf("%+v", w)
	}
	if err := Bind(c, "", &w, map[string]int{"n": 1}); !errors.As(err, &faults) || len(faults.Shape) != 0 || w.A == nil {
		t.Errorf("n = 1: %v", err)
	}
}

func TestBindMistakes(t *testing.T) {
	c, err := FromFS(fstest.MapFS{singleFile: {Data: file("{}", 0)}}, "m").Open()
	if err != nil {
		t.Fatal(err)
	}
	dims := map[string]int{"n": 2, "big": 1 << 62, "minus": -1}
	var nothing *qwen
	tests := []struct {
		dst  any
		want string
	}{
		{qwen{}, "needs a pointer to a struct"},
		{nothing, "needs a pointer to a struct"},
		{nil, "needs a pointer to a struct"},
		{&struct {
			W *backend.Weight `tensor:"w" shape:"n,hiden"`
		}{}, `W: shape "n,hiden": unknown dimension "hiden"`},
		{&struct {
			W *backend.Weight `tensor:"w" shape:"n*"`
		}{}, `unknown dimension ""`},
		{&struct {
			W *backend.Weight `tensor:"w" shape:"big*4"`
		}{}, "overflows"},
		{&struct {
			W *backend.Weight `tensor:"w" shape:"big+big"`
		}{}, "overflows"},
		{&struct {
			W *backend.Weight `tensor:"w" shape:"minus"`
		}{}, "negative"},
		{&struct {
			W *backend.Weight `tensor:"w"`
		}{}, "a shape tag"},
		{&struct {
			W *backend.Weight `tensor:"" shape:"1"`
		}{}, "needs a name"},
		{&struct {
			W *backend.Weight `tensor:"w,opt" shape:"1"`
		}{}, `unknown option "opt"`},
		{&struct {
			W *backend.Weight `tensor:"w" shape:"1" when:"flag"`
		}{}, `unknown dimension "flag"`},
		{&struct {
			w *backend.Weight `tensor:"w" shape:"1"`
		}{}, "not exported"},
		{&struct {
			W backend.DType `tensor:"w" shape:"1"`
		}{}, "not backend.DType"},
	}
	for _, tt := range tests {
		err := Bind(c, "", tt.dst, dims)
		var faults *BindError
		if err == nil || errors.As(err, &faults) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%T: got %v, want %q", tt.dst, err, tt.want)
		}
	}
}

func ExampleBind() {
	type layer struct {
		Norm *backend.Weight `tensor:"input_layernorm.weight" shape:"hidden"`
		Q    *backend.Weight `tensor:"self_attn.q_proj.weight" shape:"heads*head_dim,hidden"`
	}
	var weights struct {
		Embed  *backend.Weight `tensor:"embed_tokens.weight" shape:"vocab,hidden"`
		Layers []layer         `tensor:"layers"`
	}
	folder, err := Find(context.Background(), "../testdata/models/tiny-qwen3", Options{})
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
	weights.Layers = make([]layer, 2)
	dims := map[string]int{"vocab": 512, "hidden": 64, "heads": 4, "head_dim": 32}
	if err := Bind(checkpoint, "model", &weights, dims); err != nil {
		fmt.Println(err)
		return
	}
	q := weights.Layers[1].Q
	fmt.Println(q.Name, q.DType, q.Shape)
	// Output: model.layers.1.self_attn.q_proj.weight bf16 [128 64]
}
