package demo_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emily/arch"
	_ "emily/arch/bert"
	_ "emily/arch/qwen3"
	_ "emily/arch/vit"
	_ "emily/arch/whisper"
	"emily/audio"
	"emily/backend/cpu"
	"emily/demo"
	"emily/loader"
	"emily/vision"
)

// load loads a built-in model as any other checkpoint.
func load(t *testing.T, task string) *arch.Loaded {
	t.Helper()
	_, fsys, ok := demo.Find(task)
	if !ok {
		t.Fatalf("no model for %s", task)
	}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	m, err := arch.Load(context.Background(), loader.FromFS(fsys, task), arch.Options{Backend: device})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if got := string(m.Class.Task); got != task {
		t.Fatalf("the model is for %s, not for %s", got, task)
	}
	return m
}

func TestGenerate(t *testing.T) {
	text, err := arch.NewText(load(t, "generate"))
	if err != nil {
		t.Fatal(err)
	}
	story, err := text.Generate(context.Background(), text.Tokenizer.Encode("Once upon a time", false).IDs, arch.GenerateOptions{MaxTokens: 300}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if words := len(strings.Fields(story.Text)); words < 50 {
		t.Errorf("a story of %d words: %s", words, story.Text)
	}
	if story.FinishReason != arch.FinishStop {
		t.Errorf("the story has no end: %s", story.Text)
	}
}

func TestClassify(t *testing.T) {
	m := load(t, "classify")
	classifier := m.Model.(arch.ImageClassifier)
	config, err := m.Folder.ReadFile("preprocessor_config.json")
	if err != nil {
		t.Fatal(err)
	}
	processor, err := vision.LoadProcessor(config)
	if err != nil {
		t.Fatal(err)
	}
	height, width := processor.Size()
	files, err := filepath.Glob("samples/*.png")
	if err != nil || len(files) == 0 {
		t.Fatal("no sample images", err)
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		image, err := vision.Decode(file, vision.Limits{})
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		pixels := make([]float32, 3*height*width)
		if err := processor.Pixels(pixels, image); err != nil {
			t.Fatal(err)
		}
		logits, err := classifier.Classify(context.Background(), [][]float32{pixels})
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(name), ".png"), "digit-")
		if got := classifier.Labels().Top(logits[0], 1)[0]; got.Name != want || got.Score < 0.5 {
			t.Errorf("%s: %s with %.3f", name, got.Name, got.Score)
		}
	}
}

func TestTranscribe(t *testing.T) {
	m := load(t, "transcribe")
	for name, want := range map[string]string{
		"turn-left.wav":    "turn left and go twenty five meters",
		"phone-number.wav": "my phone number is five five five zero one seven three",
	} {
		file, err := os.Open(filepath.Join("samples", name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		sound, err := audio.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Model.(arch.Transcriber).Transcribe(context.Background(), sound, arch.TranscribeOptions{}, func(arch.Segment) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(got.Text) != want {
			t.Errorf("%s: %q, want %q", name, got.Text, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	answerer, err := arch.NewAnswerer(load(t, "answer"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("samples/town.txt")
	if err != nil {
		t.Fatal(err)
	}
	for question, want := range map[string]string{
		"Who designed the town hall?":                "Helen Foster",
		"When does the Lantern Festival take place?": "September",
		"What does Foster Brothers make?":            "umbrellas",
		"How many people live in Marlow?":            "8,400",
		"Into which sea does the Elm flow?":          "North Sea",
	} {
		answers, err := answerer.Answer(context.Background(), question, string(text), arch.AnswerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(answers) == 0 || answers[0].Text != want {
			t.Errorf("%s %v, want %q", question, answers, want)
		}
	}
}
