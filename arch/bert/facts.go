package bert

import (
	"fmt"

	"emily/arch"
)

// Facts tells the sizes that decide speed and memory.
func (m *Model) Facts() []arch.Fact {
	c := m.config
	return []arch.Fact{
		{Name: "layers", Value: fmt.Sprint(c.NumHiddenLayers)},
		{Name: "hidden", Value: fmt.Sprintf("%d, feed-forward %d", c.HiddenSize, c.IntermediateSize)},
		{Name: "heads", Value: fmt.Sprintf("%d of %d", c.NumAttentionHeads, c.HiddenSize/c.NumAttentionHeads)},
		{Name: "vocabulary", Value: fmt.Sprintf("%d tokens", c.VocabSize)},
		{Name: "longest text", Value: fmt.Sprintf("%d tokens", m.MaxTokens())},
	}
}
