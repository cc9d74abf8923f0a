package hub

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const defaultEndpoint = "https://huggingface.co"

// endpointOf returns HF_ENDPOINT or the hub's own address, without a slash at
// the end.
func endpointOf(getenv func(string) string) (string, error) {
	s := strings.TrimRight(getenv("HF_ENDPOINT"), "/")
	if s == "" {
		return defaultEndpoint, nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("HF_ENDPOINT is %q, which is not an address like %s", s, defaultEndpoint)
	}
	return s, nil
}

// tokenOf returns the access token of the environment or of the file that
// huggingface-cli login wrote, or "".
func tokenOf(getenv func(string) string) string {
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if token := strings.TrimSpace(getenv(name)); token != "" {
			return token
		}
	}
	if isTrue(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return ""
	}
	path := filepath.Join(homeOf(getenv), "token")
	if p := getenv("HF_TOKEN_PATH"); p != "" {
		path = expand(getenv, p)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// homeOf returns the folder of everything that concerns the hub.
func homeOf(getenv func(string) string) string {
	if dir := getenv("HF_HOME"); dir != "" {
		return expand(getenv, dir)
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(expand(getenv, dir), "huggingface")
	}
	return filepath.Join(userHome(getenv), ".cache", "huggingface")
}

// CacheOf returns the cache that huggingface_hub would use in an environment.
// Its folder need not exist.
func CacheOf(getenv func(string) string) Cache {
	if getenv == nil {
		getenv = os.Getenv
	}
	c := Cache{filepath.Join(homeOf(getenv), "hub"), isTrue(getenv("HF_HUB_DISABLE_SYMLINKS"))}
	for _, name := range []string{"HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"} {
		if dir := getenv(name); dir != "" {
			c.Dir = expand(getenv, dir)
		}
	}
	return c
}

func userHome(getenv func(string) string) string {
	if runtime.GOOS == "windows" {
		return getenv("USERPROFILE")
	}
	return getenv("HOME")
}

// expand replaces a leading ~ and variables such as $HOME.
func expand(getenv func(string) string, path string) string {
	path = os.Expand(path, getenv)
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(userHome(getenv), rest)
	}
	return path
}

// isTrue reports whether a variable is set to what counts as true.
func isTrue(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
