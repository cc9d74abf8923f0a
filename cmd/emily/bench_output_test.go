//go:build unix

package main

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"emily/bench"
)

// TestBenchUnwritable: what cannot be written is said before anything is
// measured, which would be more lines, and nothing is left or lost.
func TestBenchUnwritable(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	if err := os.WriteFile(kept, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	locked, sealed := filepath.Join(dir, "locked"), filepath.Join(dir, "sealed")
	if err := errors.Join(os.WriteFile(locked, nil, 0o444), os.Mkdir(sealed, 0o555)); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{ // what to do
		filepath.Join(dir, "none", "report"): "make its folder first",
		filepath.Join(dir, "none") + "/":     "make its folder first",
		dir:                                  "it is a folder: name a file in it",
		filepath.Join(kept, "report"):        "not a directory: name another file",
		filepath.Join(dir, strings.Repeat("long", 100)): "name another file",
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		paths["/dev/full"] = "no space left on device: name another file"
	}
	if os.Geteuid() != 0 { // who may write to everything
		paths[locked] = "permission denied: name another file"
		paths[filepath.Join(sealed, "report")] = "permission denied: name another file"
	}
	for path, want := range paths {
		for flag, other := range map[string]string{"--out-json": "--markdown", "--markdown": "--out-json"} {
			args := []string{"bench", "--tier", "1", flag, path, other, kept}
			fails(t, exitFailed, []string{flag + ": " + path + " cannot be written: ", want}, args...)
			if _, stderr, _ := emily(t, "", args...); strings.Count(stderr, path) != 1 || strings.Contains(stderr, ".part") {
				t.Errorf("the path is not there once: %s", stderr)
			}
		}
	}
	fails(t, exitFailed, []string{"--out-json: " + dir, "--markdown: " + kept + "/x"}, "bench", "--out-json", dir, "--markdown", kept+"/x")
	if text, err := os.ReadFile(kept); string(text) != "kept" {
		t.Errorf("the other file is %q, %v", text, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 3 {
		t.Errorf("left are %v", left)
	}
}

// TestBenchFolderGoes: the folder of one output goes while the run is under
// way. That is told once, and the other output is written once.
func TestBenchFolderGoes(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("EMILY_TEST_MAIN", "1")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("EMILY_BENCH_PEERS", dir)
	reports := filepath.Join(dir, "reports")
	if err := os.Mkdir(reports, 0o755); err != nil {
		t.Fatal(err)
	}
	fakePeer(t, dir, "rm -rf "+reports)
	figures := filepath.Join(reports, "figures.json")
	out, stderr, code := emily(t, "", "bench", "--tier", "3", "--lanes", "fuse,torch", "--model", models+"/tiny-qwen3", "--smoke", "--out-json", figures)
	if code != exitFailed || strings.Count(stderr, figures) != 1 || !strings.Contains(stderr, "make its folder first") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if n := strings.Count(out, "# emily bench"); n != 1 || !strings.Contains(out, "| emily-fuse (CPU) |") {
		t.Errorf("the report is there %d times:\n%s", n, out)
	}
}

func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := errors.Join(os.WriteFile("file", nil, 0o644), os.Symlink("file", "link"), os.Symlink(dir, "here")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"new", "new", true},
		{"new", "./new", true},
		{"new", filepath.Join(dir, "new"), true},
		{"new", "here/new", true},
		{"file", "link", true},
		{"file", "new", false},
		{"none/new", "none/new", true},
		{"-", "-", false}, // the figures take the report's place
		{os.DevNull, os.DevNull, false},
	} {
		if got := sameFile(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestCheckWritablePipe: a check must not look like the end to the reader of a pipe.
func TestCheckWritablePipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkWritable(path); err != nil { // it would wait for a reader
		t.Error(err)
	}
}

// TestWriteReport: one output that fails keeps the others from nothing.
func TestWriteReport(t *testing.T) {
	text := func(w io.Writer, _ *bench.Report) error {
		_, err := io.WriteString(w, "text")
		return err
	}
	for _, tt := range []struct {
		name        string
		first, last string // below a folder, or -
		goesOn      bool
		wrong       int               // outputs that the error names
		files       map[string]string // afterwards
		out         string
	}{
		{"both", "a", "b", false, 0, map[string]string{"a": "text", "b": "text"}, ""},
		{"the first fails", "none/a", "b", false, 1, map[string]string{"b": "text"}, ""},
		{"the last fails", "a", "none/b", true, 1, map[string]string{"a": "text"}, ""},
		{"both fail", "none/a", "none/b", false, 2, map[string]string{}, ""},
		{"standard output at the end", "a", "-", false, 0, map[string]string{"a": "text"}, "text"},
		{"standard output has time", "a", "-", true, 0, map[string]string{"a": "text"}, ""},
		{"standard output if the run ends", "none/a", "-", true, 1, map[string]string{}, "text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			in := func(name string) string {
				if name == "-" {
					return name
				}
				return filepath.Join(dir, name)
			}
			var out strings.Builder
			list := []benchOutput{{"first", in(tt.first), text}, {"last", in(tt.last), text}}
			err := writeReport(stdio{out: &out}, list, &bench.Report{}, tt.goesOn)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if n := strings.Count(message, "cannot be written"); n != tt.wrong || strings.Count(message, dir) != n {
				t.Errorf("%v, want %d outputs, each named once", err, tt.wrong)
			}
			files := map[string]string{}
			left, _ := os.ReadDir(dir)
			for _, f := range left {
				b, _ := os.ReadFile(in(f.Name()))
				files[f.Name()] = string(b)
			}
			if !maps.Equal(files, tt.files) || out.String() != tt.out {
				t.Errorf("files %v, standard output %q", files, &out)
			}
		})
	}
}

// TestReplaceFile: a writer that fails leaves what was there.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "report"), filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	text := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			io.WriteString(w, s)
			return err
		}
	}
	for _, tt := range []struct {
		path, text string
		err        error
		want       string
	}{
		{path, "one", nil, "one"},
		{link, "two", nil, "two"},
		{path, "half", errors.New("no disk"), "two"},
		{os.DevNull, "away", nil, "two"},
	} {
		if err := replaceFile(tt.path, text(tt.text, tt.err)); !errors.Is(err, tt.err) {
			t.Errorf("writing %q: %v, want %v", tt.text, err, tt.err)
		}
		if got, err := os.ReadFile(path); string(got) != tt.want {
			t.Errorf("after writing %q the file is %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left are %v", left)
	}
	if err := replaceFile(filepath.Join(dir, "none", "report"), text("x", nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}
