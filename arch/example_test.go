package arch_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"emily/arch"
	_ "emily/arch/bert"
	_ "emily/arch/qwen3"
	_ "emily/arch/vit"
	_ "emily/arch/whisper"
	"emily/audio"
	"emily/backend/cpu"
	"emily/loader"
	"emily/vision"
)

// openModel loads a model from a folder; "org/name" would be a model of the cache.
func openModel(path string) *arch.Loaded {
	ctx := context.Background()
	folder, err := loader.Find(ctx, path, loader.Options{})
	if err != nil {
		log.Fatal(err)
	}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	m, err := arch.Load(ctx, folder, arch.Options{Backend: device})
	if err != nil {
		log.Fatal(err)
	}
	return m
}

func ExampleLoad() {
	folder, err := loader.Find(context.Background(), "../testdata/models/tiny-qwen3", loader.Options{})
	if err != nil {
		log.Fatal(err)
	}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	m, err := arch.Load(context.Background(), folder, arch.Options{Backend: device})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	// The tasks of a model are interfaces.
	decoder, ok := m.Model.(arch.Decoder)
	fmt.Println(m.Class.Name, m.Class.Task, ok, decoder.Context())
	// Output: Qwen3ForCausalLM generate true 512
}

func ExampleAnswerer_Answer() {
	m := openModel("../testdata/models/tiny-distilbert-qa") // random weights: the answer means nothing
	defer m.Close()
	answerer, err := arch.NewAnswerer(m)
	if err != nil {
		log.Fatal(err)
	}
	answers, err := answerer.Answer(context.Background(), "Who jumps?", "The quick brown fox jumps over the lazy dog.", arch.AnswerOptions{TopK: 2})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range answers {
		fmt.Printf("%q from %d to %d, %.4f\n", a.Text, a.Start, a.End, a.Score)
	}
	// Output:
	// "fox" from 16 to 19, 0.0105
	// "fox jumps over" from 16 to 30, 0.0101
}

func ExampleEmbedder_Embed() {
	m := openModel("../testdata/models/tiny-bert") // random weights: near texts are not close
	defer m.Close()
	embedder, err := arch.NewEmbedder(m)
	if err != nil {
		log.Fatal(err)
	}
	v, err := embedder.Embed(context.Background(), []string{"The quick brown fox", "the quick brown fox"})
	if err != nil {
		log.Fatal(err)
	}
	cosine := float32(0) // vectors have length 1
	for i := range v[0] {
		cosine += v[0][i] * v[1][i]
	}
	fmt.Printf("%d elements, cosine %.3f\n", len(v[0]), cosine)
	// Output: 64 elements, cosine 1.000
}

func ExampleImageClassifier() {
	m := openModel("../testdata/models/tiny-vit")
	defer m.Close()
	classifier := m.Model.(arch.ImageClassifier)

	config, err := m.Folder.ReadFile("preprocessor_config.json")
	if err != nil {
		log.Fatal(err)
	}
	processor, err := vision.LoadProcessor(config)
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.Open("../vision/testdata/0-rgb-97x61.png")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	image, err := vision.Decode(file, vision.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	height, width := processor.Size()
	pixels := make([]float32, 3*height*width)
	if err := processor.Pixels(pixels, image); err != nil {
		log.Fatal(err)
	}
	logits, err := classifier.Classify(context.Background(), [][]float32{pixels})
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range classifier.Labels().Top(logits[0], 2) {
		fmt.Printf("%s %.3f\n", l.Name, l.Score)
	}
	// Output:
	// sea lion 0.631
	// snow goose 0.127
}

func ExampleTranscriber() {
	m := openModel("../testdata/models/tiny-whisper") // random weights: the text means nothing
	defer m.Close()
	file, err := os.Open("../testdata/audio/goforward.flac")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	sound, err := audio.Open(file)
	if err != nil {
		log.Fatal(err)
	}
	transcript, err := m.Model.(arch.Transcriber).Transcribe(context.Background(), sound, arch.TranscribeOptions{Language: "en"}, func(s arch.Segment) bool {
		return true // here a program shows each segment as it comes
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.2f s of sound in %q, some text: %t\n", transcript.Duration, transcript.Language, transcript.Text != "")
	// Output: 2.79 s of sound in "en", some text: true
}
