package hub

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "a/b.json": true, "1_Pooling/config.json": true, ".gitattributes": true, "ünicode.txt": true, "com.txt": true,
		"": false, ".": false, "..": false, "../a": false, "a/../b": false, "a/./b": false, "/a": false, "a/": false, "a//b": false,
		`a\b`: false, "C:a": false, "a:stream": false, "a\x00": false, "a\nb": false, "a.": false, "a /b": false, "con": false,
		"x/NUL.json": false, "com1.safetensors": false, "a*": false, strings.Repeat("a", 256): false, strings.Repeat("a/", 600) + "a": false,
	} {
		if validFile(name) != want {
			t.Errorf("validFile(%q) is %v", name, !want)
		}
	}
	for name, want := range map[string]bool{
		"org/name": true, "gpt2": true, "a.b/c_d-e": true,
		"": false, "/": false, "a/b/c": false, "../a": false, "a/..": false, "a--b/c": false, "a/b c": false, "-a/b": false,
	} {
		if ValidName(name) != want {
			t.Errorf("ValidName(%q) is %v", name, !want)
		}
	}
	for header, want := range map[string]string{
		`"0a1b"`: "0a1b", `W/"0a1b"`: "0a1b", "0a1b": "0a1b", `"0a-1"`: "0a-1",
		"": "", `""`: "", `"../x"`: "", `"a/b"`: "", `"a.lock"`: "", "\"a\x00\"": "", `"` + strings.Repeat("a", 200) + `"`: "",
	} {
		if tag, err := parseETag(header); tag != want || (err == nil) != (want != "") {
			t.Errorf("parseETag(%q) is %q, %v", header, tag, err)
		}
	}
}

// FuzzListing feeds answers of the hub: whatever they hold, the commit and the
// names are safe to use in paths.
func FuzzListing(f *testing.F) {
	const sha = `"sha":"0123456789abcdef0123456789abcdef01234567"`
	f.Add([]byte(`{` + sha + `,"siblings":[{"rfilename":"config.json"},{"rfilename":"../../x"}]}`))
	f.Add([]byte(`{"sha":"../../../x","siblings":[]}`))
	f.Add([]byte(`<!DOCTYPE html>`))
	f.Add([]byte(`{` + sha + `,"siblings":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		commit, files, err := parseListing(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || commit != "" || files != nil {
				t.Errorf("%q with %q, %v", err, commit, files)
			}
			return
		}
		if !IsCommit(commit) || !slices.IsSorted(files) {
			t.Errorf("commit %q, files %q", commit, files)
		}
		for _, name := range files {
			if !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsAny(name, "\\:\x00") {
				t.Errorf("the name %q was let through", name)
			}
		}
	})
}

// FuzzJournal feeds journals: the entries are about pieces that exist, and
// reading back what is kept gives the same.
func FuzzJournal(f *testing.F) {
	const pieces = 10
	header := journalHeader(100, 10)
	f.Add([]byte(header))
	good, beyond := entry{1, 2}.encode(), entry{pieces, 2}.encode()
	f.Add([]byte(header + string(good) + string(good[:7])))
	f.Add([]byte(header + string(good) + string(good) + string(beyond)))
	f.Add([]byte(""))
	f.Add([]byte("emily journal 2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, end := parseJournal(text, header, pieces)
		if end > int64(len(text)) || int64(len(entries))*entrySize > end {
			t.Fatalf("%d entries, end %d of %d", len(entries), end, len(text))
		}
		for _, e := range entries {
			if e.piece >= pieces {
				t.Errorf("piece %d", e.piece)
			}
		}
		again, end2 := parseJournal(text[:end], header, pieces)
		if !slices.Equal(entries, again) || end2 != end {
			t.Errorf("read again: %v, %d; %v, %d", entries, end, again, end2)
		}
	})
}

// FuzzContentRange feeds headers of partial answers.
func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Add("bytes 0-9/*")
	f.Add("bytes */10")
	f.Fuzz(func(t *testing.T, header string) {
		if err := checkRange(header, 0, 10, 10); err == nil && !strings.HasPrefix(strings.TrimSpace(header), "bytes") {
			t.Errorf("%q was let through", header)
		}
	})
}
