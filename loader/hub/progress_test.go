package hub

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"emily/loader/hub/hubtest"
)

// tally adds up what a download says of itself.
type tally struct {
	mu          sync.Mutex
	files, done int
	size, got   int64
	notes       []string
}

func (p *tally) Begin(files int, size int64) { p.add(func() { p.files += files; p.size += size }) }
func (p *tally) Start(_ string, _, h int64)  { p.add(func() { p.got += h }) }
func (p *tally) Add(_ string, bytes int64)   { p.add(func() { p.got += bytes }) }
func (p *tally) Done(string)                 { p.add(func() { p.done++ }) }
func (p *tally) Note(line string)            { p.add(func() { p.notes = append(p.notes, line) }) }

func (p *tally) add(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// TestProgress checks that what is announced and what is counted is the same
// in the end, however the download went.
func TestProgress(t *testing.T) {
	total := int64(len(sample["config.json"]) + len(sample["sub folder/1_Pooling.json"]) + len(sample[bigFile]))
	tests := []struct {
		name    string
		prepare func(t *testing.T, s *hubtest.Server, c *Client)
		note    string
	}{
		{"all", func(*testing.T, *hubtest.Server, *Client) {}, ""},
		{"adopted", func(t *testing.T, s *hubtest.Server, c *Client) {
			if err := os.WriteFile(blobFile(t, s, c, bigFile, ".incomplete"), []byte(sample[bigFile][:300_000]), 0o644); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"started again", func(t *testing.T, s *hubtest.Server, c *Client) {
			if err := os.WriteFile(blobFile(t, s, c, bigFile, ".incomplete"), make([]byte, 300_000), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "starting it again"},
		{"resumed", func(t *testing.T, s *hubtest.Server, c *Client) {
			ctx, cancel := context.WithCancel(t.Context())
			s.OnSent(func(total int64) {
				if total > 600_000 {
					cancel()
				}
			})
			quiet := *c
			quiet.progress = silent{}
			pull(ctx, &quiet, "org/name")
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := hubtest.New(t)
			s.Add("org/name", sample)
			c := client(t, s, t.TempDir())
			p := &tally{}
			c.progress = p
			tt.prepare(t, s, c)
			if _, err := pull(t.Context(), c, "org/name"); err != nil {
				t.Fatal(err)
			}
			if p.got != p.size || p.size > total || p.done < p.files || p.files == 0 {
				t.Errorf("%d of %d bytes (at most %d), %d of %d files", p.got, p.size, total, p.done, p.files)
			}
			if tt.note != "" && !strings.Contains(strings.Join(p.notes, "\n"), tt.note) {
				t.Errorf("notes %q", p.notes)
			}
		})
	}
}
