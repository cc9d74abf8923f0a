package compact

import (
	"context"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"emily/backend/cpu/kernel"
)

// maxEscapes is the share of escapes above which the exact form is no gain.
const maxEscapes = 1. / 256

var errIncompressible = errors.New("the exponents of the matrix take too many values")

// body writes what follows the header and keeps its checksum.
type body struct {
	w   io.Writer
	crc hash.Hash32
	buf []byte
	ctx context.Context
}

// batch is how many bytes are gathered before they are written.
const batch = 1 << 20

func newBody(ctx context.Context, w io.Writer) *body {
	return &body{w: w, crc: crc32.New(castagnoli), ctx: ctx}
}

// next returns room for n bytes, which are written by a later call of flush.
func (b *body) next(n int) ([]byte, error) {
	if len(b.buf)+n > batch {
		if err := b.flush(); err != nil {
			return nil, err
		}
	}
	b.buf = slices.Grow(b.buf, n)
	at := len(b.buf)
	b.buf = b.buf[:at+n]
	clear(b.buf[at:])
	return b.buf[at:], nil
}

func (b *body) flush() error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	b.crc.Write(b.buf)
	_, err := b.w.Write(b.buf)
	b.buf = b.buf[:0]
	return err
}

// write is next and copy for a piece of any size.
func (b *body) write(data []byte) error {
	for part := range slices.Chunk(data, batch) {
		dst, err := b.next(len(part))
		if err != nil {
			return err
		}
		copy(dst, part)
	}
	return nil
}

// encodeExact writes the exact form of bf16 rows [n,k].
func encodeExact(ctx context.Context, w io.Writer, data []byte, n, k int) (header, error) {
	h := header{kind: Exact, n: n, k: k}
	index, escapes := chooseExponents(data)
	if float64(escapes) > maxEscapes*float64(n*k) {
		return h, errIncompressible
	}
	for e, i := range index {
		if i != kernel.Escape {
			h.exponents[i] = byte(e)
		}
	}
	b := newBody(ctx, w)
	first, list := make([]byte, 4, 4*(n+1)), make([]byte, 0, kernel.EscapeBytes*escapes)
	for j := range n {
		row, err := b.next(h.rowBytes())
		if err != nil {
			return h, err
		}
		list = kernel.EncodeRow(row, data[2*j*k:2*(j+1)*k], &index, list)
		first = binary.LittleEndian.AppendUint32(first, uint32(len(list)/kernel.EscapeBytes))
	}
	h.escapes = len(list) / kernel.EscapeBytes
	err := errors.Join(b.write(make([]byte, h.padding())), b.write(first), b.write(list), b.flush())
	h.body = b.crc.Sum32()
	return h, err
}

// chooseExponents returns the places of the 15 most frequent exponents of bf16
// numbers in a table, kernel.Escape for the others, and how many numbers have one of those.
func chooseExponents(data []byte) (index [256]byte, escapes int) {
	var counts, odd [256]int // of every other number: one need not wait for the last
	for ; len(data) >= 4; data = data[4:] {
		counts[data[1]<<1|data[0]>>7]++
		odd[data[3]<<1|data[2]>>7]++
	}
	if len(data) > 0 {
		odd[data[1]<<1|data[0]>>7]++
	}
	for e, n := range odd {
		counts[e] += n
	}
	order := make([]int, 256)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return counts[b] - counts[a] })
	for i, e := range order {
		index[e] = byte(min(i, kernel.Escape))
		if i >= kernel.Escape {
			escapes += counts[e]
		}
	}
	return index, escapes
}

// encodeScreen writes the 8-bit form of bf16 rows [n,k].
func encodeScreen(ctx context.Context, w io.Writer, data []byte, n, k int) (header, error) {
	h := header{kind: Screen, n: n, k: k}
	b := newBody(ctx, w)
	scales, bounds := make([]byte, 0, 4*n), make([]byte, 0, 4*n)
	for j := range n {
		row, err := b.next(k)
		if err != nil {
			return h, err
		}
		scale, bound := screenRow(row, data[2*j*k:2*(j+1)*k])
		scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(scale))
		bounds = binary.LittleEndian.AppendUint32(bounds, math.Float32bits(bound))
	}
	err := errors.Join(b.write(make([]byte, h.padding())), b.write(scales), b.write(bounds), b.flush())
	h.body = b.crc.Sum32()
	return h, err
}

// screenRow rounds a row w of bf16 weights to q = w/scale and returns the
// bound of Screened.
//
// With u = 2^-24 and γ = (k+4)u/(1-(k+4)u), a sum of k products in f32, in any
// order and with one more rounding, is within γ·Σ|a·x| <= γ‖a‖‖x‖ of the exact
// one (Higham 2002, section 3.1; Cauchy-Schwarz). So
//
//	|y - fl(w·x)| <= |(scale·q - w)·x| + γ‖scale·q‖‖x‖ + γ‖w‖‖x‖ <= (‖scale·q - w‖ + γ(‖scale·q‖ + ‖w‖))·‖x‖.
func screenRow(q, row []byte) (scale, bound float32) {
	row = row[:2*len(q)]
	at := func(p int) float64 {
		return float64(math.Float32frombits(uint32(row[2*p])<<16 | uint32(row[2*p+1])<<24))
	}
	var largest uint16 // the bits of absolute values are in the order of the values
	for p := range q {
		largest = max(largest, uint16(row[2*p])|uint16(row[2*p+1]&0x7f)<<8)
	}
	if largest >= 0x7f80 { // NaN or Inf: no bound
		return 0, float32(math.Inf(1))
	}
	scale = math.Float32frombits(uint32(largest)<<16) / 127
	inverse := 0.
	if scale > 0 {
		inverse = 1 / float64(scale)
	}
	var difference, rounded, exact float64 // squares of norms
	for p := range q {
		v := at(p)
		r := int(math.RoundToEven(v * inverse)) // at most 127: subnormal scales have 9 bits and more
		q[p] = byte(r)
		s := float64(r) * float64(scale)
		difference += (s - v) * (s - v)
		rounded += s * s
		exact += v * v
	}
	g := float64(len(q)+4) * 0x1p-24
	if g >= 1 {
		return scale, float32(math.Inf(1))
	}
	g /= 1 - g
	const slack = 1 + 1e-6 // for the roundings here and where the bound is used
	return scale, up(slack * (math.Sqrt(difference) + g*(math.Sqrt(rounded)+math.Sqrt(exact))))
}
