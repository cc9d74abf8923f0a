package verify

import (
	"context"
	"fmt"
	"math"
	"os"

	"emily/arch"
	"emily/vision"
)

type imageTapper interface {
	Tap(ctx context.Context, pixels []float32) ([][]float32, error)
}

// pixelStep is one step of an 8-bit pixel when the standard deviation is 0.5,
// what two correct resizers may differ by in isolated pixels.
const pixelStep = 2.0 / 255

// image compares the front end on the files that the reference names, and the
// model on the reference's own pixels.
func (c *comparison) image(ctx context.Context, m arch.ImageEncoder) error {
	var ref struct {
		Cases []struct {
			Image string `json:"image"`
			Top   [][]any
		} `json:"cases"`
	}
	if err := c.ref.decode(&ref); err != nil {
		return err
	}
	for i, k := range ref.Cases {
		name := func(s string) string { return fmt.Sprintf("%d.%s", i, s) }
		if !c.ref.has(name("pixel_values")) {
			continue
		}
		pixels, _ := c.ref.tensor(name("pixel_values"))
		if k.Image != "" {
			if err := c.pixels(m, k.Image, name("pixel_values"), pixels); err != nil {
				return err
			}
		}
		if t, ok := m.(imageTapper); ok && c.ref.has(name("hidden.0")) {
			states, err := t.Tap(ctx, pixels)
			if err != nil {
				return err
			}
			for j, h := range states {
				c.values(name(fmt.Sprintf("hidden.%d", j)), h)
			}
		}
		if classifier, ok := m.(arch.ImageClassifier); ok {
			logits, err := classifier.Classify(ctx, [][]float32{pixels})
			if err != nil {
				return err
			}
			c.values(name("logits"), logits[0])
			c.label(name("label"), classifier.Labels().Top(logits[0], 1), k.Top)
		}
	}
	return nil
}

// pixels compares what the front end makes of a file.
func (c *comparison) pixels(m arch.ImageEncoder, file, output string, want []float32) error {
	path, err := c.ref.file(file)
	if err != nil {
		return err
	}
	config, err := c.model.Folder.ReadFile("preprocessor_config.json")
	if err != nil {
		return err
	}
	p, err := vision.LoadProcessor(config)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	image, err := vision.Decode(f, vision.Limits{})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	got := make([]float32, len(want))
	if err := p.Pixels(got, image); err != nil {
		return err
	}
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
	}
	c.add(Result{Output: output, MaxError: &worst, Pass: worst <= pixelStep+1e-6})
	return nil
}

// label compares the best label with the reference's.
func (c *comparison) label(output string, got []arch.Label, top [][]any) {
	if len(top) == 0 || len(top[0]) == 0 || len(got) == 0 {
		return
	}
	want := fmt.Sprint(top[0][0])
	r := Result{Output: output, Pass: got[0].Name == want}
	if !r.Pass {
		r.Note = fmt.Sprintf("%q, the reference says %q", got[0].Name, want)
	}
	c.add(r)
}
