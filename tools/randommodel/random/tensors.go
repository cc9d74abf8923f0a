package random

import (
	"encoding/json"
	"errors"
	"fmt"
)

// tensor is one tensor of a model.
type tensor struct {
	name  string
	shape []int
	norm  bool // a scale of a norm, near 1; others are near 0
}

func (t tensor) elements() int64 {
	n := int64(1)
	for _, d := range t.shape {
		n *= int64(d)
	}
	return n
}

// tensors collects the list of a model.
type tensors struct {
	all []tensor
}

func (l *tensors) add(name string, shape ...int) {
	l.all = append(l.all, tensor{name: name, shape: shape})
}

func (l *tensors) rmsNorm(name string, n int) {
	l.all = append(l.all, tensor{name: name + ".weight", shape: []int{n}, norm: true})
}

func (l *tensors) layerNorm(name string, n int) {
	l.rmsNorm(name, n)
	l.add(name+".bias", n)
}

func (l *tensors) linear(name string, out, in int, bias bool) {
	l.add(name+".weight", out, in)
	if bias {
		l.add(name+".bias", out)
	}
}

// families list the tensors of a model by its model_type, with the names and
// shapes that transformers gives them.
var families = map[string]func(l *tensors, config []byte) error{
	"qwen3":      decoder,
	"llama":      decoder,
	"distilbert": distilBERT,
	"vit":        vit,
	"whisper":    whisper,
}

// positive returns an error if a size of a configuration is absent or negative.
func positive(sizes ...int) error {
	for _, n := range sizes {
		if n <= 0 || n > 1<<24 {
			return errors.New("a size is missing or out of range")
		}
	}
	return nil
}

func decoder(l *tensors, config []byte) error {
	var c struct {
		ModelType string `json:"model_type"`
		Vocab     int    `json:"vocab_size"`
		Hidden    int    `json:"hidden_size"`
		FFN       int    `json:"intermediate_size"`
		Layers    int    `json:"num_hidden_layers"`
		Heads     int    `json:"num_attention_heads"`
		KVHeads   int    `json:"num_key_value_heads"`
		HeadDim   int    `json:"head_dim"`
		Bias      bool   `json:"attention_bias"`
		MLPBias   bool   `json:"mlp_bias"`
		Tied      bool   `json:"tie_word_embeddings"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	if err := positive(c.Vocab, c.Hidden, c.FFN, c.Layers, c.Heads, c.KVHeads, c.HeadDim); err != nil {
		return err
	}
	l.add("model.embed_tokens.weight", c.Vocab, c.Hidden)
	for i := range c.Layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		l.rmsNorm(p+"input_layernorm", c.Hidden)
		l.linear(p+"self_attn.q_proj", c.Heads*c.HeadDim, c.Hidden, c.Bias)
		l.linear(p+"self_attn.k_proj", c.KVHeads*c.HeadDim, c.Hidden, c.Bias)
		l.linear(p+"self_attn.v_proj", c.KVHeads*c.HeadDim, c.Hidden, c.Bias)
		l.linear(p+"self_attn.o_proj", c.Hidden, c.Heads*c.HeadDim, c.Bias)
		if c.ModelType == "qwen3" {
			l.rmsNorm(p+"self_attn.q_norm", c.HeadDim)
			l.rmsNorm(p+"self_attn.k_norm", c.HeadDim)
		}
		l.rmsNorm(p+"post_attention_layernorm", c.Hidden)
		l.linear(p+"mlp.gate_proj", c.FFN, c.Hidden, c.MLPBias)
		l.linear(p+"mlp.up_proj", c.FFN, c.Hidden, c.MLPBias)
		l.linear(p+"mlp.down_proj", c.Hidden, c.FFN, c.MLPBias)
	}
	l.rmsNorm("model.norm", c.Hidden)
	if !c.Tied {
		l.add("lm_head.weight", c.Vocab, c.Hidden)
	}
	return nil
}

func distilBERT(l *tensors, config []byte) error {
	var c struct {
		Vocab     int `json:"vocab_size"`
		Hidden    int `json:"dim"`
		FFN       int `json:"hidden_dim"`
		Layers    int `json:"n_layers"`
		Positions int `json:"max_position_embeddings"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	if err := positive(c.Vocab, c.Hidden, c.FFN, c.Layers, c.Positions); err != nil {
		return err
	}
	l.add("distilbert.embeddings.word_embeddings.weight", c.Vocab, c.Hidden)
	l.add("distilbert.embeddings.position_embeddings.weight", c.Positions, c.Hidden)
	l.layerNorm("distilbert.embeddings.LayerNorm", c.Hidden)
	for i := range c.Layers {
		p := fmt.Sprintf("distilbert.transformer.layer.%d.", i)
		for _, name := range []string{"q_lin", "k_lin", "v_lin", "out_lin"} {
			l.linear(p+"attention."+name, c.Hidden, c.Hidden, true)
		}
		l.layerNorm(p+"sa_layer_norm", c.Hidden)
		l.linear(p+"ffn.lin1", c.FFN, c.Hidden, true)
		l.linear(p+"ffn.lin2", c.Hidden, c.FFN, true)
		l.layerNorm(p+"output_layer_norm", c.Hidden)
	}
	l.linear("qa_outputs", 2, c.Hidden, true)
	return nil
}

func vit(l *tensors, config []byte) error {
	var c struct {
		Hidden   int               `json:"hidden_size"`
		FFN      int               `json:"intermediate_size"`
		Layers   int               `json:"num_hidden_layers"`
		Image    int               `json:"image_size"`
		Patch    int               `json:"patch_size"`
		Channels int               `json:"num_channels"`
		Bias     bool              `json:"qkv_bias"`
		ID2Label map[string]string `json:"id2label"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	if err := positive(c.Hidden, c.FFN, c.Layers, c.Image, c.Patch, c.Channels, len(c.ID2Label)); err != nil {
		return err
	}
	side := c.Image / c.Patch
	l.add("vit.embeddings.cls_token", 1, 1, c.Hidden)
	l.add("vit.embeddings.position_embeddings", 1, side*side+1, c.Hidden)
	l.add("vit.embeddings.patch_embeddings.projection.weight", c.Hidden, c.Channels, c.Patch, c.Patch)
	l.add("vit.embeddings.patch_embeddings.projection.bias", c.Hidden)
	for i := range c.Layers {
		p := fmt.Sprintf("vit.encoder.layer.%d.", i)
		l.layerNorm(p+"layernorm_before", c.Hidden)
		for _, name := range []string{"query", "key", "value"} {
			l.linear(p+"attention.attention."+name, c.Hidden, c.Hidden, c.Bias)
		}
		l.linear(p+"attention.output.dense", c.Hidden, c.Hidden, true)
		l.layerNorm(p+"layernorm_after", c.Hidden)
		l.linear(p+"intermediate.dense", c.FFN, c.Hidden, true)
		l.linear(p+"output.dense", c.Hidden, c.FFN, true)
	}
	l.layerNorm("vit.layernorm", c.Hidden)
	l.linear("classifier", len(c.ID2Label), c.Hidden, true)
	return nil
}

func whisper(l *tensors, config []byte) error {
	var c struct {
		Vocab           int `json:"vocab_size"`
		Hidden          int `json:"d_model"`
		Mels            int `json:"num_mel_bins"`
		EncoderLayers   int `json:"encoder_layers"`
		DecoderLayers   int `json:"decoder_layers"`
		EncoderFFN      int `json:"encoder_ffn_dim"`
		DecoderFFN      int `json:"decoder_ffn_dim"`
		SourcePositions int `json:"max_source_positions"`
		TargetPositions int `json:"max_target_positions"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	if err := positive(c.Vocab, c.Hidden, c.Mels, c.EncoderLayers, c.DecoderLayers,
		c.EncoderFFN, c.DecoderFFN, c.SourcePositions, c.TargetPositions); err != nil {
		return err
	}
	attention := func(p string) {
		for _, name := range []string{"q_proj", "k_proj", "v_proj", "out_proj"} {
			l.linear(p+"."+name, c.Hidden, c.Hidden, name != "k_proj")
		}
		l.layerNorm(p+"_layer_norm", c.Hidden)
	}
	mlp := func(p string, ffn int) {
		l.linear(p+"fc1", ffn, c.Hidden, true)
		l.linear(p+"fc2", c.Hidden, ffn, true)
		l.layerNorm(p+"final_layer_norm", c.Hidden)
	}
	l.add("model.encoder.conv1.weight", c.Hidden, c.Mels, 3)
	l.add("model.encoder.conv1.bias", c.Hidden)
	l.add("model.encoder.conv2.weight", c.Hidden, c.Hidden, 3)
	l.add("model.encoder.conv2.bias", c.Hidden)
	l.add("model.encoder.embed_positions.weight", c.SourcePositions, c.Hidden)
	for i := range c.EncoderLayers {
		p := fmt.Sprintf("model.encoder.layers.%d.", i)
		attention(p + "self_attn")
		mlp(p, c.EncoderFFN)
	}
	l.layerNorm("model.encoder.layer_norm", c.Hidden)
	l.add("model.decoder.embed_tokens.weight", c.Vocab, c.Hidden)
	l.add("model.decoder.embed_positions.weight", c.TargetPositions, c.Hidden)
	for i := range c.DecoderLayers {
		p := fmt.Sprintf("model.decoder.layers.%d.", i)
		attention(p + "self_attn")
		attention(p + "encoder_attn")
		mlp(p, c.DecoderFFN)
	}
	l.layerNorm("model.decoder.layer_norm", c.Hidden)
	return nil
}
