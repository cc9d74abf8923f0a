package hub

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"token": "hf_home\n", "other": " hf_other "} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		vars                   map[string]string
		endpoint, token, cache string
		offline                bool
	}{
		{map[string]string{"HOME": "/me", "USERPROFILE": "/me"}, "https://huggingface.co", "", "/me/.cache/huggingface/hub", false},
		{map[string]string{"HOME": "/me", "USERPROFILE": "/me", "XDG_CACHE_HOME": "/xdg"}, "https://huggingface.co", "", "/xdg/huggingface/hub", false},
		{map[string]string{"HF_HOME": dir, "HF_ENDPOINT": "http://mirror:80/hf//"}, "http://mirror:80/hf", "hf_home", dir + "/hub", false},
		{map[string]string{"HF_HOME": dir, "HF_TOKEN": " hf_env\n"}, "https://huggingface.co", "hf_env", dir + "/hub", false},
		{map[string]string{"HF_HOME": dir, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, "https://huggingface.co", "", dir + "/hub", false},
		{map[string]string{"HF_HOME": dir, "HF_TOKEN_PATH": dir + "/other", "HUGGINGFACE_HUB_CACHE": "/old"}, "https://huggingface.co", "hf_other", "/old", false},
		{map[string]string{"HF_HUB_CACHE": "~/$X/hub", "X": "y", "HOME": "/me", "USERPROFILE": "/me", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_OFFLINE": "1"},
			"https://huggingface.co", "", "/me/y/hub", true},
	}
	for _, tt := range tests {
		c, err := New(Options{Getenv: func(name string) string { return tt.vars[name] }})
		if err != nil {
			t.Fatal(err)
		}
		if c.endpoint != tt.endpoint || c.token != tt.token || filepath.ToSlash(c.cache.Dir) != filepath.ToSlash(tt.cache) || c.Offline() != tt.offline {
			t.Errorf("%v: %s, token %q, %s, offline %v", tt.vars, c.endpoint, c.token, c.cache.Dir, c.offline)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 12 ": 12 * time.Second, "-1": 0, "x": 0, "99999999999999999999": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}

func TestRedirectsAndTokens(t *testing.T) {
	request := func(address string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer x")
		return r
	}
	tests := []struct {
		via       []string
		to        string
		ok, token bool
	}{
		{[]string{"https://hub.co/a"}, "https://hub.co/b", true, true},
		{[]string{"https://hub.co/a"}, "https://cdn.hub.co/b", true, false},
		{[]string{"https://hub.co/a"}, "https://hub.co:444/b", true, false},
		{[]string{"http://hub.co/a"}, "https://hub.co/b", true, false},
		{[]string{"https://hub.co/a"}, "http://hub.co/b", false, false},
		{[]string{"https://hub.co/a"}, "file:///etc/passwd", false, false},
		{[]string{"https://hub.co/a", "https://cdn.co/b"}, "https://hub.co/c", true, false},
	}
	for _, tt := range tests {
		var via []*http.Request
		for _, address := range tt.via {
			via = append(via, request(address))
		}
		req := request(tt.to)
		err := checkRedirect(req, via)
		if (err == nil) != tt.ok || err == nil && (req.Header.Get("Authorization") != "") != tt.token {
			t.Errorf("%v to %s: %v, token %q", tt.via, tt.to, err, req.Header.Get("Authorization"))
		}
	}
}
