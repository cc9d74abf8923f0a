package hub

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"emily/loader/hub/hubtest"
)

func TestRemote(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	s.OnRequest(func(r hubtest.Request, before int) *hubtest.Fault {
		if r.Kind == hubtest.Store && before == 1 {
			return &hubtest.Fault{Cut: 10}
		}
		return nil
	})
	c := client(t, s, t.TempDir())
	r, err := c.Repo(t.Context(), "org/name", "")
	if err != nil {
		t.Fatal(err)
	}
	fsys := r.FS(t.Context())
	file, err := fsys.Open(bigFile)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil || info.Size() != int64(len(sample[bigFile])) || !info.Mode().IsRegular() {
		t.Errorf("%+v, %v", info, err)
	}
	head := make([]byte, 200_008)
	if _, err := io.ReadFull(file, head[:8]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(file, head[8:]); err != nil {
		t.Fatal(err)
	}
	if string(head) != sample[bigFile][:len(head)] {
		t.Error("wrong content")
	}
	if sent := s.Bytes(bigFile); sent > 300_000 {
		t.Errorf("%d bytes were sent for the first 200008", sent)
	}
	rest, err := io.ReadAll(file)
	if err != nil || string(rest) != sample[bigFile][len(head):] {
		t.Errorf("the rest is wrong: %v", err)
	}
	if entries, _ := os.ReadDir(c.cache.Dir); len(entries) > 0 {
		t.Error("something was stored")
	}

	if text, err := fs.ReadFile(fsys, "sub folder/1_Pooling.json"); err != nil || string(text) != `{"pooling":true}` {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := fs.ReadFile(fsys, "empty.json"); err != nil || len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
	for _, name := range []string{"none", "../x", "sub folder", ""} {
		if _, err := fs.Stat(fsys, name); err == nil {
			t.Errorf("%q was found", name)
		}
	}
	if _, err := fsys.Open("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	var names []string
	entries, err := fs.ReadDir(fsys, ".")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if err != nil || strings.Join(names, " ") != "config.json empty.json model.safetensors" {
		t.Errorf("%v, %v", names, err)
	}

	// What is in the cache is not asked for again.
	if err := r.Fetch(t.Context(), "config.json"); err != nil {
		t.Fatal(err)
	}
	before := s.Requests()
	if text, err := fs.ReadFile(fsys, "config.json"); err != nil || string(text) != sample["config.json"] || s.Requests() != before {
		t.Errorf("%q, %v, %d requests", text, err, s.Requests()-before)
	}
}
