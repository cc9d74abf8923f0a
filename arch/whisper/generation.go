package whisper

import (
	"errors"
	"fmt"
	"io/fs"

	"emily/loader"
)

// generation holds the fields of generation_config.json that decide which
// tokens may come when, and which attention heads follow the sound.
type generation struct {
	SuppressTokens           []int32  `json:"suppress_tokens"`
	BeginSuppressTokens      []int32  `json:"begin_suppress_tokens"`
	MaxInitialTimestampIndex *int     `json:"max_initial_timestamp_index"`
	MaxLength                int      `json:"max_length"`
	IsMultilingual           *bool    `json:"is_multilingual"`
	AlignmentHeads           [][2]int `json:"alignment_heads"`
	MedianFilterWidth        int      `json:"median_filter_width"`
}

// englishVocab is the vocabulary of the models that know English alone.
const englishVocab = 51864

// readGeneration reads generation_config.json, or what older checkpoints have
// of it in config.json, and checks it.
func readGeneration(f *loader.Folder, config *loader.Config, c *Config) (generation, error) {
	g := generation{MedianFilterWidth: 7, MaxLength: c.MaxTargetPositions}
	if err := config.Decode(&g); err != nil {
		return g, err
	}
	if err := f.ReadJSON("generation_config.json", &g); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return g, err
	}
	if g.IsMultilingual == nil {
		multilingual := c.VocabSize != englishVocab
		g.IsMultilingual = &multilingual
	}
	if err := g.check(c); err != nil {
		return g, fmt.Errorf("generation_config.json: %w", err)
	}
	return g, nil
}

func (g *generation) check(c *Config) error {
	for _, list := range [][]int32{g.SuppressTokens, g.BeginSuppressTokens} {
		for _, id := range list {
			if id < 0 || int(id) >= c.VocabSize {
				return fmt.Errorf("token %d is to be suppressed but outside the vocabulary of %d", id, c.VocabSize)
			}
		}
	}
	for _, h := range g.AlignmentHeads {
		if h[0] < 0 || h[0] >= c.DecoderLayers || h[1] < 0 || h[1] >= c.DecoderAttentionHeads {
			return fmt.Errorf("alignment head %v does not exist", h)
		}
	}
	switch {
	case g.MaxInitialTimestampIndex != nil && *g.MaxInitialTimestampIndex < 0:
		return fmt.Errorf("max_initial_timestamp_index is %d", *g.MaxInitialTimestampIndex)
	case g.MedianFilterWidth < 1 || g.MedianFilterWidth%2 == 0 || g.MedianFilterWidth > 101:
		return fmt.Errorf("median_filter_width %d is not a small odd number", g.MedianFilterWidth)
	case g.MaxLength < 1:
		return fmt.Errorf("max_length is %d", g.MaxLength)
	}
	return nil
}

// alignmentHeads are those that follow the sound: the configuration's, else all
// heads of the upper half of the layers.
func (m *Model) alignmentHeads() [][2]int {
	if len(m.generation.AlignmentHeads) > 0 {
		return m.generation.AlignmentHeads
	}
	var heads [][2]int
	for l := m.config.DecoderLayers / 2; l < m.config.DecoderLayers; l++ {
		for h := range m.config.DecoderAttentionHeads {
			heads = append(heads, [2]int{l, h})
		}
	}
	return heads
}
