package arch_test

import (
	"context"
	"fmt"
	"log"

	"emily/arch"
	_ "emily/arch/qwen3"
	"emily/backend/cpu"
	"emily/loader"
)

// A text model is a folder, a backend and a prompt.
func ExampleText_Generate() {
	ctx := context.Background()
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	folder, err := loader.Find(ctx, "../testdata/models/tiny-qwen3", loader.Options{})
	if err != nil {
		log.Fatal(err)
	}
	model, err := arch.Load(ctx, folder, arch.Options{Backend: device})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	text, err := arch.NewText(model)
	if err != nil {
		log.Fatal(err)
	}

	prompt, err := text.PromptIDs("The quick brown fox")
	if err != nil {
		log.Fatal(err)
	}
	got, err := text.Generate(ctx, prompt, arch.GenerateOptions{MaxTokens: 8, IgnoreEOS: true}, func(piece string) bool {
		return true // print the piece here: it streams
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(got.Tokens), "tokens, ended by", got.FinishReason)
	// Output: 8 tokens, ended by length
}

// A chat keeps its cache: only the new turn runs through the model.
func ExampleChat() {
	ctx := context.Background()
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	folder, err := loader.Find(ctx, "../testdata/models/tiny-llama", loader.Options{})
	if err != nil {
		log.Fatal(err)
	}
	model, err := arch.Load(ctx, folder, arch.Options{Backend: device})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	text, err := arch.NewText(model)
	if err != nil {
		log.Fatal(err)
	}

	chat, err := text.NewChat("You are brief.")
	if err != nil {
		log.Fatal(err)
	}
	defer chat.Close()
	for _, turn := range []string{"Hello.", "And then?"} {
		if _, err := chat.Say(ctx, turn, arch.GenerateOptions{MaxTokens: 4}, nil); err != nil {
			log.Fatal(err)
		}
	}
	for _, m := range chat.Messages {
		fmt.Println(m.Role)
	}
	// Output:
	// system
	// user
	// assistant
	// user
	// assistant
}
