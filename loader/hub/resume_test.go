package hub

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	tests := []struct {
		name   string
		damage func(*testing.T, string)
	}{
		{"nothing", func(*testing.T, string) {}},
		{"zeroed data", change(part, func(b []byte) []byte { return make([]byte, len(b)) })},
		{"one bit", change(part, func(b []byte) []byte { b[1000] ^= 1; return b })},
		{"cut data", change(part, func(b []byte) []byte { return b[:100_000] })},
		{"no data", change(part, func([]byte) []byte { return nil })},
		{"longer data", change(part, func(b []byte) []byte { return append(b, make([]byte, 1<<21)...) })},
		{"torn entry", change(log, func(b []byte) []byte { return b[:len(b)-5] })},
		{"bad entry", change(log, func(b []byte) []byte { b[header+3] ^= 1; return b })},
		{"repeated entries", change(log, func(b []byte) []byte { return append(b, b[header:]...) })},
		{"other pieces", change(log, func(b []byte) []byte {
			return append([]byte("emily journal 1: 9 bytes in pieces of 3\n"), b[header:]...)
		})},
		{"garbage", change(log, func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, 1<<20) })},
		{"empty journal", change(log, func([]byte) []byte { return nil })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := hubtest.New(t)
			s.Add("org/name", sample)
			cache := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			s.Sent = func(total int64) {
				if total > 600_000 {
					cancel()
				}
			}
			c := client(t, s, cache)
			blob := blobFile(t, s, c, bigFile, "")
			pull(ctx, c, "org/name")
			s.Sent = nil
			if _, err := os.Stat(blob + log); err != nil {
				t.Fatal("nothing was left:", err)
			}
			tt.damage(t, blob)
			r, err := pull(t.Context(), client(t, s, cache), "org/name")
			if err != nil {
				t.Fatal(err)
			}
			checkFiles(t, r, sample)
			checkTidy(t, r.client.cache, "org/name")
		})
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
