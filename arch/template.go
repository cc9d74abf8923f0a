package arch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"emily/loader"
	"emily/tokenizer"
)

// ReadTemplate reads the chat template of tokenizer_config.json or
// chat_template.jinja; nil means that the model has none.
func ReadTemplate(f *loader.Folder) (*tokenizer.ChatTemplate, error) {
	var files [2][]byte
	for i, name := range []string{"tokenizer_config.json", "chat_template.jinja"} {
		text, err := f.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		files[i] = text
	}
	t, err := tokenizer.LoadTemplate(files[0], string(files[1]))
	switch {
	case errors.Is(err, tokenizer.ErrNoTemplate):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return t, nil
}

// RenderJSON renders messages, a JSON list or an object that holds it as
// "messages", and tools, a JSON list or nil, with the start of the model's answer
// at the end. args are further variables.
func RenderJSON(ctx context.Context, t *tokenizer.ChatTemplate, messages, tools json.RawMessage, args map[string]any) (string, error) {
	chat := tokenizer.Chat{AddGenerationPrompt: true, Options: args}
	var saved struct {
		Messages json.RawMessage `json:"messages"`
	}
	if json.Unmarshal(messages, &saved) == nil && saved.Messages != nil {
		messages = saved.Messages
	}
	if err := json.Unmarshal(messages, &chat.Messages); err != nil {
		return "", fmt.Errorf("the messages are not a JSON list: %w", err)
	}
	if tools != nil {
		if err := json.Unmarshal(tools, &chat.Tools); err != nil {
			return "", fmt.Errorf("the tools are not a JSON list: %w", err)
		}
	}
	return t.Render(ctx, chat)
}
