package arch

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"emily/tokenizer"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// ChatIDs renders messages with the model's chat template, ready for the
// model's answer, and tokenizes the result. args are further variables of the
// template, such as enable_thinking.
func (t *Text) ChatIDs(ctx context.Context, messages []Message, args map[string]any) ([]int32, error) {
	if t.Template == nil {
		return nil, errors.New("the model has no chat template")
	}
	chat := tokenizer.Chat{AddGenerationPrompt: true, Options: args}
	for _, m := range messages {
		if !utf8.ValidString(m.Content) {
			return nil, fmt.Errorf("the %s message is not valid UTF-8 text", m.Role)
		}
		chat.Messages = append(chat.Messages, tokenizer.NewMessage(m.Role, m.Content))
	}
	prompt, err := t.Template.Render(ctx, chat)
	if err != nil {
		return nil, err
	}
	return t.Tokenizer.AppendIDs(nil, prompt, false), nil
}

// Chat is a conversation whose cache is kept between turns, so that only what
// is new runs through the model. It is used by one goroutine at a time.
type Chat struct {
	// Messages are the turns so far.
	Messages []Message
	// Args are variables of the chat template.
	Args map[string]any

	text *Text
	seq  Sequence
	seen []int32 // the tokens in the cache
}

// NewChat starts a conversation; system may be empty.
func (t *Text) NewChat(system string) (*Chat, error) {
	if t.Template == nil {
		return nil, errors.New("the model has no chat template")
	}
	seq, err := t.NewSequence()
	if err != nil {
		return nil, err
	}
	c := &Chat{text: t, seq: seq, Args: map[string]any{}}
	c.Reset(system)
	return c, nil
}

// Reset forgets all turns.
func (c *Chat) Reset(system string) {
	c.Messages = nil
	if system != "" {
		c.Messages = []Message{{Role: "system", Content: system}}
	}
}

// Say adds a user's turn and generates the answer, which becomes a turn too; an
// answer that was cancelled stays as far as it came. After another error the conversation is as before.
func (c *Chat) Say(ctx context.Context, content string, opt GenerateOptions, yield func(string) bool) (Generated, error) {
	turns := append(c.Messages[:len(c.Messages):len(c.Messages)], Message{Role: "user", Content: content})
	ids, err := c.text.ChatIDs(ctx, turns, c.Args)
	if err != nil {
		return Generated{}, err
	}
	if len(ids) >= c.text.Context() {
		return Generated{}, fmt.Errorf("the conversation has %d tokens, more than the model's context of %d: start anew with /reset", len(ids), c.text.Context())
	}
	same := 0 // the last token must run, to give logits
	for same < len(c.seen) && same < len(ids)-1 && c.seen[same] == ids[same] {
		same++
	}
	c.seq.Truncate(same)
	got, err := c.text.Continue(ctx, c.seq, ids[same:], opt, yield)
	c.seen = append(append([]int32{}, ids...), got.Tokens...)
	c.seen = c.seen[:min(len(c.seen), c.seq.Length())]
	if err != nil && got.FinishReason != FinishCancel {
		return got, err
	}
	c.Messages = append(turns, Message{Role: "assistant", Content: got.Text})
	return got, err
}

// Close frees the cache.
func (c *Chat) Close() error { return c.seq.Close() }
