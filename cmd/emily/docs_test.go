package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedCommands runs every emily command line of the README and the
// docs as it is printed, in a folder with the files that they name and with a
// hub on which their models are tiny ones.
func TestDocumentedCommands(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		pages = append(pages, found...)
	}
	lines := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			lines++
			t.Run(filepath.Base(page)+"/"+line, func(t *testing.T) { runDocumented(t, root, line) })
		}
	}
	if lines < 8 {
		t.Errorf("only %d command lines were found", lines)
	}
}

// commandLines returns the lines of sh blocks that run emily.
func commandLines(markdown string) []string {
	var lines []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(markdown, -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			if _, after, ok := strings.Cut(line, "go run ./cmd/emily "); ok {
				line = "emily " + after
			}
			if strings.HasPrefix(line, "emily ") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func runDocumented(t *testing.T, root, line string) {
	dir := t.TempDir()
	standIns := map[string]string{}
	for name, tiny := range map[string]string{
		"Qwen/Qwen3-0.6B": "tiny-qwen3", "openai/whisper-tiny": "tiny-whisper", "google/vit-base-patch16-224": "tiny-vit",
		"distilbert/distilbert-base-uncased-distilled-squad": "tiny-distilbert-qa", "sentence-transformers/all-MiniLM-L6-v2": "tiny-bert",
	} {
		standIns[name] = filepath.Join(root, "testdata", "models", tiny)
	}
	hubOf(t, standIns)
	for from, to := range map[string]string{
		"testdata/models/tiny-llama":           "models/smollm2-135m-instruct",
		"testdata":                             "testdata",
		"demo":                                 "demo",
		"testdata/tiny/tiny-qwen3.json":        "reference.json",
		"testdata/tiny/tiny-qwen3.safetensors": "reference.safetensors",
		"testdata/audio/tiny-1.wav":            "speech.wav",
		"testdata/images/1-rgb-48x48.png":      "image.png",
		"testdata/README.md":                   "context.txt",
	} {
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, from), to); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	line, _, _ = strings.Cut(line, " < ")
	args := splitQuoted(line)
	if args[1] == "generate" || args[1] == "chat" {
		args = append(args, "--max-tokens", "4")
	}
	if stdout, stderr, code := emily(t, "Once upon a time", args[1:]...); code != exitOK || stdout == "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// splitQuoted cuts a line into words as a shell does, with double quotes.
func splitQuoted(line string) []string {
	var words []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	return words
}
