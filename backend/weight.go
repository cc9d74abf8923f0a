package backend

// Weight is an immutable tensor of a checkpoint: bytes in their stored dtype,
// usually a slice of a mapped file. Backends key their uploads and repacked
// copies by the pointer, so one Weight stands for one tensor of one checkpoint.
type Weight struct {
	// Name is the tensor's name in the checkpoint.
	Name string
	// DType is F32, BF16 or F16.
	DType DType
	// Shape is row-major; a linear layer's weight is [out, in].
	Shape []int
	// Data holds the elements, little endian, without padding. It need not be
	// aligned to the element size.
	Data []byte
	// Source names the content of the file that the weight is from, so that what
	// is derived from it can be kept on disk: other content has another Source.
	// It is a word of letters and digits, or empty if the content is not known.
	Source string
	// Forget, if not nil, lets go of the memory that Data takes. Reading Data brings
	// it back from its file.
	Forget func()
}

// Elements returns the number of elements.
func (w *Weight) Elements() int { return elements(w.Shape) }

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
