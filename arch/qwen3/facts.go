package qwen3

import (
	"fmt"

	"emily/arch"
)

// Facts tells the sizes that decide speed and memory.
func (m *Model) Facts() []arch.Fact {
	c := m.config
	perToken := 2 * c.NumHiddenLayers * c.NumKeyValueHeads * c.HeadDim * m.options.KV.Size()
	return []arch.Fact{
		{Name: "layers", Value: fmt.Sprint(c.NumHiddenLayers)},
		{Name: "hidden", Value: fmt.Sprintf("%d, feed-forward %d", c.HiddenSize, c.IntermediateSize)},
		{Name: "heads", Value: fmt.Sprintf("%d of %d, %d of keys and values", c.NumAttentionHeads, c.HeadDim, c.NumKeyValueHeads)},
		{Name: "vocabulary", Value: fmt.Sprintf("%d tokens", c.VocabSize)},
		{Name: "context", Value: fmt.Sprintf("%d tokens", c.MaxPositionEmbeddings)},
		{Name: "cache", Value: fmt.Sprintf("%.1f kB a token in %s, %.2f GB for the whole context", float64(perToken)/1e3, m.options.KV, float64(perToken)*float64(c.MaxPositionEmbeddings)/1e9)},
	}
}
