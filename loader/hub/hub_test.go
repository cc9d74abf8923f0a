package hub

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emily/loader/hub/hubtest"
)

// quick is a pace in which small files have many pieces and pauses are short.
var quick = pace{
	piece: 64 << 10, span: 256 << 10, connections: 4, files: 2,
	attempts: 4, pause: time.Millisecond, longest: 10 * time.Millisecond, stall: 300 * time.Millisecond,
}

// random returns text that no two seeds share.
func random(seed uint64, size int) string {
	src := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(src.Uint32())
	}
	return string(b)
}

// client returns a client of a test hub at a quick pace.
func client(t testing.TB, s *hubtest.Server, cache string) *Client {
	t.Helper()
	c, err := New(Options{Getenv: s.Env(cache)})
	if err != nil {
		t.Fatal(err)
	}
	c.pace = quick
	c.http = newHTTP(quick)
	return c
}

// pull fetches all files of a model.
func pull(ctx context.Context, c *Client, name string) (*Repo, error) {
	r, err := c.Repo(ctx, name, "")
	if err != nil {
		return nil, err
	}
	if err := r.Fetch(ctx, r.Files...); err != nil {
		return r, err
	}
	return r, r.Publish("tokenizer.json", "config.json")
}

// checkFiles compares a snapshot with what the hub has.
func checkFiles(t *testing.T, r *Repo, files map[string]string) {
	t.Helper()
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join(r.Path(), filepath.FromSlash(name)))
		if err != nil || string(have) != want {
			t.Errorf("%s: %d bytes, want %d; %v", name, len(have), len(want), err)
		}
	}
}

// checkTidy fails if a partial file is left.
func checkTidy(t *testing.T, c Cache, name string) {
	t.Helper()
	entries, _ := os.ReadDir(filepath.Join(c.Repo(name), blobsDir))
	for _, e := range entries {
		if !etagID.MatchString(e.Name()) {
			t.Errorf("%s is left in blobs", e.Name())
		}
	}
}

var sample = map[string]string{
	"config.json":               `{"model_type":"qwen3"}`,
	"empty.json":                "",
	"sub folder/1_Pooling.json": `{"pooling":true}`,
	"copy/config.json":          `{"model_type":"qwen3"}`,
	"model.safetensors":         random(1, 1<<20+12345),
}

func TestFetch(t *testing.T) {
	s := hubtest.New(t)
	commit := s.Add("org/name", sample)
	c := client(t, s, t.TempDir())
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, r, sample)
	checkTidy(t, c.cache, "org/name")
	if r.Commit != commit || c.cache.Refs("org/name")["main"] != commit || !strings.HasSuffix(filepath.ToSlash(r.Path()), "models--org--name/snapshots/"+commit) {
		t.Errorf("%s in %s, refs %v", r.Commit, r.Path(), c.cache.Refs("org/name"))
	}
	link, err := os.Readlink(filepath.Join(r.Path(), "sub folder", "1_Pooling.json"))
	if err != nil || !strings.HasPrefix(filepath.ToSlash(link), "../../../blobs/") {
		t.Errorf("link %q, %v", link, err)
	}
	if !c.cache.Absent("org/name", commit, "tokenizer.json") || c.cache.Absent("org/name", commit, "config.json") {
		t.Error("absent files are wrong")
	}
	if s.Bytes("config.json") > int64(len(sample["config.json"])) {
		t.Error("the same content was sent twice")
	}

	before := s.Requests()
	if _, err := pull(t.Context(), c, "org/name"); err != nil {
		t.Fatal(err)
	}
	if n := s.Requests() - before; n != 1 {
		t.Errorf("a second pull made %d requests", n)
	}

	// A new commit transfers what has changed alone.
	next := map[string]string{"config.json": "{}", "model.safetensors": sample["model.safetensors"]}
	s.Add("org/name", next)
	sent := s.Total()
	if r, err = pull(t.Context(), c, "org/name"); err != nil || r.Commit == commit {
		t.Fatal(r.Commit, err)
	}
	checkFiles(t, r, next)
	if n := s.Total() - sent; n != 2 {
		t.Errorf("%d bytes were sent again", n)
	}
	if len(s.Leaked()) > 0 {
		t.Error("the storage got a token")
	}
}

func TestCopiesInsteadOfLinks(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	c := client(t, s, t.TempDir())
	c.cache.copies = true
	for range 2 {
		r, err := pull(t.Context(), c, "org/name")
		if err != nil {
			t.Fatal(err)
		}
		checkFiles(t, r, sample)
		for name := range sample {
			if info, err := os.Lstat(filepath.Join(r.Path(), filepath.FromSlash(name))); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s is %v, %v", name, info.Mode(), err)
			}
		}
	}
	if n := s.Count(hubtest.Get, "config.json"); n != 1 {
		t.Errorf("config.json was fetched %d times", n)
	}
}

// TestFaults lets the hub fail in one way after the other.
func TestFaults(t *testing.T) {
	const big = "model.safetensors"
	at := func(kind hubtest.Kind, file string, times int, f hubtest.Fault) func(hubtest.Request, int) *hubtest.Fault {
		return func(r hubtest.Request, before int) *hubtest.Fault {
			if r == (hubtest.Request{Kind: kind, File: file}) && before < times {
				return &f
			}
			return nil
		}
	}
	const always = 1 << 30
	tests := []struct {
		name string
		fail func(hubtest.Request, int) *hubtest.Fault
		err  string // "" if the download succeeds all the same
	}{
		{"cut", at(hubtest.Store, big, 8, hubtest.Fault{Cut: 100_001}), ""},
		{"cut early", at(hubtest.Store, big, 3, hubtest.Fault{Cut: 1}), ""},
		{"cut always", at(hubtest.Store, big, always, hubtest.Fault{Cut: 20_001}), ""},
		{"cut small", at(hubtest.Get, "config.json", 2, hubtest.Fault{Cut: 5}), ""},
		{"stall", at(hubtest.Store, big, 2, hubtest.Fault{Stall: 100_000}), ""},
		{"429", at(hubtest.Store, big, 2, hubtest.Fault{Status: 429, Header: map[string]string{"Retry-After": "0"}}), ""},
		{"500 api", at(hubtest.API, "", 2, hubtest.Fault{Status: 500}), ""},
		{"502 head", at(hubtest.Head, big, 2, hubtest.Fault{Status: 502}), ""},
		{"503 always", at(hubtest.Get, "config.json", always, hubtest.Fault{Status: 503}), "gave up after 4 attempts"},
		{"expired", at(hubtest.Store, big, 2, hubtest.Fault{Status: 403}), ""},
		{"later", at(hubtest.API, "", always, hubtest.Fault{Status: 429, Header: map[string]string{"Retry-After": "3600"}}), "come back in 1h0m0s"},
		{"flip", at(hubtest.Store, big, 1, hubtest.Fault{Flip: true}), "org/name@main/model.safetensors: wrong content"},
		{"flip small", at(hubtest.Get, "config.json", 1, hubtest.Fault{Flip: true}), "config.json: wrong content"},
		{"long body", at(hubtest.Get, "config.json", always, hubtest.Fault{Longer: 10}), "sends 32 bytes instead of 22"},
		{"short body", at(hubtest.Get, "config.json", always, hubtest.Fault{Longer: -10}), "sends 12 bytes instead of 22"},
		{"short ranges", at(hubtest.Store, big, 3, hubtest.Fault{Longer: -10}), ""},
		{"other range", at(hubtest.Store, big, always, hubtest.Fault{Header: map[string]string{"Content-Range": "bytes 0-9/10"}}), `sends "bytes 0-9/10" instead of`},
		{"no ranges", at(hubtest.Store, big, always, hubtest.Fault{Whole: true}), ""},
		{"no ranges, cut", at(hubtest.Store, big, always, hubtest.Fault{Whole: true, Cut: 500_000}), "gave up"},
		{"no ranges, cut once", at(hubtest.Store, big, 1, hubtest.Fault{Whole: true, Cut: 500_000}), ""},
		{"loop", at(hubtest.Store, big, always, hubtest.Fault{Loop: true}), "redirected more than 10 times"},
		{"loop head", at(hubtest.Head, "config.json", always, hubtest.Fault{Loop: true}), "redirected more than 10 times"},
		{"page api", at(hubtest.API, "", always, hubtest.Fault{HTML: true}), "a web page instead of JSON"},
		{"page store", at(hubtest.Store, big, always, hubtest.Fault{HTML: true}), "the server sends 54 bytes instead of"},
		{"no hash", at(hubtest.Head, "config.json", always, hubtest.Fault{Status: 200, Header: map[string]string{"ETag": ""}}), "without a hash (ETag)"},
		{"bad hash", at(hubtest.Head, "config.json", always, hubtest.Fault{Header: map[string]string{"ETag": `"../../x"`}}), "is not one"},
		{"bad size", at(hubtest.Head, big, always, hubtest.Fault{Header: map[string]string{"X-Linked-Size": "99999999999999999"}}), "is not one"},
		{"negative size", at(hubtest.Head, big, always, hubtest.Fault{Header: map[string]string{"X-Linked-Size": "-1"}}), "is not one"},
		{"other commit", at(hubtest.Head, big, always, hubtest.Fault{Header: map[string]string{"X-Repo-Commit": "../x"}}), "instead of"},
		{"huge", at(hubtest.Head, big, always, hubtest.Fault{Header: map[string]string{"X-Linked-Size": "8000000000000"}}), "free some space"},
		{"no size", at(hubtest.Head, "config.json", always, hubtest.Fault{NoSize: true}), ""},
		{"no size of a large file", at(hubtest.Head, big, always, hubtest.Fault{NoSize: true}), ""},
		{"large configuration", at(hubtest.Head, "config.json", always, hubtest.Fault{Status: 200, Header: map[string]string{"X-Linked-Size": "2000000000"}}), "more than such a file ever has"},
		{"changed once", func(r hubtest.Request, before int) *hubtest.Fault {
			if r.Kind == hubtest.Store && before == 2 {
				return &hubtest.Fault{Header: map[string]string{"ETag": `"other"`}}
			}
			return nil
		}, ""},
		{"changes always", func(r hubtest.Request, before int) *hubtest.Fault {
			if r.Kind == hubtest.Store && before%2 == 1 {
				return &hubtest.Fault{Header: map[string]string{"ETag": `"other"`}}
			}
			return nil
		}, "changed on the server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := hubtest.New(t)
			s.Add("org/name", sample)
			s.OnRequest(tt.fail)
			c := client(t, s, t.TempDir())
			r, err := pull(t.Context(), c, "org/name")
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				if c.cache.Refs("org/name")["main"] != "" {
					t.Error("the revision was published")
				}
				for _, name := range []string{"config.json", big} { // named only if it is right
					if text, err := os.ReadFile(filepath.Join(c.cache.Repo("org/name"), "snapshots", "x", name)); err == nil && string(text) != sample[name] {
						t.Errorf("%s is wrong", name)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkFiles(t, r, sample)
			checkTidy(t, c.cache, "org/name")
		})
	}
}

// TestSlowLine takes longer for a file than a silence may last.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	s := hubtest.New(t)
	files := map[string]string{"tokenizer.json": random(4, 200_000)}
	s.Add("org/name", files)
	s.OnRequest(func(hubtest.Request, int) *hubtest.Fault { return &hubtest.Fault{Slow: 150 * time.Millisecond} })
	c := client(t, s, t.TempDir())
	c.pace.stall = 1500 * time.Millisecond
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, r, files)
	if n := s.Count(hubtest.Get, "tokenizer.json"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestWrongContentIsRemoved runs again after a wrong hash, when nothing of the
// wrong file may be left.
func TestWrongContentIsRemoved(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	s.OnRequest(func(r hubtest.Request, before int) *hubtest.Fault {
		return &hubtest.Fault{Flip: r.Kind == hubtest.Store && before == 0}
	})
	c := client(t, s, t.TempDir())
	var refused *Error
	if _, err := pull(t.Context(), c, "org/name"); !errors.As(err, &refused) || refused.Reason != Corrupt {
		t.Fatal(err)
	}
	// The other files' transfers were cut short and may be continued.
	wrong := fmt.Sprintf("%x", sha256.Sum256([]byte(sample["model.safetensors"])))
	entries, _ := os.ReadDir(filepath.Join(c.cache.Repo("org/name"), blobsDir))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), wrong) {
			t.Errorf("%s is left in blobs", e.Name())
		}
	}
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, r, sample)
	checkTidy(t, c.cache, "org/name")
}

func TestRefusals(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	s.Add("org/gated", sample)
	s.Gate("org/gated", "hf_good")
	tests := []struct {
		name, revision, token string
		reason                Reason
		err                   string
	}{
		{"org/none", "", "", Forbidden, "does not exist, or it is private"},
		{"org/none", "", "hf_good", NotFound, "has no model org/none"},
		{"org/name", "v2", "", NotFound, "org/name has no revision v2"},
		{"org/name", strings.Repeat("a", 40), "", NotFound, "has no revision"},
		{"org/gated", "", "", Forbidden, "org/gated is gated: ask for access at " + s.URL + "/org/gated, then set HF_TOKEN or pass --token"},
		{"org/gated", "", "hf_bad", Forbidden, "the token's owner has no access yet"},
		{"org/gated", "", "hf_good", 0, ""},
		{"../name", "", "", 0, "expected org/name"},
		{"org/a/b", "", "", 0, "expected org/name"},
		{"org/name", "../x", "", 0, "not a revision"},
		{"org/name", "a b\x00", "", 0, "not a revision"},
	}
	for _, tt := range tests {
		c, err := New(Options{Getenv: s.Env(t.TempDir()), Token: tt.token})
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Repo(t.Context(), tt.name, tt.revision)
		if tt.err == "" {
			if err != nil {
				t.Error(err)
				continue
			}
			if err := r.Fetch(t.Context(), r.Files...); err != nil {
				t.Error(err)
			}
			continue
		}
		var refused *Error
		if err == nil || !strings.Contains(err.Error(), tt.err) || errors.As(err, &refused) && refused.Reason != tt.reason {
			t.Errorf("%s@%s: got %v, want %q", tt.name, tt.revision, err, tt.err)
		}
	}
	if leaked := s.Leaked(); len(leaked) > 0 {
		t.Errorf("the storage got the token %v", leaked)
	}

	c := client(t, s, t.TempDir())
	r, err := c.Repo(t.Context(), "org/name", "main")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"none.json", "../../x", "/etc/passwd", `..\x`, "C:x", "a\x00b", ""} {
		if err := r.Fetch(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestOfflineAndUnreachable(t *testing.T) {
	offline, err := New(Options{Getenv: func(name string) string {
		return map[string]string{"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": t.TempDir()}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *Error
	if _, err := offline.Repo(t.Context(), "org/name", ""); !errors.As(err, &refused) || refused.Reason != Offline {
		t.Errorf("offline: %v", err)
	}
	s := hubtest.New(t)
	c := client(t, s, t.TempDir())
	c.endpoint = "http://127.0.0.1:1"
	if _, err := c.Repo(t.Context(), "org/name", ""); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1 cannot be reached") {
		t.Errorf("unreachable: %v", err)
	}
	if _, err := New(Options{Getenv: func(string) string { return "ftp://x" }}); err == nil {
		t.Error("a bad endpoint was taken")
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	if os.Getuid() == 0 {
		// Permissions do not stop root; a file in the way does.
		t.Log("running as root: a file stands for a folder that cannot be made")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	s := hubtest.New(t)
	s.Add("org/name", sample)
	_, err := pull(t.Context(), client(t, s, filepath.Join(file, "hub")), "org/name")
	if err == nil || !strings.Contains(err.Error(), "the model cache "+filepath.Join(file, "hub")) {
		t.Errorf("got %v", err)
	}
	for _, cause := range []error{fs.ErrPermission, &fs.PathError{Err: fs.ErrPermission}} {
		if err := (Cache{Dir: "/c"}).cacheError(cause); !strings.Contains(err.Error(), "set HF_HUB_CACHE") || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
	}
}

// TestLinksDoNotLeadOut has a cache in which somebody put links to elsewhere.
func TestLinksDoNotLeadOut(t *testing.T) {
	s := hubtest.New(t)
	commit := s.Add("org/name", map[string]string{"sub/x.json": "evil", "y.json": "evil"})
	cache, outside := t.TempDir(), t.TempDir()
	snapshot := filepath.Join(cache, "models--org--name", "snapshots", commit)
	if err := os.MkdirAll(snapshot, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(snapshot, "sub")); err != nil {
		t.Skip(err)
	}
	if _, err := pull(t.Context(), client(t, s, cache), "org/name"); err == nil {
		t.Error("the link was followed")
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("%v was written outside", entries[0])
	}
}

func TestInterrupt(t *testing.T) {
	s := hubtest.New(t)
	s.Narrow()
	s.Add("org/name", sample)
	cache := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	s.OnSent(func(total int64) {
		if total > 700_000 {
			cancel()
		}
	})
	if _, err := pull(ctx, client(t, s, cache), "org/name"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	before := s.Total()
	c := client(t, s, cache)
	r, err := pull(t.Context(), c, "org/name")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, r, sample)
	if again := s.Total() - before; again > 900_000 {
		t.Errorf("%d bytes were transferred after the interruption", again)
	}
}
