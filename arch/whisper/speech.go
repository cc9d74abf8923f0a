package whisper

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"emily/arch"
	"emily/audio"
	"emily/tokenizer"
)

// speech is what stands between sound, model and text.
type speech struct {
	tokens     special
	tokenizer  *tokenizer.Tokenizer
	featurizer *audio.Featurizer
}

// special are the tokens that are no text. All text has smaller ids than end.
type special struct {
	end, start, previous            int32
	translate, transcribe           int32
	noSpeech, noTimestamps, instant int32 // instant is <|0.00|>, the first of the timestamps
	languages                       map[string]int32
}

func (m *Model) readSpeech() (*speech, error) {
	tok, err := arch.ReadTokenizer(m.folder)
	if err != nil {
		return nil, err
	}
	config, err := m.folder.ReadFile("preprocessor_config.json")
	if err != nil {
		return nil, fmt.Errorf("%w: it says how features are computed", err)
	}
	f, err := audio.LoadFeaturizer(config)
	if err != nil {
		return nil, fmt.Errorf("%s/preprocessor_config.json: %w", m.folder.Name(), err)
	}
	if mels, frames := f.Shape(); mels != m.config.NumMelBins || frames != m.config.frames() {
		return nil, fmt.Errorf("%s: preprocessor_config.json describes windows of %d x %d features, the model reads %d x %d",
			m.folder.Name(), mels, frames, m.config.NumMelBins, m.config.frames())
	}
	s, err := readSpecial(tok, *m.generation.IsMultilingual)
	if err != nil {
		return nil, fmt.Errorf("%s/tokenizer.json: %w", m.folder.Name(), err)
	}
	if int(s.instant) >= m.config.VocabSize {
		return nil, fmt.Errorf("%s: tokenizer.json has more tokens than the model's %d", m.folder.Name(), m.config.VocabSize)
	}
	return &speech{s, tok, f}, nil
}

func readSpecial(tok *tokenizer.Tokenizer, multilingual bool) (special, error) {
	var s special
	for name, id := range map[string]*int32{
		"<|endoftext|>": &s.end, "<|startoftranscript|>": &s.start, "<|startofprev|>": &s.previous,
		"<|translate|>": &s.translate, "<|transcribe|>": &s.transcribe, "<|notimestamps|>": &s.noTimestamps,
	} {
		var ok bool
		if *id, ok = tok.ID(name); !ok {
			return s, fmt.Errorf("there is no token %s, so this is not a tokenizer of Whisper", name)
		}
	}
	s.noSpeech, s.instant = s.noTimestamps-1, s.noTimestamps+1
	if multilingual {
		s.languages = map[string]int32{}
		for id := s.start + 1; id < min(s.translate, s.transcribe); id++ {
			if name, ok := tok.Token(id); ok {
				s.languages[strings.Trim(name, "<|>")] = id
			}
		}
	}
	return s, nil
}

// prefix is what the decoder is told before the text.
func (s *special) prefix(language int32, opt arch.TranscribeOptions) []int32 {
	ids := []int32{s.start}
	if s.languages != nil {
		task := s.transcribe
		if opt.Translate {
			task = s.translate
		}
		ids = append(ids, language, task)
	}
	if opt.NoTimestamps {
		ids = append(ids, s.noTimestamps)
	}
	return ids
}

// language returns the token of a code.
func (s *special) language(code string) (int32, error) {
	if s.languages == nil {
		if code != "" && code != "en" {
			return 0, fmt.Errorf("language %q: the model knows English alone", code)
		}
		return 0, nil
	}
	id, ok := s.languages[code]
	if !ok {
		return 0, fmt.Errorf("language %q is unknown to the model; it knows %s", code, strings.Join(slices.Sorted(maps.Keys(s.languages)), ", "))
	}
	return id, nil
}

// text decodes ids without special tokens and timestamps.
func (s *speech) text(ids []int32) string {
	return s.tokenizer.Decode(s.words(ids), false)
}

// words are the ids that stand for text.
func (s *speech) words(ids []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return id >= s.tokens.end })
}

// Languages returns the codes of the languages that the model knows.
func (m *Model) Languages() []string {
	s, err := m.speech()
	if err != nil || s.tokens.languages == nil {
		return []string{"en"}
	}
	return slices.Sorted(maps.Keys(s.tokens.languages))
}

// Featurizer returns what computes the model's input.
func (m *Model) Featurizer() (*audio.Featurizer, error) {
	s, err := m.speech()
	if err != nil {
		return nil, err
	}
	return s.featurizer, nil
}
