package tokenizer

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"emily/tokenizer/jinja"
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

// TestTemplates renders templates like those of Llama 3.1, Gemma 3, Mistral, Hermes, DeepSeek and Phi, and single expressions, as
// Jinja does. Where Jinja fails, so must we.
func TestTemplates(t *testing.T) {
	data, err := os.ReadFile("testdata/templates.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Templates     map[string]string
		Conversations [][]json.RawMessage
		Tools         []json.RawMessage
		Cases         []struct {
			Name         string
			Conversation int
			Tools        bool
			Generate     bool
			Want         *string // null: an error
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	for _, c := range golden.Cases {
		chat := Chat{Messages: golden.Conversations[c.Conversation], AddGenerationPrompt: c.Generate}
		if c.Tools {
			chat.Tools = golden.Tools
		}
		got, err := renderSource(t, golden.Templates[c.Name], chat)
		switch {
		case c.Want == nil && err == nil:
			t.Errorf("%s: %q, want an error", c.Name, got)
		case c.Want != nil && err != nil:
			t.Errorf("%s: %v", c.Name, err)
		case c.Want != nil && got != *c.Want:
			t.Errorf("%s: %q, want %q", c.Name, got, *c.Want)
		}
	}
}

// renderSource renders a template at a fixed time.
func renderSource(t *testing.T, source string, chat Chat) (string, error) {
	t.Helper()
	template, err := LoadTemplate([]byte(`{"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null}`), source)
	if err != nil {
		return "", err
	}
	template.now = func() time.Time { return time.Date(2024, 7, 4, 9, 5, 7, 0, time.UTC) }
	return template.Render(t.Context(), chat)
}

func TestLoadTemplate(t *testing.T) {
	if _, err := LoadTemplate([]byte(`{"eos_token": "</s>"}`), ""); !errors.Is(err, ErrNoTemplate) {
		t.Errorf("no template: error %v, want ErrNoTemplate", err)
	}
	named := []byte(`{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]}`)
	template, err := LoadTemplate(named, "")
	if err != nil {
		t.Fatal(err)
	}
	for want, chat := range map[string]Chat{"plain": {}, "tools": {Tools: []json.RawMessage{json.RawMessage(`{}`)}}} {
		if got, err := template.Render(t.Context(), chat); got != want || err != nil {
			t.Errorf("%q, error %v, want %q", got, err, want)
		}
	}
	var syntax *jinja.SyntaxError
	if _, err := LoadTemplate(nil, "a\n{% if %}"); !errors.As(err, &syntax) || syntax.Line != 2 {
		t.Errorf("error %v, want a SyntaxError in line 2", err)
	}
}

func TestRaise(t *testing.T) {
	_, err := renderSource(t, "{{ raise_exception('no system message, please') }}", Chat{})
	var raised *jinja.RaisedError
	if !errors.As(err, &raised) || raised.Message != "no system message, please" {
		t.Errorf("error %v", err)
	}
}

func TestNewMessage(t *testing.T) {
	got, err := renderSource(t, "{{ messages[0].role }}: {{ messages[0].content }}", Chat{Messages: []Message{NewMessage("user", "<b> \"é\"\n")}})
	if want := "user: <b> \"é\"\n"; got != want || err != nil {
		t.Errorf("%q, error %v, want %q", got, err, want)
	}
	if _, err := renderSource(t, "x", Chat{Messages: []Message{Message(`{"role": `)}}); err == nil || !strings.Contains(err.Error(), "message 0") {
		t.Errorf("broken JSON: error %v", err)
	}
}
