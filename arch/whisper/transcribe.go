package whisper

import (
	"context"
	"errors"
	"math"
	"strings"

	"emily/arch"
	"emily/audio"
)

var _ arch.Transcriber = (*Model)(nil)

var negativeInfinity = float32(math.Inf(-1))

// transcription is the state of one call of Transcribe.
type transcription struct {
	*speech
	model  *Model
	opt    arch.TranscribeOptions
	window *Window
	rules  rules

	language int32
	prefix   []int32 // start, language, task
	hint     []int32 // the prompt, then the text so far
}

// Transcribe turns a sound of any length into text: windows of 30 s, each
// starting where the last complete segment before it ends (sequential
// decoding; Radford et al. 2022, section 3.8).
func (m *Model) Transcribe(ctx context.Context, r audio.SampleReader, opt arch.TranscribeOptions, yield func(arch.Segment) bool) (arch.Transcript, error) {
	t, err := m.newTranscription(opt)
	if err != nil {
		return arch.Transcript{}, err
	}
	defer t.window.Close()
	s, err := openSound(t.featurizer, r, opt.Peak)
	if err != nil {
		return arch.Transcript{}, err
	}
	var segments []arch.Segment
	err = t.windows(ctx, s, func(segment arch.Segment) bool {
		segments = append(segments, segment)
		return yield == nil || yield(segment)
	})
	var text strings.Builder
	for _, segment := range segments {
		text.WriteString(segment.Text)
	}
	return arch.Transcript{
		Language: t.code(), Duration: s.seconds(), Text: strings.TrimSpace(text.String()), Segments: segments, Cut: err != nil,
	}, err
}

func (m *Model) newTranscription(opt arch.TranscribeOptions) (*transcription, error) {
	s, err := m.speech()
	if err != nil {
		return nil, err
	}
	t := &transcription{speech: s, model: m, opt: opt}
	t.rules = rules{tokens: &s.tokens, generation: &m.generation, timestamps: !opt.NoTimestamps}
	if opt.Language != "" || s.tokens.languages == nil {
		if t.language, err = s.tokens.language(opt.Language); err != nil {
			return nil, err
		}
	}
	if opt.Translate && s.tokens.languages == nil {
		return nil, errors.New("the model knows English alone and translates nothing")
	}
	if prompt := strings.TrimSpace(opt.Prompt); prompt != "" {
		t.hint = s.tokenizer.AppendIDs(nil, " "+prompt, false)
	}
	t.window, err = m.NewWindow()
	return t, err
}

// windows decodes one window after the other and tells the segments.
func (t *transcription) windows(ctx context.Context, s *sound, yield func(arch.Segment) bool) error {
	mels, size := t.featurizer.Shape()
	features := make([]float32, mels*size)
	for seek := 0; ; {
		frames, err := s.at(features, seek)
		if frames == 0 {
			return err
		}
		t.rules.last = int32(frames+1) / 2 // of two frames each
		if err := t.window.Encode(ctx, features); err != nil {
			return err
		}
		if err := t.detect(ctx); err != nil {
			return err
		}
		d, err := t.decodeWindow(ctx)
		if err != nil {
			return err
		}
		if d.silent {
			seek += frames
			continue
		}
		segments, advance := t.finish(d, seek, frames)
		if t.opt.Words {
			if err := t.alignWords(ctx, segments, seek, frames); err != nil {
				return err
			}
		}
		for _, segment := range segments {
			if !yield(segment) {
				return nil
			}
		}
		seek += advance
	}
}

// finish turns the text of a window into segments, and says by how many frames
// the next window starts later.
func (t *transcription) finish(d decoded, offset, frames int) (list []arch.Segment, advance int) {
	spans, advance := []span{{d.ids, 0, frames / 2}}, frames
	if !t.opt.NoTimestamps {
		spans, advance = t.tokens.cut(d.ids, frames)
	}
	if advance <= 0 || advance > frames {
		advance = frames // whatever the model says, go on
	}
	for _, segment := range t.segments(spans, offset, d) {
		if segment.Text != "" {
			list = append(list, segment)
		}
	}
	t.remember(spans, d)
	return list, advance
}

// remember keeps the text for the next window's prompt.
func (t *transcription) remember(spans []span, d decoded) {
	const untrusted = 0.5 // the temperature from which a text says little about the next
	if !t.opt.ContinueText || (d.quality != nil && d.quality.Temperature > untrusted) {
		t.hint = nil
		return
	}
	for _, s := range spans {
		t.hint = append(t.hint, t.words(s.ids)...)
	}
}

// prompt is the prefix of the next window: the end of the text before, if it
// is to be seen, and what is asked for.
func (t *transcription) prompt() []int32 {
	hint := t.hint
	if len(hint) == 0 {
		return t.prefix
	}
	if most := t.model.config.MaxTargetPositions/2 - 1; len(hint) > most {
		hint = hint[len(hint)-most:]
	}
	return append(append([]int32{t.tokens.previous}, hint...), t.prefix...)
}

// detect finds the language of the first window, if it is not given, and
// makes the prefix.
func (t *transcription) detect(ctx context.Context) error {
	if t.prefix != nil {
		return nil
	}
	if t.tokens.languages != nil && t.language == 0 {
		logits, err := t.window.Extend(ctx, []int32{t.tokens.start})
		if err != nil {
			return err
		}
		t.window.Truncate(0)
		best := negativeInfinity
		for _, id := range t.tokens.languages {
			if x := logits[id]; x > best || (x == best && id < t.language) {
				best, t.language = x, id
			}
		}
	}
	t.prefix = t.tokens.prefix(t.language, t.opt)
	return nil
}

// code is the code of the language, "" before it is known.
func (t *transcription) code() string {
	if t.tokens.languages == nil {
		return "en"
	}
	for code, id := range t.tokens.languages {
		if id == t.language {
			return code
		}
	}
	return ""
}
