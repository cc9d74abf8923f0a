package tokenizer_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"emily/tokenizer"
)

func load(name string) *tokenizer.Tokenizer {
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		log.Fatal(err)
	}
	t, err := tokenizer.Load(data)
	if err != nil {
		log.Fatal(err)
	}
	return t
}

func ExampleLoad() {
	data, err := os.ReadFile("testdata/tiny-bert.json")
	if err != nil {
		log.Fatal(err)
	}
	t, err := tokenizer.Load(data)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Size(), "tokens")
	// Output: 300 tokens
}

func ExampleTokenizer_Encode() {
	t := load("tiny-bert.json")
	e := t.Encode("The fox", true)
	for i, id := range e.IDs {
		token, _ := t.Token(id)
		fmt.Println(id, token, e.Offsets[i])
	}
	// Output:
	// 2 [CLS] {0 0}
	// 77 the {0 3}
	// 173 fox {4 7}
	// 3 [SEP] {0 0}
}

func ExampleTokenizer_EncodePair() {
	t := load("tiny-distilbert-qa.json")
	e := t.EncodePair("Where?", "In Paris.", true)
	fmt.Println(e.TypeIDs)
	fmt.Println(e.Sequence)
	// Output:
	// [0 0 0 0 1 1 1 1 1 1]
	// [-1 0 0 -1 1 1 1 1 1 -1]
}

func ExampleTokenizer_Decode() {
	t := load("tiny-llama.json")
	ids := t.AppendIDs(nil, "Hello, world<|im_end|>", false)
	fmt.Println(t.Decode(ids, false))
	fmt.Println(t.Decode(ids, true))
	// Output:
	// Hello, world<|im_end|>
	// Hello, world
}

func ExampleTokenizer_Stream() {
	t := load("tiny-llama.json")
	s := t.Stream(true)
	for _, id := range t.AppendIDs(nil, "7 €", false) {
		fmt.Printf("%q ", s.Next(id)) // nothing until the three bytes of € are complete
	}
	fmt.Printf("%q\n", s.Flush())
	// Output: "7" " " "" "" "€" ""
}

func ExampleChatTemplate_Render() {
	config := []byte(`{
		"bos_token": "<s>",
		"chat_template": "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
	}`)
	t, err := tokenizer.LoadTemplate(config, "")
	if err != nil {
		log.Fatal(err)
	}
	prompt, err := t.Render(context.Background(), tokenizer.Chat{
		Messages:            []tokenizer.Message{tokenizer.NewMessage("user", "Hello!")},
		AddGenerationPrompt: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(prompt)
	// Output:
	// <s>[user] Hello!
	// [assistant]
}
