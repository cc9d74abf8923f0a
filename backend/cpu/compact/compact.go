// Package compact makes and keeps forms of bf16 weights that take fewer bytes:
// an exact one of 12 bits a weight, and a screen of 8 bits, whose products are
// within a bound of the exact ones. A Store holds them as files, one for each
// matrix, so that a start maps what an earlier one has made.
//
// A file is a header, the rows, and two tables. All numbers are little endian.
//
//	0    magic, which names the version of the format
//	8    kind: 1 exact, 2 screen                               u32
//	16   rows n, columns k, number of escapes                   3 x u64
//	40   exponents of the exact form                            16 x u8
//	56   CRC-32C of all that follows the header                 u32
//	124  CRC-32C of the 124 bytes before                        u32
//	128  rows: blocks of kernel.Compact, or n x k signed bytes; zeros up to a multiple of 64 bytes
//	     exact: kernel.Compact's First, then its Escapes
//	     screen: n scales, n bounds                             f32
package compact

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"unsafe"

	"emily/backend/cpu/kernel"
)

// Kind is a form of weights.
type Kind uint32

// The forms.
const (
	Exact  Kind = 1
	Screen Kind = 2
)

const (
	magic      = "emilypk1"
	headerSize = 128
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is what the first bytes of a file state.
type header struct {
	kind      Kind
	n, k      int
	escapes   int
	exponents [16]byte
	body      uint32 // checksum
}

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func (h header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], uint32(h.kind))
	for i, v := range []int{h.n, h.k, h.escapes} {
		binary.LittleEndian.PutUint64(b[16+8*i:], uint64(v))
	}
	copy(b[40:], h.exponents[:])
	binary.LittleEndian.PutUint32(b[56:], h.body)
	binary.LittleEndian.PutUint32(b[headerSize-4:], crc(b[:headerSize-4]))
	return b
}

var errDamaged = errors.New("the file is damaged or of another version")

// decode reads a header; the file is to be of this kind and shape.
func (h *header) decode(image []byte, kind Kind, n, k int) error {
	if len(image) < headerSize || string(image[:8]) != magic {
		return errDamaged
	}
	if crc(image[:headerSize-4]) != binary.LittleEndian.Uint32(image[headerSize-4:]) {
		return errDamaged
	}
	escapes := binary.LittleEndian.Uint64(image[32:])
	*h = header{kind: kind, n: n, k: k, body: binary.LittleEndian.Uint32(image[56:])}
	if binary.LittleEndian.Uint32(image[8:]) != uint32(kind) ||
		binary.LittleEndian.Uint64(image[16:]) != uint64(n) || binary.LittleEndian.Uint64(image[24:]) != uint64(k) ||
		escapes > uint64(len(image)/kernel.EscapeBytes) {
		return errDamaged
	}
	h.escapes = int(escapes)
	copy(h.exponents[:], image[40:])
	if int64(len(image)) != h.size() || crc(image[headerSize:]) != h.body {
		return errDamaged
	}
	return nil
}

// rowBytes is the size of a row, padded the padding after the last row.
func (h header) rowBytes() int {
	if h.kind == Screen {
		return h.k
	}
	return kernel.CompactRowBytes(h.k)
}

func (h header) rows() int64    { return int64(h.n) * int64(h.rowBytes()) }
func (h header) padding() int64 { return -h.rows() & 63 }

func (h header) size() int64 {
	s := headerSize + h.rows() + h.padding()
	if h.kind == Screen {
		return s + 8*int64(h.n)
	}
	return s + 4*(int64(h.n)+1) + kernel.EscapeBytes*int64(h.escapes)
}

// Screened is a matrix [N,K] of weights rounded to 8 bits. For a row j, with
// y = Scales[j]·(x · row j in f32), the product of x with the exact row, summed
// in f32 in any order, is within Bounds[j]·‖x‖ of y.
type Screened struct {
	N, K   int
	Rows   []byte // signed
	Scales []float32
	Bounds []float32
}

// readExact checks the image of a file and returns the matrix in it.
func readExact(image []byte, n, k int) (*kernel.Compact, error) {
	var h header
	if err := h.decode(image, Exact, n, k); err != nil {
		return nil, err
	}
	tables := image[headerSize+h.rows()+h.padding():]
	w := &kernel.Compact{
		N: n, K: k, Exponents: h.exponents,
		Blocks:  image[headerSize:][:h.rows():h.rows()],
		First:   tables[: 4*(n+1) : 4*(n+1)],
		Escapes: tables[4*(n+1):],
	}
	if !w.Check() {
		return nil, errDamaged
	}
	return w, nil
}

// readScreen checks the image of a file and returns the matrix in it.
func readScreen(image []byte, n, k int) (*Screened, error) {
	var h header
	if err := h.decode(image, Screen, n, k); err != nil {
		return nil, err
	}
	tables := image[headerSize+h.rows()+h.padding():]
	return &Screened{
		N: n, K: k,
		Rows:   image[headerSize:][:h.rows():h.rows()],
		Scales: floats(tables[:4*n]),
		Bounds: floats(tables[4*n:]),
	}, nil
}

// floats views bytes at a multiple of 4 in memory as f32.
func floats(b []byte) []float32 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// up returns an f32 that is not smaller than v.
func up(v float64) float32 {
	f := float32(v)
	if float64(f) < v {
		f = math.Nextafter32(f, float32(math.Inf(1)))
	}
	return f
}
