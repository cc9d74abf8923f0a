package tokenizer

// Codec is what the implementations of a tokenizer have in common: [Tokenizer] and, behind the build tag hftokenizers, the
// Rust library.
type Codec interface {
	AppendIDs(dst []int32, text string, addSpecial bool) []int32
	Decode(ids []int32, skipSpecial bool) string
	Size() int
}

var _ Codec = (*Tokenizer)(nil)
