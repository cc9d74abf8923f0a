package random

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"emily/loader"
)

const (
	std   = 0.02    // of all weights, as the models' initializer_range has it
	chunk = 1 << 18 // elements with random numbers of their own
)

// sources returns the tensors with their random data.
func (m *Model) sources(ctx context.Context, seed uint64) []loader.TensorSource {
	weights, norms := newValues(m.dtype, 0), newValues(m.dtype, 1)
	buffers := make([][]byte, runtime.GOMAXPROCS(0))
	sources := make([]loader.TensorSource, len(m.tensors))
	for i, t := range m.tensors {
		v := weights
		if t.norm {
			v = norms
		}
		hash := fnv.New64a()
		io.WriteString(hash, t.name)
		stream := seed ^ hash.Sum64()
		sources[i] = loader.TensorSource{Name: t.name, DType: m.dtype, Shape: t.shape, WriteData: func(w io.Writer) error {
			return v.write(ctx, w, t.elements(), stream, buffers)
		}}
	}
	return sources
}

// values are 65536 numbers that are normally distributed: the quantiles at
// (i+1/2)/65536. A random index into them is a random number, in the stored
// dtype, for a quarter of a random word; it stays within 4.4 deviations.
type values struct {
	size    int
	encoded [1 << 16][4]byte // the first size bytes of each, little endian
}

func newValues(dtype string, mean float64) *values {
	v := &values{size: 4}
	if dtype == "BF16" {
		v.size = 2
	}
	for i := range v.encoded {
		p := (float64(i) + 0.5) / float64(len(v.encoded))
		u := math.Float32bits(float32(mean + std*math.Sqrt2*math.Erfinv(2*p-1)))
		if dtype == "BF16" { // the upper half, rounded to nearest even
			u = (u + 0x7FFF + u>>16&1) >> 16
		}
		binary.LittleEndian.PutUint32(v.encoded[i][:], u)
	}
	return v
}

// write writes n elements. It fills as many chunks at a time as there are
// buffers, in parallel, and writes them in their order.
func (v *values) write(ctx context.Context, w io.Writer, n int64, stream uint64, buffers [][]byte) error {
	for first := int64(0); first*chunk < n; first += int64(len(buffers)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var filled sync.WaitGroup
		batch := min(int64(len(buffers)), (n+chunk-1)/chunk-first)
		for i := range batch {
			filled.Go(func() {
				number := first + i
				buffers[i] = v.fill(buffers[i][:0], min(chunk, n-number*chunk), stream, uint64(number))
			})
		}
		filled.Wait()
		for _, b := range buffers[:batch] {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill appends n elements of one chunk to b.
func (v *values) fill(b []byte, n int64, stream, number uint64) []byte {
	random := rand.NewPCG(stream, number)
	var word uint64
	for i := range n {
		if i%4 == 0 {
			word = random.Uint64()
		}
		b = append(b, v.encoded[word&0xFFFF][:v.size]...)
		word >>= 16
	}
	return b
}
