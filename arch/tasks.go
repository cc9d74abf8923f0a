package arch

import "context"

// Tokens is one text, or a pair of texts, as a tokenizer gives it.
type Tokens struct {
	IDs []int32
	// TypeIDs tell the texts of a pair apart, for models that want to know. Nil means all 0.
	TypeIDs []int32
}

// TextEncoder turns tokens into hidden states.
type TextEncoder interface {
	Model
	// MaxTokens is the largest number of tokens of a text.
	MaxTokens() int
	// HiddenSize is the number of elements of a token's hidden state.
	HiddenSize() int
	// Hidden returns the last hidden state of each text, [tokens, hidden].
	Hidden(ctx context.Context, batch []Tokens) ([][]float32, error)
}

// SpanScorer scores where an answer starts and ends (extractive question
// answering). NewAnswerer makes answers out of the scores.
type SpanScorer interface {
	TextEncoder
	// Spans returns for each text the logits of each token.
	Spans(ctx context.Context, batch []Tokens) ([]SpanLogits, error)
}

// SpanLogits are the logits of a text's tokens to start and to end the answer.
type SpanLogits struct{ Start, End []float32 }

// TextClassifier scores whole texts.
type TextClassifier interface {
	TextEncoder
	Labels() Labels
	// Classify returns the logits of each text, one for each label.
	Classify(ctx context.Context, batch []Tokens) ([][]float32, error)
}

// TokenClassifier scores every token of a text, as for named entities.
type TokenClassifier interface {
	TextEncoder
	Labels() Labels
	// ClassifyTokens returns the logits of each text, [tokens, labels].
	ClassifyTokens(ctx context.Context, batch []Tokens) ([][]float32, error)
}

// MaskedLM scores what stands in the place of a token.
type MaskedLM interface {
	TextEncoder
	Vocab() int
	// Logits returns the logits of some positions of a text, [len(positions), vocab].
	Logits(ctx context.Context, text Tokens, positions []int) ([]float32, error)
}

// ImageEncoder turns images into hidden states.
type ImageEncoder interface {
	Model
	// ImageSize is the height and width of the input in pixels.
	ImageSize() (height, width int)
	// HiddenSize is the number of elements of a patch's hidden state.
	HiddenSize() int
	// Hidden returns the normalised last hidden state of each image, the class
	// token first: [1 + patches, hidden]. pixels are [3, height, width] each.
	Hidden(ctx context.Context, pixels [][]float32) ([][]float32, error)
}

// ImageClassifier scores images.
type ImageClassifier interface {
	ImageEncoder
	Labels() Labels
	// Classify returns the logits of each image, one for each label.
	Classify(ctx context.Context, pixels [][]float32) ([][]float32, error)
}
