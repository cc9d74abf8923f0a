package whisper

import (
	"fmt"

	"emily/arch"
)

// Facts tells the sizes that decide speed and memory.
func (m *Model) Facts() []arch.Fact {
	c := m.config
	states := 0
	for _, s := range m.specs.all() {
		states += s.Bytes()
	}
	languages := "English"
	if *m.generation.IsMultilingual {
		languages = "many"
	}
	return []arch.Fact{
		{Name: "layers", Value: fmt.Sprintf("%d of the encoder, %d of the decoder", c.EncoderLayers, c.DecoderLayers)},
		{Name: "hidden", Value: fmt.Sprintf("%d, feed-forward %d and %d", c.DModel, c.EncoderFFNDim, c.DecoderFFNDim)},
		{Name: "heads", Value: fmt.Sprintf("%d and %d", c.EncoderAttentionHeads, c.DecoderAttentionHeads)},
		{Name: "vocabulary", Value: fmt.Sprintf("%d tokens", c.VocabSize)},
		{Name: "languages", Value: languages},
		{Name: "window", Value: fmt.Sprintf("%d frames of %d mel bands, %d tokens of text", c.frames(), c.NumMelBins, c.MaxTargetPositions)},
		{Name: "cache", Value: fmt.Sprintf("%.1f MB in %s", float64(states)/1e6, m.specs.keys.DType)},
	}
}
