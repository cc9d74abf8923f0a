package qwen3

import (
	"fmt"
	"math"
	"slices"

	"emily/arch"
	"emily/backend"
	"emily/loader"
)

// Config holds the fields of config.json that the Qwen3 and Llama families use,
// under their own names.
type Config struct {
	VocabSize             int      `json:"vocab_size"`
	HiddenSize            int      `json:"hidden_size"`
	IntermediateSize      int      `json:"intermediate_size"`
	NumHiddenLayers       int      `json:"num_hidden_layers"`
	NumAttentionHeads     int      `json:"num_attention_heads"`
	NumKeyValueHeads      int      `json:"num_key_value_heads"`
	HeadDim               int      `json:"head_dim"`
	HiddenAct             string   `json:"hidden_act"`
	MaxPositionEmbeddings int      `json:"max_position_embeddings"`
	RMSNormEps            float32  `json:"rms_norm_eps"`
	TieWordEmbeddings     bool     `json:"tie_word_embeddings"`
	AttentionBias         bool     `json:"attention_bias"`
	MLPBias               bool     `json:"mlp_bias"`
	SlidingWindow         *int     `json:"sliding_window"`
	UseSlidingWindow      bool     `json:"use_sliding_window"`
	MaxWindowLayers       int      `json:"max_window_layers"`
	LayerTypes            []string `json:"layer_types"`
	arch.Rotary

	family family
}

// family says in what the classes that share this forward pass differ, and what
// transformers assumes where their files say nothing.
type family struct {
	qkNorm  bool // RMSNorm of each head of queries and keys
	qkvBias bool // queries, keys and values always have a bias, the output never
	headDim int  // of a file without head_dim; 0 for hidden_size / num_attention_heads
	windows windows
}

// windows says when sliding_window holds.
type windows uint8

const (
	never  windows = iota
	chosen         // if use_sliding_window says so, from layer max_window_layers on
	always         // in all layers, 4096 positions if the file does not say
)

var families = map[string]family{
	"Qwen3ForCausalLM":   {qkNorm: true, headDim: 128, windows: chosen},
	"Qwen2ForCausalLM":   {qkvBias: true, windows: chosen},
	"LlamaForCausalLM":   {},
	"MistralForCausalLM": {windows: always},
}

// readConfig decodes config.json, fills in what older files leave out and
// checks every number, so that nothing below has to.
func readConfig(c *loader.Config, f family) (*Config, error) {
	cfg := &Config{HiddenAct: "silu", RMSNormEps: 1e-6, MaxWindowLayers: 28, HeadDim: f.headDim, family: f}
	if f.windows == always {
		cfg.SlidingWindow = new(int)
		*cfg.SlidingWindow = 4096
	}
	if err := c.Decode(cfg); err != nil {
		return nil, err
	}
	if cfg.NumKeyValueHeads == 0 {
		cfg.NumKeyValueHeads = cfg.NumAttentionHeads
	}
	if cfg.HeadDim == 0 && cfg.NumAttentionHeads > 0 {
		cfg.HeadDim = cfg.HiddenSize / cfg.NumAttentionHeads
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	return cfg, nil
}

func (c *Config) check() error {
	if err := arch.CheckDims(map[string]int{
		"vocab_size": c.VocabSize, "hidden_size": c.HiddenSize, "intermediate_size": c.IntermediateSize,
		"num_attention_heads": c.NumAttentionHeads,
		"num_key_value_heads": c.NumKeyValueHeads, "head_dim": c.HeadDim, "max_position_embeddings": c.MaxPositionEmbeddings,
	}); err != nil {
		return err
	}
	if err := arch.CheckLayers("num_hidden_layers", c.NumHiddenLayers); err != nil {
		return err
	}
	switch {
	case c.NumAttentionHeads%c.NumKeyValueHeads != 0:
		return fmt.Errorf("num_key_value_heads %d does not divide num_attention_heads %d", c.NumKeyValueHeads, c.NumAttentionHeads)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim %d is odd, so it cannot be rotated in pairs", c.HeadDim)
	case c.LayerTypes != nil && len(c.LayerTypes) != c.NumHiddenLayers:
		return fmt.Errorf("layer_types has %d entries for %d layers", len(c.LayerTypes), c.NumHiddenLayers)
	case c.SlidingWindow != nil && *c.SlidingWindow < 0:
		return fmt.Errorf("sliding_window is %d", *c.SlidingWindow)
	case !(c.RMSNormEps >= 0):
		return fmt.Errorf("rms_norm_eps is %v", c.RMSNormEps)
	}
	if _, err := arch.ParseActivation(c.HiddenAct); err != nil {
		return fmt.Errorf("hidden_act: %w", err)
	}
	for _, t := range c.LayerTypes {
		if !slices.Contains([]string{"full_attention", "sliding_attention"}, t) {
			return fmt.Errorf("layer_types: %q is not supported, only full_attention and sliding_attention are", t)
		}
	}
	return nil
}

// window returns the positions that layer i sees, 0 for all.
func (c *Config) window(i int) int {
	on := false
	switch c.family.windows {
	case always:
		on = true
	case chosen:
		on = c.UseSlidingWindow && i >= c.MaxWindowLayers
		if c.LayerTypes != nil {
			on = c.UseSlidingWindow && c.LayerTypes[i] == "sliding_attention"
		}
	}
	if !on || c.SlidingWindow == nil || *c.SlidingWindow >= math.MaxInt32 { // the last is longer than any text
		return 0
	}
	return *c.SlidingWindow
}

// cache returns the shape of the model's cache.
func (c *Config) cache(dtype backend.DType) arch.CacheShape {
	return arch.CacheShape{DType: dtype, Layers: c.NumHiddenLayers, Heads: c.NumKeyValueHeads, HeadDim: c.HeadDim}
}

// dims names the sizes that the weights' shape tags speak of.
func (c *Config) dims() map[string]int {
	return map[string]int{
		"vocab": c.VocabSize, "hidden": c.HiddenSize, "intermediate": c.IntermediateSize,
		"heads": c.NumAttentionHeads, "kv_heads": c.NumKeyValueHeads, "head_dim": c.HeadDim,
		"qk_norm": arch.Flag(c.family.qkNorm), "qkv_bias": arch.Flag(c.AttentionBias || c.family.qkvBias),
		"o_bias": arch.Flag(c.AttentionBias && !c.family.qkvBias), "mlp_bias": arch.Flag(c.MLPBias), "untied": arch.Flag(!c.TieWordEmbeddings),
	}
}
