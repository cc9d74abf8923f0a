package kernel

import "encoding/binary"

// The layout of compact weights: blocks of 64 bf16 weights in 96 bytes.
const (
	// BlockWeights is the number of weights of a block.
	BlockWeights = 64
	// BlockBytes is the size of a block: a byte of sign and mantissa for each
	// weight, then half a byte for its index in the table of exponents.
	BlockBytes = 96
	// Escape is the index of weights whose exponent is not in the table. The block
	// says +0 there; the value stands in a side list.
	Escape = 15
	// EscapeBytes is the size of an entry of the side list: the column as 32 bits, the value
	// as 16 bits of bf16, and 16 bits that say where in a block the column is (see pairSlot).
	EscapeBytes = 8
)

// Compact is a matrix [N,K] of bf16 weights at 12 bits each, the same values
// bit for bit. All numbers are little endian.
type Compact struct {
	N, K int
	// Exponents are the 15 exponents that indices stand for; the last is 0.
	Exponents [16]byte
	// Blocks holds N rows of ceil(K/64) blocks. Weights past K are +0.
	Blocks []byte
	// First holds N+1 numbers of 32 bits: row j's escapes are First[j] to First[j+1]-1.
	First []byte
	// Escapes is the side list, sorted by row, then by column.
	Escapes []byte
}

// blockColumn returns the column within a block whose sign and mantissa stand
// at byte b. The order lets the vector loops interleave the halves of each
// bf16 within 128-bit lanes: byte 16l+8h+2i+o holds column 32h+16o+4l+i.
func blockColumn(b int) int {
	return b>>3&1<<5 | b&1<<4 | b>>4<<2 | b>>1&3
}

// blockColumns holds blockColumn of each byte.
var blockColumns = func() (columns [BlockWeights]uint8) {
	for b := range columns {
		columns[b] = uint8(blockColumn(b)) & (BlockWeights - 1)
	}
	return columns
}()

// pairSlot returns where a column of a block stands, in bytes, among the
// halves that are interleaved: byte b of a block goes to 2b within 128-bit
// lanes, those of the lower halves first.
func pairSlot(column int) int {
	return column>>5<<6 | column>>2&3<<4 | column&3<<2 | column>>4&1<<1
}

// rowBytes is the distance of two rows of blocks.
func (w *Compact) rowBytes() int { return (w.K + BlockWeights - 1) / BlockWeights * BlockBytes }

// CompactRowBytes returns the size of the blocks of one row of k weights.
func CompactRowBytes(k int) int { return (&Compact{K: k}).rowBytes() }

// EncodeRow writes the blocks of a row of k bf16 weights to dst and appends
// the weights that have no place there to escapes. index gives the place of
// each exponent in the table, Escape for the others.
func EncodeRow(dst, row []byte, index *[256]byte, escapes []byte) []byte {
	for from := 0; len(row) > 0; from += BlockWeights {
		var plain [2 * BlockWeights]byte
		n := copy(plain[:], row) / 2
		block := (*[BlockBytes]byte)(dst)
		var places [BlockWeights]byte // of each column's exponent
		escaped := n < BlockWeights
		for c := range places {
			places[c] = index[plain[2*c+1]<<1|plain[2*c]>>7]
			escaped = escaped || places[c] == Escape
		}
		if escaped {
			escapes = takeEscapes(&plain, &places, from, n, escapes)
		}
		for b := range 32 {
			c, d := int(blockColumns[b]&63), int(blockColumns[32+b]&63)
			block[b] = plain[2*c+1]&0x80 | plain[2*c]&0x7f
			block[32+b] = plain[2*d+1]&0x80 | plain[2*d]&0x7f
			block[BlockWeights+b] = places[c] | places[d]<<4
		}
		row, dst = row[2*n:], dst[BlockBytes:]
	}
	return escapes
}

// takeEscapes moves the escapes among the first n columns of a block to the
// side list, and fills what is behind them.
func takeEscapes(plain *[2 * BlockWeights]byte, places *[BlockWeights]byte, from, n int, escapes []byte) []byte {
	for c := range places {
		switch {
		case c >= n:
			places[c] = Escape
		case places[c] == Escape:
			escapes = binary.LittleEndian.AppendUint32(escapes, uint32(from+c))
			escapes = append(escapes, plain[2*c], plain[2*c+1])
			escapes = binary.LittleEndian.AppendUint16(escapes, uint16(pairSlot(c)))
			plain[2*c], plain[2*c+1] = 0, 0
		}
	}
	return escapes
}

// tables are the halves of the exponents, as they stand in the two bytes of a
// bf16: first the upper 7 bits of each, then the last bits.
func (w *Compact) tables() (t [32]byte) {
	for i, e := range w.Exponents[:Escape] {
		t[i], t[16+i] = e>>1, e<<7
	}
	return t
}

// Check reports whether the side list is as its comments say: with a list
// that is not, the loops would read or write outside of the matrix.
func (w *Compact) Check() bool {
	if w.N < 0 || w.K < 0 || len(w.Blocks) != w.N*w.rowBytes() || len(w.First) != 4*(w.N+1) || binary.LittleEndian.Uint32(w.First) != 0 {
		return false
	}
	before := 0
	for j := range w.N {
		end := int(binary.LittleEndian.Uint32(w.First[4*j+4:]))
		if end < before || end > len(w.Escapes)/EscapeBytes {
			return false
		}
		last := -1
		for e := w.Escapes[before*EscapeBytes : end*EscapeBytes]; len(e) > 0; e = e[EscapeBytes:] {
			column := int(binary.LittleEndian.Uint32(e))
			if column <= last || column >= w.K || int(binary.LittleEndian.Uint16(e[6:])) != pairSlot(column%BlockWeights) {
				return false
			}
			last = column
		}
		before = end
	}
	return before*EscapeBytes == len(w.Escapes)
}

// escapes returns the side list of row j.
func (w *Compact) escapes(j int) []byte {
	first, end := binary.LittleEndian.Uint32(w.First[4*j:]), binary.LittleEndian.Uint32(w.First[4*j+4:])
	return w.Escapes[int(first)*EscapeBytes : int(end)*EscapeBytes]
}

// expand converts blocks to bf16.
func expand(dst, blocks []byte, tables *[32]byte) {
	for len(blocks) > 0 {
		for b := range BlockWeights {
			i := blocks[BlockWeights+b%32] >> (b / 32 * 4) & 15
			v := blocks[b]
			at := 2 * blockColumn(b)
			dst[at], dst[at+1] = tables[16+i]|v&0x7f, tables[i]|v&0x80
		}
		blocks, dst = blocks[BlockBytes:], dst[2*BlockWeights:]
	}
}

func (s *Set) expandRow(dst []byte, w *Compact, tables *[32]byte, j, from int) {
	n := len(dst) / 2
	blocks := w.Blocks[j*w.rowBytes()+from/BlockWeights*BlockBytes:]
	whole := n / BlockWeights
	s.expand(dst[:2*whole*BlockWeights], blocks[:whole*BlockBytes], tables)
	if rest := n - whole*BlockWeights; rest > 0 {
		var last [2 * BlockWeights]byte
		s.expand(last[:], blocks[whole*BlockBytes:][:BlockBytes], tables)
		copy(dst[2*whole*BlockWeights:], last[:2*rest])
	}
	for e := w.escapes(j); len(e) > 0; e = e[EscapeBytes:] {
		column := int(binary.LittleEndian.Uint32(e)) - from
		if column >= 0 && column < n {
			copy(dst[2*column:2*column+2], e[4:])
		}
	}
}

// expandTogether is how many rows are expanded before they are multiplied: in
// multiples of what Gemv takes together, as many as the first-level cache holds.
func expandTogether(k int) int { return max(4, (16<<10)/(2*max(k, 1))&^3) }

// CompactScratch is the size of the scratch memory of GemvCompact.
func (s *Set) CompactScratch(k int) int { return 2 * k * expandTogether(k) }

// CompactPays reports whether these loops read compact weights faster than
// plain ones. Others are for results, not for speed.
func (s *Set) CompactPays() bool { return s.gemvCompact != nil }

// GemvCompact sets y[r,i] = Σ_p x[r,p]·w[j+i,p] for r < rows (1 to 16) and i < n: the
// same bits as BFloat16.Gemv of the plain weights gives.
func (s *Set) GemvCompact(y []float32, ldy int, x []float32, ldx int, w *Compact, j, rows, n int, scratch []byte) {
	if rows == 0 || n == 0 {
		return
	}
	k := w.K
	tables := w.tables()
	if rows == 1 && s.gemvCompact != nil && k > 0 && k%BlockWeights == 0 {
		s.gemvCompact(y[:n], x[:k], w.Blocks[j*w.rowBytes():][:n*w.rowBytes()], w.First[4*j:4*(j+n+1)], w.Escapes, &tables)
		return
	}
	for i := 0; i < n; {
		count := min(n-i, expandTogether(k))
		for r := range count {
			s.expandRow(scratch[2*r*k:2*(r+1)*k], w, &tables, j+i+r, 0)
		}
		s.BFloat16.Gemv(y[i:], ldy, x, ldx, scratch, k, rows, count, k)
		i += count
	}
}

// ExpandRows writes columns from to from+k-1 of rows j to j+n-1 to dst as bf16 [n,k].
// from is a multiple of 64.
func (s *Set) ExpandRows(dst []byte, w *Compact, j, n, from, k int) {
	tables := w.tables()
	for r := range n {
		s.expandRow(dst[2*r*k:2*(r+1)*k], w, &tables, j+r, from)
	}
}

// dotInt8 is the portable Set.GemvInt8.
func dotInt8(y, x []float32, w []byte) {
	for j := range y {
		row := w[j*len(x):][:len(x)]
		var s0, s1 float32
		p := 0
		for ; p+1 < len(x); p += 2 {
			s0 += x[p] * float32(int8(row[p]))
			s1 += x[p+1] * float32(int8(row[p+1]))
		}
		for ; p < len(x); p++ {
			s0 += x[p] * float32(int8(row[p]))
		}
		y[j] = s0 + s1
	}
}
