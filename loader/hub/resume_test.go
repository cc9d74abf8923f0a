package hub

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emily/loader/hub/hubtest"
)

const bigFile = "model.safetensors"

// blobFile returns the path of a blob with this suffix, and makes its folder.
func blobFile(t *testing.T, s *hubtest.Server, c *Client, file, suffix string) string {
	t.Helper()
	r, err := c.Repo(t.Context(), "org/name", "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.fact(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(c.cache.Repo("org/name"), blobsDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, b.etag+suffix)
}

// TestAdopt continues what Python's huggingface_hub left.
func TestAdopt(t *testing.T) {
	want := sample[bigFile]
	size := int64(len(want))
	piece := quick.piece
	tests := []struct {
		name, suffix, left string
		saved              int64 // bytes that are not transferred again
	}{
		{"prefix", ".incomplete", want[:700_001], 700_001 / piece * piece},
		{"prefix of a newer version", ".0123abcd.incomplete", want[:300_000], 300_000 / piece * piece},
		{"all", ".incomplete", want, size},
		{"short", ".incomplete", want[:100], 0},
		{"longer than the file", ".incomplete", want + "x", 0},
		// Pieces out of order leave holes; the hash finds them.
		{"sparse", ".incomplete", strings.Repeat("\x00", 500_000) + want[500_000:], 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := hubtest.New(t)
			s.Add("org/name", sample)
			c := client(t, s, t.TempDir())
			path := blobFile(t, s, c, bigFile, tt.suffix)
			if err := os.WriteFile(path, []byte(tt.left), 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := pull(t.Context(), c, "org/name")
			if err != nil {
				t.Fatal(err)
			}
			checkFiles(t, r, sample)
			if sent := s.Bytes(bigFile); sent != size-tt.saved {
				t.Errorf("%d bytes were sent, want %d", sent, size-tt.saved)
			}
		})
	}
}

// TestDamagedPartial changes what an interrupted transfer left, as a crash of
// the system may.
func TestDamagedPartial(t *testing.T) {
	change := func(path string, f func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, blob string) {
			data, err := os.ReadFile(blob + path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(blob+path, f(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	const part, log = ".emily-part", ".emily-journal"
	header := len(journalHeader(int64(len(sample[bigFile])), quick.piece))
	const all = 1 << 20
	tests := []struct {
		name   string
		damage func(*testing.T, string)
		lost   int64 // pieces that may be transferred again
	}{
		{"nothing", func(*testing.T, string) {}, 0},
		{"zeroed data", change(part, func(b []byte) []byte { return make([]byte, len(b)) }), all},
		{"one bit", change(part, func(b []byte) []byte { b[1000] ^= 1; return b }), 1},
		{"cut data", change(part, func(b []byte) []byte { return b[:100_000] }), all},
		{"no data", change(part, func([]byte) []byte { return nil }), all},
		{"longer data", change(part, func(b []byte) []byte { return append(b, make([]byte, 1<<21)...) }), 0},
		{"torn entry", change(log, func(b []byte) []byte { return b[:len(b)-5] }), 1},
		{"bad entry", change(log, func(b []byte) []byte { b[header+3] ^= 1; return b }), all},
		{"repeated entries", change(log, func(b []byte) []byte { return append(b, b[header:]...) }), 0},
		{"other pieces", change(log, func(b []byte) []byte {
			return append([]byte("emily journal 1: 9 bytes in pieces of 3\n"), b[header:]...)
		}), all},
		{"garbage", change(log, func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, 1<<20) }), all},
		{"empty journal", change(log, func([]byte) []byte { return nil }), all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := hubtest.New(t)
			s.Narrow()
			s.Add("org/name", sample)
			cache := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			s.OnSent(func(total int64) {
				if total > 900_000 {
					cancel()
				}
			})
			c := client(t, s, cache)
			blob := blobFile(t, s, c, bigFile, "")
			pull(ctx, c, "org/name")
			info, err := os.Stat(blob + log)
			if err != nil {
				t.Fatal("nothing was left:", err)
			}
			left := (info.Size() - int64(header)) / entrySize * quick.piece
			before := s.Bytes(bigFile)
			tt.damage(t, blob)
			r, err := pull(t.Context(), client(t, s, cache), "org/name")
			if err != nil {
				t.Fatal(err)
			}
			checkFiles(t, r, sample)
			checkTidy(t, r.client.cache, "org/name")
			sent, size := s.Bytes(bigFile)-before, int64(len(sample[bigFile]))
			// A span more, for a last piece that is shorter than left says and for
			// what the hub was still sending to the interrupted transfer.
			if most := min(max(size-left, 0)+tt.lost*quick.piece, size) + quick.span; sent > most {
				t.Errorf("%d bytes were sent of %d, of which %d were there", sent, size, left)
			}
		})
	}
}

// TestKilledBeforeTheJournalIsRemoved has a complete blob whose journal is left.
func TestKilledBeforeTheJournalIsRemoved(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	c := client(t, s, t.TempDir())
	blob := blobFile(t, s, c, bigFile, "")
	for path, text := range map[string]string{blob: sample[bigFile], blob + ".emily-journal": "emily journal 1"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, r, sample)
	checkTidy(t, c.cache, "org/name")
	if s.Bytes(bigFile) > 0 {
		t.Error("the blob was transferred again")
	}
}

// TestNoRanges has a storage that sends whole files only: each once.
func TestNoRanges(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	s.OnRequest(func(hubtest.Request, int) *hubtest.Fault { return &hubtest.Fault{Whole: true} })
	s.OnSent(func(int64) { time.Sleep(time.Millisecond) })
	c := client(t, s, t.TempDir())
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, r, sample)
	if sent := s.Bytes(bigFile); sent != int64(len(sample[bigFile])) {
		t.Errorf("%d bytes were sent for %d", sent, len(sample[bigFile]))
	}
}

// TestWrongBlobIsReplaced has a blob of another size under the right name.
func TestWrongBlobIsReplaced(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	c := client(t, s, t.TempDir())
	if err := os.WriteFile(blobFile(t, s, c, bigFile, ""), []byte("short"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, r, sample)
}
