//go:build !noasm

package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// The tests of products in bf16 also run on a model of AMX, so that packing,
// configurations and addresses are tested on processors without it. The model's
// loop is that of the assembly.

func init() { models = append(models, modelledAMX()) }

func modelledAMX() *Set {
	s := generic()
	s.Name = "amx"
	s.NR = amxSide
	s.PackColPairs = packColPairs(s.NR)
	s.Float32.PackPairs = float32s.packPairs(s.NR)
	s.BFloat16.PackPairs = bfloat16s.packPairs(s.NR)
	s.Float16.PackPairs = float16s.packPairs(s.NR)
	l := amxLoops{tile: modelTile, packRows: modelPackRows}
	if cpu.X86.HasAVX512BF16 {
		l.packRows = packRowTilesAVX512
	}
	l.into(s)
	return s
}

func at(p unsafe.Pointer, offset int) unsafe.Pointer { return unsafe.Add(p, offset) }

// modelPackRows is packRowTilesAVX512.
func modelPackRows(dst *float32, stride int, w *byte, ldw, n, k int) {
	for r := range n {
		for p := range k {
			from := (*[2]float32)(at(unsafe.Pointer(w), r*ldw+8*p))
			*(*float32)(at(unsafe.Pointer(dst), r*stride+p/16*2048+p%16*4)) = pair(from[0], from[1])
		}
	}
}

// modelTile is tileAMX.
func modelTile(c *float32, ldc int, a *float32, lda, row int, b *float32, steps, groups, m, n int, accumulate int, config tileConfig) {
	var t tiles
	t.configure(config)
	rows, columns := 1+(m-1)/16, 1+(n-1)/16
	for g := range groups {
		sum := func(r, s int) unsafe.Pointer { return at(unsafe.Pointer(c), (32*g+16*r)*ldc+64*s) }
		for r := range rows {
			for s := range columns {
				if accumulate != 0 {
					t.load(2*r+s, sum(r, s), ldc)
				} else {
					t.zero(2*r + s)
				}
			}
		}
		for step := range steps {
			for s := range columns {
				t.load(6+s, at(unsafe.Pointer(b), step*16*128+64*s), 128)
			}
			for r := range rows {
				t.load(4+r, at(unsafe.Pointer(a), g*lda+step*2048+16*r*row), row)
				for s := range columns {
					t.multiply(2*r+s, 4+r, 6+s)
				}
			}
		}
		for r := range rows {
			for s := range columns {
				t.store(2*r+s, sum(r, s), ldc)
			}
		}
	}
}

// tiles are the registers of AMX; what the processor refuses panics.
type tiles [8]struct {
	rows, bytes int
	data        [16][64]byte
}

func (t *tiles) configure(c tileConfig) {
	if c[0] != 1 {
		panic(fmt.Sprintf("palette %d", c[0]))
	}
	for i, b := range c {
		reserved := i > 0 && i < 16 || i >= 32 && i < 48 || i >= 56
		if reserved && b != 0 {
			panic(fmt.Sprintf("reserved byte %d of a configuration is %d", i, b))
		}
	}
	for i := range t {
		r := &t[i]
		r.rows, r.bytes = int(c[48+i]), int(binary.LittleEndian.Uint16(c[16+2*i:]))
		if r.rows > 16 || r.bytes > 64 || (r.rows == 0) != (r.bytes == 0) {
			panic(fmt.Sprintf("tile %d of %d rows of %d bytes", i, r.rows, r.bytes))
		}
	}
}

func (t *tiles) used(i int) {
	if t[i].rows == 0 {
		panic(fmt.Sprintf("tile %d is not configured", i))
	}
}

func (t *tiles) zero(i int) {
	t.used(i)
	t[i].data = [16][64]byte{}
}

func (t *tiles) load(i int, from unsafe.Pointer, stride int) {
	t.zero(i)
	for r := range t[i].rows {
		copy(t[i].data[r][:], unsafe.Slice((*byte)(at(from, r*stride)), t[i].bytes))
	}
}

func (t *tiles) store(i int, to unsafe.Pointer, stride int) {
	t.used(i)
	for r := range t[i].rows {
		copy(unsafe.Slice((*byte)(at(to, r*stride)), t[i].bytes), t[i].data[r][:])
	}
}

// multiply is TDPBF16PS: for each sum the products of all low and those of all
// high halves add up by themselves, with one rounding each, before both are added
// to the sum; subnormals are zero.
func (t *tiles) multiply(sum, left, right int) {
	c, a, b := &t[sum], &t[left], &t[right]
	t.used(sum)
	if c.rows != a.rows || c.bytes != b.bytes || a.bytes != 4*b.rows {
		panic(fmt.Sprintf("tiles of %dx%d, %dx%d and %dx%d do not multiply", c.rows, c.bytes, a.rows, a.bytes, b.rows, b.bytes))
	}
	x, y := numbers(&a.data), numbers(&b.data)
	for m := range c.rows {
		var sums [32]float32
		for k := range b.rows {
			for i, y := range y[k][:c.bytes/2] {
				product := float64(x[m][2*k+i%2]) * float64(y) // exact
				sums[i] = normal(float32(product + float64(sums[i])))
			}
		}
		for n := range c.bytes / 4 {
			to := c.data[m][4*n:]
			before := normal(math.Float32frombits(binary.LittleEndian.Uint32(to)))
			binary.LittleEndian.PutUint32(to, math.Float32bits(normal(before+normal(sums[2*n]+sums[2*n+1]))))
		}
	}
}

// numbers are a tile's elements, subnormal ones as zero.
func numbers(tile *[16][64]byte) (x [16][32]float32) {
	for r := range x {
		for i := range x[r] {
			x[r][i] = normal(math.Float32frombits(uint32(binary.LittleEndian.Uint16(tile[r][2*i:])) << 16))
		}
	}
	return x
}

// normal returns x, or zero where it is subnormal.
func normal(x float32) float32 {
	if math.Float32bits(x)&0x7f800000 == 0 { // no exponent
		return 0
	}
	return x
}

// TestConfigure gives tiles the sizes that the multiplications of a configuration need.
func TestConfigure(t *testing.T) {
	for m := 1; m <= amxSide; m++ {
		for n := 1; n <= amxSide; n++ {
			for depth := 1; depth <= tileSide; depth++ {
				var r tiles
				r.configure(configure(m, n, depth))
				if rows, bytes := r[0].rows+r[2].rows, r[0].bytes+r[1].bytes; rows != m || bytes != 4*n || r[6].rows != depth {
					t.Fatalf("%d rows, %d columns and %d pairs: tiles of %d rows, %d bytes and %d pairs", m, n, depth, rows, bytes, r[6].rows)
				}
				for i := range 1 + (m-1)/16 {
					for j := range 1 + (n-1)/16 {
						r.multiply(2*i+j, 4+i, 6+j)
					}
				}
			}
		}
	}
}
