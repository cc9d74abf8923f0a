package loader

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"emily/backend"
)

func models(name string) *Folder { return fromDir(filepath.Join("..", "testdata", "models", name), "") }

// TestOpenModels opens complete checkpoints, of one file and of shards.
func TestOpenModels(t *testing.T) {
	tests := []struct {
		model, tensor string
		dtype         backend.DType
		shape         []int
		parameters    int64
		files         int
	}{
		{"tiny-qwen3", "model.layers.0.self_attn.q_proj.weight", backend.BF16, []int{128, 64}, 199296, 1},
		{"tiny-qwen3-untied", "lm_head.weight", backend.BF16, []int{448, 48}, 164336, 2},
		{"tiny-bert", "embeddings.word_embeddings.weight", backend.F32, []int{300, 64}, 130176, 1},
		{"tiny-whisper", "model.encoder.conv1.weight", backend.F32, []int{64, 80, 3}, 265728, 1},
	}
	for _, tt := range tests {
		t.Run(tt.model, func(t *testing.T) {
			folder := models(tt.model)
			c, err := folder.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			w := c.Weight(tt.tensor)
			if w == nil || w.DType != tt.dtype || !slices.Equal(w.Shape, tt.shape) || len(w.Data) != w.Elements()*w.DType.Size() {
				t.Fatalf("%s: %+v", tt.tensor, w)
			}
			if w != c.Weight(tt.tensor) {
				t.Error("another pointer the second time")
			}
			if c.Weight("none") != nil {
				t.Error("a weight that does not exist")
			}
			if c.Parameters() != tt.parameters {
				t.Errorf("%d parameters, want %d", c.Parameters(), tt.parameters)
			}
			if want := tt.parameters * int64(tt.dtype.Size()); c.Bytes() != want {
				t.Errorf("%d bytes, want %d", c.Bytes(), want)
			}
			listed, err := folder.Tensors()
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]bool{}
			for i, x := range c.Tensors() {
				files[x.File] = true
				if x.Name != listed[i].Name || c.Weight(x.Name) == nil {
					t.Errorf("tensor %d: %s and %s", i, x.Name, listed[i].Name)
				}
				if _, bad := FirstNonFinite(c.Weight(x.Name)); bad {
					t.Errorf("%s is not finite", x.Name)
				}
			}
			if len(files) != tt.files || c.Folder() != folder {
				t.Errorf("files %v", files)
			}
			if err := c.Close(); err != nil || c.Weight(tt.tensor) != nil {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

// TestSources checks that a mapped file and a copy in memory give the same bytes.
func TestSources(t *testing.T) {
	name := filepath.Join("..", "testdata", "models", "tiny-llama")
	text, err := os.ReadFile(filepath.Join(name, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	start := 8 + binary.LittleEndian.Uint64(text)
	for source, f := range map[string]*Folder{
		"disk":   fromDir(name, ""),
		"file":   {fsys: os.DirFS(name), name: "m", only: "model.safetensors"},
		"DirFS":  FromFS(os.DirFS(name), "m"),
		"memory": FromFS(fstest.MapFS{"model.safetensors": {Data: text}}, "m"),
		"other":  FromFS(fstest.MapFS{"weights.safetensors": {Data: text}}, "m"),
	} {
		c, err := f.Open()
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		for _, x := range c.Tensors() {
			at := start + uint64(x.begin)
			if !bytes.Equal(c.Weight(x.Name).Data, text[at:at+uint64(x.Bytes)]) {
				t.Errorf("%s: %s differs", source, x.Name)
			}
		}
		c.Close()
	}
}

func TestOpenRejects(t *testing.T) {
	one := string(file(header(tensor("a", "F32", "[1]", 0, 4)), 4))
	two := string(file(header(tensor("b", "F32", "[1]", 0, 4)), 4))
	const s1, s2 = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	both := `{"weight_map":{"a":"` + s1 + `","b":"` + s2 + `"}}`
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing", map[string]string{"config.json": "{}"}, "has no model.safetensors"},
		{"gguf", map[string]string{"m.gguf": ""}, "safetensors are needed"},
		{"bin", map[string]string{"pytorch_model.bin": ""}, "no safetensors, only pytorch_model.bin"},
		{"several", map[string]string{"x.safetensors": one, "y.safetensors": two}, "several safetensors files (x.safetensors, y.safetensors)"},
		{"no index", map[string]string{s1: one, s2: two}, "no model.safetensors.index.json"},
		{"one shard, no index", map[string]string{s1: one}, "no model.safetensors.index.json"},
		{"shard not on disk", map[string]string{indexFile: both, s1: one}, "lacks 1 of 2 shards (" + s2 + ")"},
		{"shard not in the index", map[string]string{indexFile: `{"weight_map":{"a":"` + s1 + `"}}`, s1: one, s2: two}, "does not mention " + s2},
		{"tensor not in its shard", map[string]string{indexFile: both, s1: one, s2: one[:8] + strings.Replace(one[8:], `"a"`, `"c"`, 1)}, `tensor "b" is said to be in ` + s2 + ", which lacks it"},
		{"tensor in another shard", map[string]string{indexFile: both, s1: two, s2: one}, "but it is in " + s2},
		{"tensor in two shards", map[string]string{indexFile: both, s1: one, s2: one}, `tensor "a" is in two files, ` + s1 + " and " + s2},
		{"escape", map[string]string{indexFile: `{"weight_map":{"a":"../x.safetensors"}}`}, "not the name of a safetensors file in the same folder"},
		{"absolute", map[string]string{indexFile: `{"weight_map":{"a":"/x.safetensors"}}`}, "not the name of a safetensors file"},
		{"other kind", map[string]string{indexFile: `{"weight_map":{"a":"x.bin"}}`}, "not the name of a safetensors file"},
		{"entry twice", map[string]string{indexFile: `{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}`}, `"a" occurs twice`},
		{"empty index", map[string]string{indexFile: `{"weight_map":{}}`}, "no weight_map"},
		{"index without map", map[string]string{indexFile: `{"metadata":[{"x":[]}]}`}, "no weight_map"},
		{"index is no object", map[string]string{indexFile: `[]`}, "must be an object"},
		{"truncated", map[string]string{singleFile: one[:len(one)-1]}, "model.safetensors: bad safetensors header: the file is truncated: 1 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := fromDir(write(t, t.TempDir(), tt.files), "")
			for _, open := range []func() error{
				func() error { _, err := f.Open(); return err },
				func() error { _, err := f.Tensors(); return err },
			} {
				err := open()
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("got %v, want %q", err, tt.want)
				}
			}
		})
	}
}

// TestOtherTypes checks that tensors that are no weights are listed.
func TestOtherTypes(t *testing.T) {
	text := file(header(tensor("ids", "I64", "[2]", 0, 16), tensor("w", "F16", "[1]", 16, 18), tensor("q", "F8_E4M3", "[1]", 18, 19)), 19)
	c, err := FromFS(fstest.MapFS{singleFile: {Data: text}}, "m").Open()
	if err != nil {
		t.Fatal(err)
	}
	if c.Weight("ids") != nil || c.Weight("q") != nil || c.Weight("w") == nil || len(c.Tensors()) != 3 || c.Parameters() != 2 {
		t.Errorf("%+v", c)
	}
}

// TestHeap opens a checkpoint of 3 GB and checks that the heap does not hold it.
func TestHeap(t *testing.T) {
	const size = 3 << 30
	head := file(header(tensor("a", "BF16", "[1610612736]", 0, size)), 0)
	path := filepath.Join(t.TempDir(), singleFile)
	if err := os.WriteFile(path, head, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(head))+size); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := fromDir(filepath.Dir(path), "").Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 5<<20 {
		t.Errorf("opening allocated %d bytes", grown)
	}
	if w := c.Weight("a"); len(w.Data) != size || w.Data[size-1] != 0 {
		t.Error("the last byte cannot be read")
	}
}

func TestFirstNonFinite(t *testing.T) {
	values := map[backend.DType]struct{ finite, bad [][]byte }{
		backend.F32:  {[][]byte{{0, 0, 0, 0}, {0xff, 0xff, 0x7f, 0x7f}, {0xff, 0xff, 0x7f, 0xff}}, [][]byte{{0, 0, 0x80, 0x7f}, {0, 0, 0x80, 0xff}, {1, 0, 0xc0, 0x7f}}},
		backend.BF16: {[][]byte{{0, 0}, {0x7f, 0x7f}, {0x7f, 0xff}}, [][]byte{{0x80, 0x7f}, {0x80, 0xff}, {0xc1, 0x7f}}},
		backend.F16:  {[][]byte{{0, 0}, {0xff, 0x7b}, {0xff, 0xfb}}, [][]byte{{0, 0x7c}, {0, 0xfc}, {1, 0x7e}}},
	}
	for dtype, v := range values {
		for n := range 12 {
			w := &backend.Weight{DType: dtype, Shape: []int{n}}
			for i := range n {
				w.Data = append(w.Data, v.finite[i%len(v.finite)]...)
			}
			if i, found := FirstNonFinite(w); found {
				t.Errorf("%v: finite numbers, found %d of %d", dtype, i, n)
			}
			for at := range n {
				bad := *w
				bad.Data = slices.Clone(w.Data)
				for later := at; later < n; later++ {
					copy(bad.Data[later*dtype.Size():], v.bad[later%len(v.bad)])
				}
				if i, found := FirstNonFinite(&bad); !found || i != at {
					t.Errorf("%v: found %d, %v, want %d of %d", dtype, i, found, at, n)
				}
			}
		}
	}
}
