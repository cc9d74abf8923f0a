package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

type chatCase struct {
	Messages []json.RawMessage
	Tools    []json.RawMessage
	Options  map[string]any
	Rendered string
	IDs      []int32
}

func (c chatCase) chat() Chat {
	chat := Chat{Messages: c.Messages, Tools: c.Tools, Options: map[string]any{}}
	for name, v := range c.Options {
		if name == "add_generation_prompt" {
			chat.AddGenerationPrompt = v == true
		} else {
			chat.Options[name] = v
		}
	}
	return chat
}

func TestChatGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/golden/qwen3-chat.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Cases []chatCase }
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("testdata/qwen3-chat-config.json")
	if err != nil {
		t.Fatal(err)
	}
	template, err := LoadTemplate(config, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range golden.Cases {
		got, err := template.Render(t.Context(), c.chat())
		if err != nil {
			t.Errorf("case %d: %v", i, err)
		} else if got != c.Rendered {
			t.Errorf("case %d: %q, want %q", i, got, c.Rendered)
		}
	}
	t.Logf("%d cases", len(golden.Cases))
	t.Run("ids", func(t *testing.T) {
		tok := loadReal(t, "qwen3-tokenizer")
		for i, c := range golden.Cases {
			if got := tok.AppendIDs(nil, c.Rendered, false); !slices.Equal(got, c.IDs) {
				t.Errorf("case %d: %v, want %v", i, got, c.IDs)
			}
		}
	})
}
