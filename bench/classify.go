package bench

import (
	"context"

	"emily/arch"
	"emily/vision"
)

// classifyTask is an image's preprocessing, the model, and the top label.
type classifyTask struct {
	*arch.Loaded
	model     arch.ImageClassifier
	processor *vision.Processor
	image     *vision.Image
}

func newClassifyTask(ctx context.Context, j *job, opt arch.Options) (task, error) {
	loaded, model, err := loadModel[arch.ImageClassifier](ctx, j, opt)
	if err != nil {
		return nil, err
	}
	config, err := loaded.Folder.ReadFile("preprocessor_config.json")
	if err != nil {
		loaded.Close()
		return nil, err
	}
	processor, err := vision.LoadProcessor(config)
	if err != nil {
		loaded.Close()
		return nil, err
	}
	image := vision.NewImage(224, 224)
	for i := range image.Pix {
		image.Pix[i] = uint8(i) // iota mod 256
	}
	return &classifyTask{loaded, model, processor, image}, nil
}

func (t *classifyTask) call(ctx context.Context) (*output, error) {
	h, w := t.processor.Size()
	pixels := make([]float32, 3*h*w)
	if err := t.processor.Pixels(pixels, t.image); err != nil {
		return nil, err
	}
	logits, err := t.model.Classify(ctx, [][]float32{pixels})
	if err != nil {
		return nil, err
	}
	top := t.model.Labels().Top(logits[0], 1)[0]
	return &output{Label: &top.Index, Text: top.Name}, nil
}

func (t *classifyTask) close() error { return t.Close() }
