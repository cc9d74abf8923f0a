package hub_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"emily/loader/hub"
)

// The files of a model go into the cache, whose folder is printed.
func Example() {
	ctx := context.Background()
	client, err := hub.New(hub.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	repo, err := client.Repo(ctx, "sentence-transformers/all-MiniLM-L6-v2", "main")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := repo.Fetch(ctx, "config.json", "tokenizer.json", "model.safetensors"); err != nil {
		fmt.Println(err)
		return
	}
	if err := repo.Publish(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(repo.Path())
}

// A file is read on the hub; nothing is stored.
func ExampleRepo_FS() {
	ctx := context.Background()
	client, err := hub.New(hub.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	repo, err := client.Repo(ctx, "Qwen/Qwen3-0.6B", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := fs.ReadFile(repo.FS(ctx), "config.json")
	fmt.Println(string(text), err)
}

func ExampleCache_Models() {
	models, err := hub.CacheOf(os.Getenv).Models()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range models {
		fmt.Println(m.Name, m.Bytes)
	}
}
