package vit

import (
	"encoding/json"
	"fmt"

	"emily/arch"
	"emily/loader"
)

// Config holds the fields of config.json that ViT and DeiT use, under their own names.
type Config struct {
	HiddenSize        int     `json:"hidden_size"`
	IntermediateSize  int     `json:"intermediate_size"`
	NumHiddenLayers   int     `json:"num_hidden_layers"`
	NumAttentionHeads int     `json:"num_attention_heads"`
	HiddenAct         string  `json:"hidden_act"`
	LayerNormEps      float32 `json:"layer_norm_eps"`
	ImageSize         size    `json:"image_size"`
	PatchSize         size    `json:"patch_size"`
	NumChannels       int     `json:"num_channels"`
	QKVBias           bool    `json:"qkv_bias"`
	arch.LabelConfig

	labels arch.Labels
}

// size is a height and width: one number or a pair of them.
type size struct{ height, width int }

// UnmarshalJSON accepts 224 and [224, 224].
func (s *size) UnmarshalJSON(text []byte) error {
	var one int
	if json.Unmarshal(text, &one) == nil {
		*s = size{one, one}
		return nil
	}
	var two [2]int
	err := json.Unmarshal(text, &two)
	*s = size{two[0], two[1]}
	return err
}

// readConfig decodes config.json, fills in transformers' defaults and checks
// every number, so that nothing below has to.
func readConfig(c *loader.Config) (*Config, error) {
	cfg := &Config{
		HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12, HiddenAct: "gelu", LayerNormEps: 1e-12,
		ImageSize: size{224, 224}, PatchSize: size{16, 16}, NumChannels: 3, QKVBias: true,
	}
	if err := c.Decode(cfg); err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	return cfg, nil
}

func (c *Config) check() (err error) {
	if err := arch.CheckDims(map[string]int{
		"hidden_size": c.HiddenSize, "intermediate_size": c.IntermediateSize, "num_hidden_layers": c.NumHiddenLayers,
		"num_attention_heads": c.NumAttentionHeads, "num_channels": c.NumChannels,
		"image_size": min(c.ImageSize.height, c.ImageSize.width), "patch_size": min(c.PatchSize.height, c.PatchSize.width),
	}); err != nil {
		return err
	}
	switch {
	case max(c.ImageSize.height, c.ImageSize.width) > 1<<14:
		return fmt.Errorf("image_size is %d by %d", c.ImageSize.height, c.ImageSize.width)
	case c.ImageSize.height%c.PatchSize.height != 0 || c.ImageSize.width%c.PatchSize.width != 0:
		return fmt.Errorf("an image of %d x %d pixels does not divide into patches of %d x %d", c.ImageSize.width, c.ImageSize.height, c.PatchSize.width, c.PatchSize.height)
	case !(c.LayerNormEps >= 0):
		return fmt.Errorf("layer_norm_eps is %v", c.LayerNormEps)
	}
	if err := arch.CheckLayers("num_hidden_layers", c.NumHiddenLayers); err != nil {
		return err
	}
	if err := arch.CheckHeads(c.HiddenSize, c.NumAttentionHeads); err != nil {
		return err
	}
	if _, err := arch.ParseActivation(c.HiddenAct); err != nil {
		return fmt.Errorf("hidden_act: %w", err)
	}
	c.labels, err = c.LabelConfig.Labels()
	return err
}

// grid is the number of patches of a column and of a row.
func (c *Config) grid() size {
	return size{c.ImageSize.height / c.PatchSize.height, c.ImageSize.width / c.PatchSize.width}
}

// pixels is the number of elements of an image.
func (c *Config) pixels() int { return c.NumChannels * c.ImageSize.height * c.ImageSize.width }

// dims names the sizes that the weights' shape tags speak of.
func (c *Config) dims(distilled bool) map[string]int {
	return map[string]int{
		"hidden": c.HiddenSize, "intermediate": c.IntermediateSize, "channels": c.NumChannels, "labels": len(c.labels.Names),
		"patch_height": c.PatchSize.height, "patch_width": c.PatchSize.width, "patches": c.grid().height * c.grid().width,
		"distilled": arch.Flag(distilled), "qkv_bias": arch.Flag(c.QKVBias),
	}
}
