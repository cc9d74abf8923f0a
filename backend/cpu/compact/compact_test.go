package compact

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"emily/backend/cpu/kernel"
)

// normal returns a matrix of normally distributed bf16 weights.
func normal(seed uint64, n, k int) Matrix {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n*k)
	for i := range x {
		x[i] = float32(rng.NormFloat64()) / 32
	}
	data := make([]byte, 2*n*k+1)[1:] // unaligned
	kernel.Best().BFloat16.Narrow(data, x)
	return Matrix{Source: "abc", Name: "layers.0/../weight", N: n, K: k, Data: data}
}

func newStore(t *testing.T) *Store {
	s := NewStore(filepath.Join(t.TempDir(), "packed"))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func write(t *testing.T, s *Store, m Matrix, kind Kind) int64 {
	t.Helper()
	size, err := s.Write(context.Background(), m, kind)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// checkExact fails unless the stored form has the bits of the matrix.
func checkExact(t *testing.T, s *Store, m Matrix) *kernel.Compact {
	t.Helper()
	w, err := s.OpenExact(m)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2*m.K)
	for j := range m.N {
		kernel.Best().ExpandRows(got, w, j, 1, 0, m.K)
		if want := m.Data[2*j*m.K:][:2*m.K]; !bytes.Equal(got, want) {
			t.Fatalf("row %d: got % x, want % x", j, got, want)
		}
	}
	return w
}

func TestExact(t *testing.T) {
	for _, shape := range [][2]int{{1, 64}, {7, 100}, {300, 576}, {33, 2048}, {0, 8}, {8, 0}} {
		m := normal(7, shape[0], shape[1])
		s := newStore(t)
		size := write(t, s, m, Exact)
		w := checkExact(t, s, m)
		info, err := os.Stat(s.path(m, Exact))
		if err != nil || info.Size() != size {
			t.Errorf("%v: Write returned %d bytes, the file has %v (%v)", shape, size, info.Size(), err)
		}
		if shape[1] == 2048 && (len(w.Escapes) == 0 || float64(size) > 1.52*float64(m.N*m.K)+headerSize+64) {
			t.Errorf("%v: %d bytes, %d escapes", shape, size, len(w.Escapes)/kernel.EscapeBytes)
		}
	}
}

func TestIncompressible(t *testing.T) {
	m := normal(1, 8, 64)
	for i := range m.Data {
		m.Data[i] = byte(rand.Uint32())
	}
	s := newStore(t)
	if size := write(t, s, m, Exact); size != 0 {
		t.Errorf("a matrix of random bits became %d bytes", size)
	}
	if _, err := s.OpenExact(m); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening what was not packed: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(s.path(m, Exact)))
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// TestScreen compares products with the screen and their bounds with products
// in f32 in three orders.
func TestScreen(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := normal(5, 200, 320)
	put := func(j, p int, v float32) {
		binary.LittleEndian.PutUint16(m.Data[2*(j*m.K+p):], uint16(math.Float32bits(v)>>16))
	}
	for p := range m.K { // an even row, a row of zeros, subnormal ones, one large weight, an infinite one
		put(0, p, 1)
		put(1, p, 0)
		put(2, p, math.Float32frombits(uint32(p)<<16))
	}
	put(3, 9, 1e6)
	put(4, 5, float32(math.Inf(1)))
	s := newStore(t)
	write(t, s, m, Screen)
	q, err := s.OpenScreen(m)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		x, norm := make([]float32, m.K), 0.
		for p := range x {
			x[p] = float32(rng.NormFloat64() * math.Exp(3*rng.NormFloat64()))
			norm += float64(x[p]) * float64(x[p])
		}
		norm = math.Sqrt(norm)
		near := make([]float32, m.N)
		kernel.Best().GemvInt8(near, x, q.Rows)
		orders := make([][]float32, 0, 3)
		for _, set := range kernel.All() {
			y := make([]float32, m.N)
			set.BFloat16.Gemv(y, m.N, x, m.K, m.Data, m.K, 1, m.N, m.K)
			orders = append(orders, y)
		}
		for j := range m.N {
			bound := float64(q.Bounds[j]) * norm
			for _, y := range orders {
				if diff := math.Abs(float64(q.Scales[j]*near[j]) - float64(y[j])); diff > bound {
					t.Fatalf("row %d: %g and %g differ by %g, more than %g", j, q.Scales[j]*near[j], y[j], diff, bound)
				}
			}
			if j > 4 && bound > 0.02*norm*math.Sqrt(float64(m.K))/32 {
				t.Fatalf("row %d: the bound %g is loose", j, bound)
			}
		}
	}
	if !math.IsInf(float64(q.Bounds[4]), 1) {
		t.Errorf("a row with Inf has the bound %g", q.Bounds[4])
	}
}

// TestDamaged changes every part of a file: none may be taken for good.
func TestDamaged(t *testing.T) {
	m := normal(9, 40, 320)
	for _, kind := range []Kind{Exact, Screen} {
		s := newStore(t)
		write(t, s, m, kind)
		open := func() error {
			if kind == Exact {
				_, err := s.OpenExact(m)
				return err
			}
			_, err := s.OpenScreen(m)
			return err
		}
		path := s.path(m, kind)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, 9, 17, 33, 45, 57, 100, 126, headerSize, len(good) / 2, len(good) - 1} {
			bad := bytes.Clone(good)
			bad[at] ^= 4
			replace(t, path, bad)
			if open() == nil {
				t.Errorf("%d: a file with byte %d changed is opened", kind, at)
			}
		}
		for _, bad := range [][]byte{nil, good[:50], good[:headerSize], good[:len(good)-1], append(bytes.Clone(good), 0)} {
			replace(t, path, bad)
			if open() == nil {
				t.Errorf("%d: a file of %d bytes is opened, want %d", kind, len(bad), len(good))
			}
		}
		other := m
		other.N, other.K = m.K, m.N
		replace(t, path, good)
		if _, err := s.OpenExact(other); err == nil {
			t.Error("a file of another shape is opened")
		}
		write(t, s, m, kind) // over the old one
		if err := open(); err != nil {
			t.Error(err)
		}
	}
}

// replace writes a file anew, since the old one may be mapped.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	os.Remove(path)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestHostileSideList gives lists with right checksums that lead outside.
func TestHostileSideList(t *testing.T) {
	m := normal(9, 64, 2048)
	s := newStore(t)
	write(t, s, m, Exact)
	good, err := os.ReadFile(s.path(m, Exact))
	if err != nil {
		t.Fatal(err)
	}
	w, err := readExact(good, m.N, m.K)
	if err != nil || len(w.Escapes) < 2*kernel.EscapeBytes {
		t.Fatalf("%v, %d bytes of escapes", err, len(w.Escapes))
	}
	first := len(good) - len(w.Escapes) - len(w.First)
	for _, at := range []int{first, first + 7, first + len(w.First) - 4, len(good) - 7, len(good) - 5, len(good) - 1, len(good) - 2} {
		bad := bytes.Clone(good)
		bad[at] ^= 0x41
		h := header{kind: Exact, n: m.N, k: m.K, escapes: len(w.Escapes) / kernel.EscapeBytes, exponents: w.Exponents}
		h.body = crc(bad[headerSize:])
		copy(bad, h.encode())
		if _, err := readExact(bad, m.N, m.K); !errors.Is(err, errDamaged) {
			t.Errorf("byte %d of the side list changed: %v", at-first, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s, m := newStore(t), normal(1, 10, 64)
	if _, err := s.Write(ctx, m, Exact); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Write: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(s.path(m, Exact)))
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// TestProcesses has several processes, each with goroutines, write and read one store.
func TestProcesses(t *testing.T) {
	const variable = "EMILY_TEST_STORE"
	if dir := os.Getenv(variable); dir != "" {
		s := NewStore(dir)
		defer s.Close()
		for i := range 20 {
			m := normal(uint64(i%3), 50, 320)
			m.Name = strconv.Itoa(i % 3)
			write(t, s, m, Exact)
			checkExact(t, s, m)
		}
		return
	}
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestProcesses$")
			cmd.Env = append(os.Environ(), variable+"="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	files, err := os.ReadDir(filepath.Join(dir, "abc"))
	if err != nil || len(files) != 3 {
		t.Errorf("the store holds %v, %v", files, err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".exact") {
			t.Errorf("%s is left", f.Name())
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	m := normal(1, 4096, 1024)
	for name, encode := range map[string]func(context.Context, io.Writer, []byte, int, int) (header, error){"exact": encodeExact, "screen": encodeScreen} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(m.Data)))
			for b.Loop() {
				if _, err := encode(context.Background(), io.Discard, m.Data, m.N, m.K); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
