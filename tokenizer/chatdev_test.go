package tokenizer

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

func TestDevChat(t *testing.T) {
	data, err := os.ReadFile("/tmp/tk/jcases.json")
	if err != nil {
		t.Skip()
	}
	var cases []struct {
		Name, Src       string
		Messages, Tools []json.RawMessage
		Agp             bool
		Want, Err       *string
	}
	json.Unmarshal(data, &cases)
	n := 0
	for _, c := range cases {
		cfg, _ := json.Marshal(map[string]any{"bos_token": "<s>", "eos_token": "</s>", "chat_template": c.Src})
		tm, err := LoadTemplate(cfg, "")
		got := ""
		if err == nil {
			tm.now = func() time.Time { return time.Date(2024, 7, 4, 9, 5, 7, 0, time.UTC) }
			got, err = tm.Render(t.Context(), Chat{Messages: c.Messages, Tools: c.Tools, AddGenerationPrompt: c.Agp})
		}
		if (err != nil) != (c.Want == nil) || err == nil && got != *c.Want {
			n++
			if n > 25 {
				t.Fatal("...")
			}
			w := "ERROR"
			if c.Want != nil {
				w = *c.Want
			} else {
				w += *c.Err
			}
			t.Errorf("%s %s\n got %q err %v\nwant %q", c.Name, c.Src[:min(150, len(c.Src))], got, err, w)
		} else if err != nil && c.Agp && testing.Verbose() {
			t.Logf("%s: both fail: %v  <> %s", c.Name, err, *c.Err)
		}
	}
	t.Log(len(cases))
}
