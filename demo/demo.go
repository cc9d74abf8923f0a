// Package demo holds four tiny models that are part of the program and serve
// where no model is named: one for each task. They are checkpoints in the
// Hugging Face layout as any other; the scripts in train/ made them.
package demo

import (
	"embed"
	"io/fs"
)

//go:embed generate/*.json generate/*.safetensors classify/*.json classify/*.safetensors
//go:embed transcribe/*.json transcribe/*.safetensors answer/*.json answer/*.safetensors
var files embed.FS

// Model is one of the built-in models.
type Model struct {
	// Task is the command that the model serves, and the name of its folder.
	Task string
	// Knows says in a few words what the model can do.
	Knows string
	// Next is a real model of the same architecture on the Hugging Face Hub,
	// the one to try next.
	Next string
}

var models = []Model{
	{"generate", "continues short children's stories", "Qwen/Qwen3-0.6B"},
	{"classify", "knows the digits 0 to 9 and twenty drawn things", "google/vit-base-patch16-224"},
	{"transcribe", "hears English numbers, dates, letters and everyday phrases", "openai/whisper-tiny.en"},
	{"answer", "finds answers in short paragraphs of facts", "distilbert/distilbert-base-uncased-distilled-squad"},
}

// Models returns the built-in models, one for each task.
func Models() []Model { return append([]Model(nil), models...) }

// Find returns the model for a task and its folder, for loader.FromFS; false
// if the task has no built-in model.
func Find(task string) (Model, fs.FS, bool) {
	for _, m := range models {
		if m.Task == task {
			folder, err := fs.Sub(files, m.Task)
			return m, folder, err == nil
		}
	}
	return Model{}, nil, false
}
