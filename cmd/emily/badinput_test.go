package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damaged copies a tiny model and lets change damage a file of it.
func damaged(t *testing.T, model, file string, change func([]byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(models, model))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text = change(text); text == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// header rewrites the JSON header of a safetensors file.
func header(change func(map[string]map[string]any)) func([]byte) []byte {
	return func(file []byte) []byte {
		n := binary.LittleEndian.Uint64(file)
		var h map[string]map[string]any
		if err := json.Unmarshal(file[8:8+n], &h); err != nil {
			panic(err)
		}
		change(h)
		text, _ := json.Marshal(h)
		out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
		return append(append(out, text...), file[8+n:]...)
	}
}

func replace(old, new string) func([]byte) []byte {
	return func(text []byte) []byte {
		if !bytes.Contains(text, []byte(old)) {
			panic("the file has no " + old)
		}
		return bytes.ReplaceAll(text, []byte(old), []byte(new))
	}
}

func TestBadModels(t *testing.T) {
	const norm = "model.norm.weight"
	for _, tt := range []struct {
		name, model, file string
		change            func([]byte) []byte
		texts             []string
	}{
		{"truncated weights", "tiny-llama", "model.safetensors", func(b []byte) []byte { return b[:len(b)-100] }, []string{"model.safetensors", "100 bytes"}},
		{"oversized weights", "tiny-llama", "model.safetensors", func(b []byte) []byte { return append(b, 0, 0, 0) }, []string{"model.safetensors", "3"}},
		{"empty weights", "tiny-llama", "model.safetensors", func([]byte) []byte { return []byte{} }, []string{"model.safetensors"}},
		{"header length", "tiny-llama", "model.safetensors", func(b []byte) []byte { return append(bytes.Repeat([]byte{255}, 8), b[8:]...) }, []string{"header"}},
		{"overlapping tensors", "tiny-llama", "model.safetensors", header(func(h map[string]map[string]any) {
			o := h[norm]["data_offsets"].([]any)
			h[norm]["data_offsets"] = []any{o[0].(float64) - 2, o[1].(float64) - 2}
		}), []string{"model.safetensors"}},
		{"unknown dtype", "tiny-llama", "model.safetensors", header(func(h map[string]map[string]any) { h[norm]["dtype"] = "F33" }), []string{"F33"}},
		{"wrong dtype", "tiny-llama", "model.safetensors", header(func(h map[string]map[string]any) { h[norm]["dtype"] = "I16" }), []string{norm, "I16"}},
		{"wrong shape", "tiny-llama", "config.json", replace(`"intermediate_size": 192`, `"intermediate_size": 191`), []string{"mlp.gate_proj.weight", "[192 72]", "[191 72]"}},
		{"missing tensor", "tiny-llama", "model.safetensors", header(func(h map[string]map[string]any) { h["model.other"] = h[norm]; delete(h, norm) }), []string{norm, "missing"}},
		{"shard not in the index", "tiny-qwen3-untied", "model.safetensors.index.json", replace("model-00002-of-00002", "model-00003-of-00003"), []string{"index.json", "model-0000"}},
		{"missing shard", "tiny-qwen3-untied", "model-00002-of-00002.safetensors", func([]byte) []byte { return nil }, []string{"model-00002-of-00002"}},
		{"no config", "tiny-llama", "config.json", func([]byte) []byte { return nil }, []string{"config.json"}},
		{"config is not JSON", "tiny-llama", "config.json", func([]byte) []byte { return []byte("{") }, []string{"config.json"}},
		{"config is a list", "tiny-llama", "config.json", func([]byte) []byte { return []byte("[]") }, []string{"config.json"}},
		{"unknown architecture", "tiny-llama", "config.json", replace("LlamaForCausalLM", "MambaForCausalLM"), []string{"MambaForCausalLM", "Qwen3ForCausalLM"}},
		{"negative layers", "tiny-llama", "config.json", replace(`"num_hidden_layers": 3`, `"num_hidden_layers": -3`), []string{"num_hidden_layers"}},
		{"heads that do not divide", "tiny-llama", "config.json", replace(`"num_key_value_heads": 3`, `"num_key_value_heads": 4`), []string{"num_key_value_heads"}},
		{"unknown rope", "tiny-llama3", "config.json", replace(`"llama3"`, `"spiral"`), []string{"spiral", "yarn"}},
		{"unknown activation", "tiny-llama", "config.json", replace(`"silu"`, `"softplus"`), []string{"softplus"}},
		{"no tokenizer", "tiny-llama", "tokenizer.json", func([]byte) []byte { return nil }, []string{"tokenizer.json"}},
		{"unknown tokenizer", "tiny-llama", "tokenizer.json", replace(`"type": "BPE"`, `"type": "Morse"`), []string{"Morse"}},
		{"tokenizer is not JSON", "tiny-llama", "tokenizer.json", func([]byte) []byte { return []byte("?") }, []string{"tokenizer.json"}},
		{"generation config", "tiny-llama", "generation_config.json", func([]byte) []byte { return []byte(`{"top_k":"all"}`) }, []string{"top_k"}},
		{"NaN weights", "tiny-llama", "model.safetensors", nan, []string{"NaN", "model."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := damaged(t, tt.model, tt.file, tt.change)
			fails(t, exitFailed, tt.texts, "generate", "hello", "--raw", "--model", dir, "-n", "2")
		})
	}
}

// nan overwrites the last weight of a bf16 file.
func nan(file []byte) []byte {
	binary.LittleEndian.PutUint16(file[len(file)-2:], uint16(math.Float32bits(float32(math.NaN()))>>16))
	return file
}

func TestBadPrompts(t *testing.T) {
	model := models + "/tiny-llama"
	long := strings.Repeat("word ", 2000)
	for _, tt := range []struct {
		name  string
		args  []string
		texts []string
	}{
		{"no such folder", []string{"generate", "x", "--model", "./nowhere"}, []string{"nowhere", "no such folder"}},
		{"not in the cache", []string{"generate", "x", "--model", "nobody/nothing"}, []string{"nobody/nothing"}},
		{"empty prompt", []string{"generate", "", "--model", model}, []string{"prompt is empty"}},
		{"blank prompt", []string{"generate", "  ", "--model", model}, []string{"prompt is empty"}},
		{"not UTF-8", []string{"generate", "a\xffb", "--model", model}, []string{"UTF-8"}},
		{"longer than the context", []string{"generate", long, "--raw", "--model", model}, []string{"context of 512"}},
		{"no such file", []string{"generate", "--file", "nowhere.txt", "--model", model}, []string{"nowhere.txt"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("HF_HUB_CACHE", t.TempDir())
			t.Setenv("HF_HUB_OFFLINE", "1")
			fails(t, exitFailed, tt.texts, tt.args...)
		})
	}
}

func TestBadSampling(t *testing.T) {
	for flag, want := range map[string]string{"--temperature=-1": "temperature must be 0 or more, got -1", "--top-p=2": "top-p", "--max-tokens=-1": "--max-tokens"} {
		fails(t, exitUsage, []string{want}, "generate", "x", flag, "--model", models+"/tiny-llama")
	}
}
