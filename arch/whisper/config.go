package whisper

import (
	"fmt"

	"emily/arch"
	"emily/backend"
	"emily/loader"
)

// Config holds the fields of config.json that Whisper uses, under their own names.
type Config struct {
	VocabSize             int    `json:"vocab_size"`
	NumMelBins            int    `json:"num_mel_bins"`
	DModel                int    `json:"d_model"`
	EncoderLayers         int    `json:"encoder_layers"`
	EncoderAttentionHeads int    `json:"encoder_attention_heads"`
	EncoderFFNDim         int    `json:"encoder_ffn_dim"`
	DecoderLayers         int    `json:"decoder_layers"`
	DecoderAttentionHeads int    `json:"decoder_attention_heads"`
	DecoderFFNDim         int    `json:"decoder_ffn_dim"`
	MaxSourcePositions    int    `json:"max_source_positions"`
	MaxTargetPositions    int    `json:"max_target_positions"`
	ActivationFunction    string `json:"activation_function"`
	ScaleEmbedding        bool   `json:"scale_embedding"`
	TieWordEmbeddings     bool   `json:"tie_word_embeddings"`
}

// readConfig decodes config.json and checks every number, so that nothing below has to.
func readConfig(c *loader.Config) (*Config, error) {
	cfg := &Config{NumMelBins: 80, ActivationFunction: "gelu", TieWordEmbeddings: true}
	if err := c.Decode(cfg); err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	return cfg, nil
}

func (c *Config) check() error {
	if err := arch.CheckDims(map[string]int{
		"vocab_size": c.VocabSize, "num_mel_bins": c.NumMelBins, "d_model": c.DModel,
		"encoder_attention_heads": c.EncoderAttentionHeads, "encoder_ffn_dim": c.EncoderFFNDim,
		"decoder_attention_heads": c.DecoderAttentionHeads, "decoder_ffn_dim": c.DecoderFFNDim,
		"max_source_positions": c.MaxSourcePositions, "max_target_positions": c.MaxTargetPositions,
	}); err != nil {
		return err
	}
	if err := arch.CheckLayers("encoder_layers", c.EncoderLayers); err != nil {
		return err
	}
	if err := arch.CheckLayers("decoder_layers", c.DecoderLayers); err != nil {
		return err
	}
	for _, heads := range []int{c.EncoderAttentionHeads, c.DecoderAttentionHeads} {
		if err := arch.CheckHeads(c.DModel, heads); err != nil {
			return err
		}
	}
	if c.ScaleEmbedding {
		return fmt.Errorf("scale_embedding is set, which no published model does and which is not supported")
	}
	if _, err := arch.ParseActivation(c.ActivationFunction); err != nil {
		return fmt.Errorf("activation_function: %w", err)
	}
	return nil
}

// frames is the number of feature frames of a window: the second convolution halves it.
func (c *Config) frames() int { return 2 * c.MaxSourcePositions }

// headDim is the width of a decoder's head.
func (c *Config) headDim() int { return c.DModel / c.DecoderAttentionHeads }

// specs describes the decoder's states: keys and values of the text so far and of the sound.
func (c *Config) specs(dtype backend.DType) specs {
	cache := func(name string, capacity int) *backend.StateSpec {
		return backend.CacheSpec(name, dtype, c.DecoderLayers, 1, c.DecoderAttentionHeads, capacity, c.headDim())
	}
	return specs{
		keys: cache("keys", c.MaxTargetPositions), values: cache("values", c.MaxTargetPositions),
		soundKeys: cache("sound keys", c.MaxSourcePositions), soundValues: cache("sound values", c.MaxSourcePositions),
	}
}

// dims names the sizes that the weights' shape tags speak of.
func (c *Config) dims() map[string]int {
	return map[string]int{
		"vocab": c.VocabSize, "mels": c.NumMelBins, "hidden": c.DModel, "encoder_ffn": c.EncoderFFNDim, "decoder_ffn": c.DecoderFFNDim,
		"source_positions": c.MaxSourcePositions, "target_positions": c.MaxTargetPositions, "untied": arch.Flag(!c.TieWordEmbeddings),
	}
}
