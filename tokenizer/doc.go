// Package tokenizer turns text into token ids and back, as described by the tokenizer.json and
// tokenizer_config.json files that come with Hugging Face checkpoints.
//
// [Load] reads a tokenizer.json; the resulting [Tokenizer] is immutable and safe for concurrent use. It gives the
// ids and offsets that the Rust library "tokenizers" gives, oddities included. A text goes through five steps,
// each a small family of types named as in the file:
//
//	added tokens    matched first, on the raw and on the normalised text
//	normalizer      NFC, lower case, ...: rewrites the text, keeping for each byte where it came from
//	pre-tokenizer   cuts the text into words
//	model           BPE, WordPiece, Unigram or WordLevel: word to ids
//	post-processor  [CLS] and [SEP] around the sequences
//
// Text that is not valid UTF-8 is read as Go's range loop reads it: each wrong byte is U+FFFD.
//
// [LoadTemplate] reads the chat template, a Jinja program that turns messages into the prompt of a model.
package tokenizer
