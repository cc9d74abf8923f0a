package tokenizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"emily/tokenizer/jinja"
)

// Message is one message of a conversation as JSON: an object with "role", "content" and whatever else the template of
// the model knows ("tool_calls", "reasoning_content", ...). The order of keys is kept.
type Message = json.RawMessage

// NewMessage makes a message of a role ("system", "user", "assistant", "tool") and a text.
func NewMessage(role, content string) Message {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// Two strings can always be encoded.
	_ = e.Encode(struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}{role, content})
	return Message(strings.TrimSpace(b.String()))
}

// Chat is a conversation to be turned into a prompt.
type Chat struct {
	Messages []Message
	Tools    []json.RawMessage // descriptions of tools, in the form that the model was trained on
	// AddGenerationPrompt ends the prompt with the start of the assistant's answer.
	AddGenerationPrompt bool
	// Options are further variables of the template, such as "enable_thinking": values of JSON or of Go (bool, int,
	// float64, string, nil).
	Options map[string]any
}

// ChatTemplate turns conversations into prompts. It is immutable and safe for concurrent use.
type ChatTemplate struct {
	templates map[string]*jinja.Template // by name; "default" is the usual one
	vars      map[string]any             // bos_token, eos_token, ...
	now       func() time.Time
}

// ErrNoTemplate is what LoadTemplate returns for a model without a chat template.
var ErrNoTemplate = errors.New("the model has no chat template; it continues text but does not chat")

// renderTime bounds the rendering of one prompt, which takes less than a millisecond for honest templates.
const renderTime = 5 * time.Second

// LoadTemplate reads the chat template and the special tokens of a tokenizer_config.json. separate is the text of
// chat_template.jinja, where the checkpoint has such a file (it goes first); otherwise it is empty. config may be empty if
// separate is not.
func LoadTemplate(config []byte, separate string) (*ChatTemplate, error) {
	fields := map[string]json.RawMessage{}
	if len(config) > 0 {
		if err := json.Unmarshal(config, &fields); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	sources, err := templateSources(fields["chat_template"])
	if err != nil {
		return nil, fmt.Errorf("tokenizer_config.json: chat_template: %w", err)
	}
	if separate != "" {
		sources["default"] = separate
	}
	if len(sources) == 0 {
		return nil, ErrNoTemplate
	}
	t := &ChatTemplate{templates: map[string]*jinja.Template{}, vars: map[string]any{}, now: time.Now}
	for name, source := range sources {
		if t.templates[name], err = jinja.Parse(source); err != nil {
			return nil, fmt.Errorf("chat template %q: %w", name, err)
		}
	}
	for name, raw := range fields {
		if token, ok := specialToken(raw); ok && strings.HasSuffix(name, "_token") {
			t.vars[name] = token
		}
	}
	return t, nil
}

// templateSources reads a template, or a list of templates with names.
func templateSources(raw json.RawMessage) (map[string]string, error) {
	sources := map[string]string{}
	if isNull(raw) {
		return sources, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		sources["default"] = one
		return sources, nil
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errors.New("neither a string nor a list of named templates")
	}
	for _, t := range list {
		sources[t.Name] = t.Template
	}
	return sources, nil
}

// specialToken reads "<s>" or {"content": "<s>", ...}.
func specialToken(raw json.RawMessage) (string, bool) {
	var token string
	if json.Unmarshal(raw, &token) == nil {
		return token, !isNull(raw)
	}
	var object struct{ Content *string }
	if json.Unmarshal(raw, &object) == nil && object.Content != nil {
		return *object.Content, true
	}
	return "", false
}

// Render makes the prompt for a conversation. Templates may refuse a conversation (a system message where the model knows
// none, say): the error is then the template's own message. Time and size are bounded, and ctx can stop it.
func (t *ChatTemplate) Render(ctx context.Context, chat Chat) (string, error) {
	template := t.templates["default"]
	if len(chat.Tools) > 0 && t.templates["tool_use"] != nil {
		template = t.templates["tool_use"]
	}
	if template == nil {
		return "", fmt.Errorf("chat template: none of the model's templates is the default")
	}
	vars, err := t.variables(chat)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, renderTime)
	defer cancel()
	prompt, err := template.Render(ctx, vars, jinja.Limits{})
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return prompt, nil
}

func (t *ChatTemplate) variables(chat Chat) (map[string]any, error) {
	messages, err := jsonList(chat.Messages)
	if err != nil {
		return nil, fmt.Errorf("message %w", err)
	}
	vars := maps.Clone(t.vars)
	vars["messages"] = messages
	vars["tools"] = nil
	vars["documents"] = nil
	if len(chat.Tools) > 0 {
		if vars["tools"], err = jsonList(chat.Tools); err != nil {
			return nil, fmt.Errorf("tool %w", err)
		}
	}
	vars["add_generation_prompt"] = chat.AddGenerationPrompt
	vars["strftime_now"] = jinja.Func(func(c *jinja.Call) (any, error) {
		format, ok := c.Arg(0, "format", nil).(string)
		if !ok {
			return nil, errors.New("strftime_now: the format is not a string")
		}
		return strftime(t.now(), format), nil
	})
	for name, v := range chat.Options {
		raw, err := json.Marshal(v)
		if err == nil {
			vars[name], err = jinja.FromJSON(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("option %s: %w", name, err)
		}
	}
	return vars, nil
}

func jsonList(raws []json.RawMessage) (*jinja.List, error) {
	l := jinja.NewList()
	for i, raw := range raws {
		v, err := jinja.FromJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		l.Items = append(l.Items, v)
	}
	return l, nil
}
