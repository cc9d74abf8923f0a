package whisper

import (
	"bytes"
	"compress/zlib"
	"context"
	"math"
	"slices"

	"emily/arch"
	"emily/sample"
)

// decoded is the text of one window.
type decoded struct {
	ids     []int32 // without the prefix and the end token
	quality *arch.Quality
	silent  bool // nobody speaks
}

// decodeWindow decodes the text of an encoded window, again at the next
// temperature while it looks wrong.
func (t *transcription) decodeWindow(ctx context.Context) (decoded, error) {
	prefix := t.prompt()
	noSpeech := 0.0
	if t.opt.Fallback != nil { // its probability is found after the start token
		start := slices.Index(prefix, t.tokens.start) + 1
		logits, err := t.window.Extend(ctx, prefix[:start])
		if err != nil {
			return decoded{}, err
		}
		noSpeech = math.Exp(float64(logits[t.tokens.noSpeech]) - logSumExp(logits))
		t.window.Truncate(start - 1)
		prefix = prefix[start-1:]
	}
	logits, err := t.window.Extend(ctx, prefix)
	if err != nil {
		return decoded{}, err
	}
	if t.opt.Fallback == nil {
		ids, _, err := t.sample(ctx, logits, sample.Params{}, false)
		return decoded{ids: ids}, err
	}
	return t.fallBack(ctx, slices.Clone(logits), noSpeech)
}

// fallBack decodes after the prefix, whose logits are given, until the text passes.
func (t *transcription) fallBack(ctx context.Context, logits []float32, noSpeech float64) (decoded, error) {
	f := t.opt.Fallback
	prefix := t.window.Length()
	var d decoded
	for i := range max(1, len(f.Temperatures)) {
		params := sample.Params{Seed: t.opt.Seed + uint64(i)}
		if i < len(f.Temperatures) {
			params.Temperature = f.Temperatures[i]
		}
		t.window.Truncate(prefix)
		ids, sum, err := t.sample(ctx, slices.Clone(logits), params, true)
		if err != nil {
			return d, err
		}
		d = decoded{ids: ids, quality: &arch.Quality{
			Temperature: params.Temperature, CompressionRatio: compressionRatio(t.text(ids)),
			LogProbability: sum / float64(len(ids)+1), NoSpeech: noSpeech,
		}}
		doubtful := d.quality.LogProbability < f.LogProbability
		d.silent = doubtful && noSpeech > f.NoSpeech
		if d.silent || (!doubtful && d.quality.CompressionRatio <= f.CompressionRatio) {
			break
		}
	}
	return d, nil
}

// sample extends the window's text up to the end token or the largest length.
// It returns the new tokens and, if asked, the sum of their log-probabilities
// and the end token's.
func (t *transcription) sample(ctx context.Context, logits []float32, params sample.Params, score bool) (ids []int32, sum float64, err error) {
	sampler := sample.New(params)
	limit := min(t.model.generation.MaxLength, t.model.config.MaxTargetPositions)
	for {
		t.rules.apply(logits, ids)
		id, err := sampler.Next(logits)
		if err != nil {
			return ids, sum, err
		}
		if score {
			sum += float64(logits[id]) - logSumExp(logits)
		}
		if id == t.tokens.end {
			return ids, sum, nil
		}
		ids = append(ids, id)
		if t.window.Length() >= limit-1 {
			return ids, sum, nil
		}
		if logits, err = t.window.Extend(ctx, []int32{id}); err != nil {
			return ids, sum, err
		}
	}
}

// compressionRatio is the length of a text over that of its zlib stream.
func compressionRatio(text string) float64 {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return float64(len(text)) / float64(b.Len())
}
