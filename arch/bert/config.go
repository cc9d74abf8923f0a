package bert

import (
	"errors"
	"fmt"

	"emily/arch"
	"emily/loader"
)

// Config holds the fields of config.json that BERT and its relatives use,
// under their own names.
type Config struct {
	VocabSize             int     `json:"vocab_size"`
	HiddenSize            int     `json:"hidden_size"`
	IntermediateSize      int     `json:"intermediate_size"`
	NumHiddenLayers       int     `json:"num_hidden_layers"`
	NumAttentionHeads     int     `json:"num_attention_heads"`
	HiddenAct             string  `json:"hidden_act"`
	MaxPositionEmbeddings int     `json:"max_position_embeddings"`
	TypeVocabSize         int     `json:"type_vocab_size"`
	LayerNormEps          float32 `json:"layer_norm_eps"`
	PadTokenID            int     `json:"pad_token_id"`
	PositionEmbeddingType string  `json:"position_embedding_type"`
	IsDecoder             bool    `json:"is_decoder"`
	TieWordEmbeddings     bool    `json:"tie_word_embeddings"`
	arch.LabelConfig

	// DistilBERT has other names for the same things.
	Dim        int    `json:"dim"`
	HiddenDim  int    `json:"hidden_dim"`
	NLayers    int    `json:"n_layers"`
	NHeads     int    `json:"n_heads"`
	Activation string `json:"activation"`

	family family
	labels arch.Labels
}

// family says in what the checkpoints that share this forward pass differ.
type family struct {
	prefix string // of the encoder's tensors, which a checkpoint of the encoder alone lacks
	distil bool   // DistilBERT's names, no token types, no pooler
	// offset is set if positions count from pad_token_id+1, as in RoBERTa (and fairseq before it).
	offset bool
}

var (
	bert       = family{prefix: "bert"}
	distilBERT = family{prefix: "distilbert", distil: true}
	roBERTa    = family{prefix: "roberta", offset: true}
)

// readConfig decodes config.json, brings it to BERT's names and checks every
// number, so that nothing below has to.
func readConfig(c *loader.Config, f family) (*Config, error) {
	cfg := &Config{HiddenAct: "gelu", Activation: "gelu", LayerNormEps: 1e-12, TypeVocabSize: 2, TieWordEmbeddings: true, family: f}
	if f.offset {
		cfg.PadTokenID = 1
	}
	if err := c.Decode(cfg); err != nil {
		return nil, err
	}
	if f.distil {
		cfg.HiddenSize, cfg.IntermediateSize, cfg.HiddenAct = cfg.Dim, cfg.HiddenDim, cfg.Activation
		cfg.NumHiddenLayers, cfg.NumAttentionHeads, cfg.TypeVocabSize = cfg.NLayers, cfg.NHeads, 0
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	return cfg, nil
}

func (c *Config) check() (err error) {
	if err := arch.CheckDims(map[string]int{
		"vocab_size": c.VocabSize, "hidden_size": c.HiddenSize, "intermediate_size": c.IntermediateSize,
		"num_attention_heads":     c.NumAttentionHeads,
		"max_position_embeddings": c.MaxPositionEmbeddings,
	}); err != nil {
		return err
	}
	switch {
	case c.TypeVocabSize < 0 || c.TypeVocabSize > 1<<20:
		return fmt.Errorf("type_vocab_size is %d", c.TypeVocabSize)
	case c.firstPosition() < 0 || c.firstPosition() >= c.MaxPositionEmbeddings:
		return fmt.Errorf("pad_token_id %d leaves none of %d positions", c.PadTokenID, c.MaxPositionEmbeddings)
	case !(c.LayerNormEps >= 0):
		return fmt.Errorf("layer_norm_eps is %v", c.LayerNormEps)
	case c.PositionEmbeddingType != "" && c.PositionEmbeddingType != "absolute":
		return fmt.Errorf("position_embedding_type %q is not supported, only absolute is", c.PositionEmbeddingType)
	case c.IsDecoder:
		return errors.New("is_decoder is set: a causal BERT is not supported")
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

// firstPosition is the position of a text's first token.
func (c *Config) firstPosition() int {
	if c.family.offset {
		return c.PadTokenID + 1
	}
	return 0
}

// dims names the sizes that the weights' shape tags speak of.
func (c *Config) dims() map[string]int {
	return map[string]int{
		"vocab": c.VocabSize, "hidden": c.HiddenSize, "intermediate": c.IntermediateSize,
		"positions": c.MaxPositionEmbeddings, "types": c.TypeVocabSize, "labels": len(c.labels.Names),
		"untied": arch.Flag(!c.TieWordEmbeddings),
	}
}
