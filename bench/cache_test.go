package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCacheFolder runs without a cache that can be written: a peer, and random
// weights, say what to do; emily's lanes need none.
func TestCacheFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const advice = "set XDG_CACHE_HOME to a folder that can be written"
	for _, tt := range []struct{ name, cache string }{
		{"no cache", ""},
		{"below a file", filepath.Join(file, "bench")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t, nil)
			c.Tiers, c.Lanes, c.Runs, c.Cache, c.Peer = []string{"1"}, []string{"fuse", "torch"}, 1, tt.cache, nil
			r, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if x := find(r, "emily-fuse")[0]; x.Value == nil {
				t.Errorf("emily's lane: %s", x.Error)
			}
			if x := find(r, "torch")[0]; !strings.HasPrefix(x.Error, "-: no script: ") || !strings.Contains(x.Error, advice) {
				t.Errorf("the peer's row says %q", x.Error)
			}
			c.Tiers, c.Lanes, c.RandomWeights = []string{"2"}, []string{"fuse"}, true
			if r, err = Run(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if note := strings.Join(r.Notes["2"], ""); !strings.Contains(note, advice) {
				t.Errorf("random weights: %q", note)
			}
		})
	}
}

// TestScripts: they are written for a peer that is asked for, and for nothing else.
func TestScripts(t *testing.T) {
	t.Setenv("EMILY_BENCH_PEERS", t.TempDir())
	for _, tt := range []struct {
		lane string
		want bool
	}{{"fuse", false}, {"llama.cpp", false}, {"torch", true}} { // llama.cpp does no tier 1
		c := testConfig(t, nil)
		c.Tiers, c.Lanes, c.Smoke, c.Peer = []string{"1"}, []string{tt.lane}, true, nil
		if _, err := Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(c.Cache, scriptsFolder, "setup")); (err == nil) != tt.want {
			t.Errorf("%s: the scripts are written: %v, want %v", tt.lane, err == nil, tt.want)
		}
	}
}
