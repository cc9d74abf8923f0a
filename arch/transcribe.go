package arch

import (
	"context"

	"emily/audio"
)

// Transcriber turns speech into text.
type Transcriber interface {
	Model
	// Languages are the codes of the languages that the model knows, such as "en".
	Languages() []string
	// Featurizer computes the model's input; its Peak serves TranscribeOptions.
	Featurizer() (*audio.Featurizer, error)
	// Transcribe reads a sound to its end. yield, if not nil, is told each segment
	// as soon as it is certain, and ends the work by returning false. On an error,
	// also that of a sound that ends early, the transcript holds what came before.
	Transcribe(ctx context.Context, sound audio.SampleReader, opt TranscribeOptions, yield func(Segment) bool) (Transcript, error)
}

// TranscribeOptions say how speech is transcribed. The zero value is greedy
// decoding with timestamps in the language that is spoken.
type TranscribeOptions struct {
	// Language is a code such as "en"; "" means that it is detected.
	Language string
	// Translate gives the text in English.
	Translate bool
	// NoTimestamps makes each window one segment, which takes fewer tokens.
	NoTimestamps bool
	// Words asks for the time of each word.
	Words bool
	// Prompt is a text that the sound might continue; it hints at names and spelling.
	Prompt string
	// ContinueText lets each window see the text before it.
	ContinueText bool
	// Fallback decodes a window again if its text looks wrong; nil never does.
	Fallback *Fallback
	// Seed starts the random numbers of Fallback's temperatures.
	Seed uint64
	// Peak is what Featurizer.Peak found in an earlier pass over the sound; it
	// matters to sounds longer than a window. Nil takes the loudest value so far.
	Peak *float32
}

// Fallback says when a window's text is wrong and how it is decoded then
// (Radford et al. 2022, section 4.5).
type Fallback struct {
	// Temperatures are tried in turn; the last one's text is taken as it is.
	Temperatures []float64
	// CompressionRatio is exceeded by text that repeats itself: its bytes over
	// those that zlib makes of them.
	CompressionRatio float64
	// LogProbability is the mean of the tokens' log-probabilities under which a text is doubtful.
	LogProbability float64
	// NoSpeech is the probability of no speech above which a doubtful window is silence.
	NoSpeech float64
}

// DefaultFallback returns the settings of the paper.
func DefaultFallback() *Fallback {
	return &Fallback{Temperatures: []float64{0, 0.2, 0.4, 0.6, 0.8, 1}, CompressionRatio: 2.4, LogProbability: -1, NoSpeech: 0.6}
}

// Transcript is the text of a sound. Times are seconds from its start.
type Transcript struct {
	Language string    `json:"language"` // code, such as "en"
	Duration float64   `json:"duration"`
	Text     string    `json:"text"`
	Segments []Segment `json:"segments"`
	// Cut says that the sound goes on after the last segment: an error, such as a damaged file or the context's end, is why.
	Cut bool `json:"cut,omitempty"`
}

// Segment is a phrase.
type Segment struct {
	Start  float64 `json:"start"`
	End    float64 `json:"end"`
	Text   string  `json:"text"`
	Tokens []int32 `json:"tokens"` // with those of the timestamps
	Words  []Word  `json:"words,omitempty"`
	// With a Fallback: how the segment's window was decoded.
	Quality *Quality `json:"quality,omitempty"`
}

// Quality is what a Fallback judges a window's text by.
type Quality struct {
	Temperature      float64 `json:"temperature"`
	CompressionRatio float64 `json:"compression_ratio"`
	LogProbability   float64 `json:"avg_logprob"`
	NoSpeech         float64 `json:"no_speech_prob"`
}

// Word is a word with the white space before it and the punctuation around it.
type Word struct {
	Start float64 `json:"start"`
	End   float64 `json:"end"`
	Text  string  `json:"word"`
}
