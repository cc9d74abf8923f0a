package bench

import (
	"context"
	"fmt"
	"math"

	"emily/arch"
	"emily/arch/whisper"
	"emily/audio"
)

// transcribeTask is a sound's features, the encoder over 30 s, and a fixed
// number of greedy tokens. arch.Transcriber would stop where the text ends, so
// that the number of tokens would be the checkpoint's choice.
type transcribeTask struct {
	*arch.Loaded
	model      *whisper.Model
	featurizer *audio.Featurizer
	sound      []float32
	newTokens  int
	start, end int32
}

func newTranscribeTask(ctx context.Context, j *job, opt arch.Options) (task, error) {
	loaded, model, err := loadModel[*whisper.Model](ctx, j, opt)
	if err != nil {
		return nil, err
	}
	t := &transcribeTask{Loaded: loaded, model: model, newTokens: j.NewTokens, sound: make([]float32, audio.Rate)}
	for i := range t.sound { // 1 s of 440 Hz
		t.sound[i] = float32(math.Sin(2 * math.Pi * 440 * float64(i) / audio.Rate))
	}
	if err := t.configure(); err != nil {
		loaded.Close()
		return nil, err
	}
	return t, nil
}

func (t *transcribeTask) configure() error {
	var c struct {
		Start *int32 `json:"decoder_start_token_id"`
		End   *int32 `json:"eos_token_id"`
	}
	if err := t.Config.Decode(&c); err != nil {
		return err
	}
	if c.Start == nil || c.End == nil || *c.End < 0 || int(*c.End) >= t.model.Vocab() {
		return fmt.Errorf("%s: config.json lacks a usable decoder_start_token_id or eos_token_id", t.Folder.Name())
	}
	t.start, t.end = *c.Start, *c.End
	config, err := t.Folder.ReadFile("preprocessor_config.json")
	if err != nil {
		return err
	}
	t.featurizer, err = audio.LoadFeaturizer(config)
	return err
}

func (t *transcribeTask) call(ctx context.Context) (*output, error) {
	mels, frames := t.featurizer.Shape()
	features := make([]float32, mels*frames)
	if err := t.featurizer.Window(features, t.sound); err != nil {
		return nil, err
	}
	w, err := t.model.NewWindow()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if err := w.Encode(ctx, features); err != nil {
		return nil, err
	}
	out := &output{}
	for id := t.start; len(out.Tokens) < t.newTokens; {
		logits, err := w.Extend(ctx, []int32{id})
		if err != nil {
			return nil, err
		}
		logits[t.end] = float32(math.Inf(-1)) // no early stop
		id = largest(logits)
		out.Tokens = append(out.Tokens, id)
	}
	return out, nil
}

func largest(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}

func (t *transcribeTask) close() error { return t.Close() }
