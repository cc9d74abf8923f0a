package hub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"emily/loader/hub/hubtest"
)

func TestModels(t *testing.T) {
	s := hubtest.New(t)
	commit := s.Add("org/name", sample)
	s.Add("org/other", map[string]string{"config.json": "{}"})
	c := client(t, s, t.TempDir())
	if models, err := c.cache.Models(); err != nil || len(models) != 0 {
		t.Errorf("empty: %v, %v", models, err)
	}
	for _, name := range []string{"org/name", "org/other"} {
		if _, err := pull(t.Context(), c, name); err != nil {
			t.Fatal(err)
		}
	}
	s.Add("org/name", map[string]string{"config.json": "{ }"})
	if _, err := pull(t.Context(), c, "org/name"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(c.cache.Dir, "datasets--org--name"), 0o755); err != nil {
		t.Fatal(err)
	}
	models, err := c.cache.Models()
	if err != nil || len(models) != 2 || models[0].Name != "org/name" || models[1].Name != "org/other" {
		t.Fatalf("%+v, %v", models, err)
	}
	m := models[0]
	if !slices.Equal(m.Revisions, []string{commit, "main"}) && !slices.Equal(m.Revisions, []string{"main", commit}) {
		t.Errorf("revisions %v", m.Revisions)
	}
	if m.Bytes < 1<<20 || m.Bytes > 2<<20 || m.Partial != 0 || time.Since(m.Used) > time.Hour {
		t.Errorf("%+v", m)
	}

	var refused *Error
	for _, name := range []string{"org/none", "../x", "org", ""} {
		if err := c.cache.Remove(t.Context(), name); err == nil || errors.As(err, &refused) && refused.Reason != NotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
	unlock, err := c.lock(t.Context(), "org/name", "abc", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cache.Remove(t.Context(), "org/name"); err == nil {
		t.Error("a model that is being downloaded was removed")
	}
	unlock()
	if err := c.cache.Remove(t.Context(), "org/name"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.cache.Repo("org/name")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if models, err = c.cache.Models(); err != nil || len(models) != 1 || models[0].Name != "org/other" {
		t.Errorf("%+v, %v", models, err)
	}
}

func TestPartialModel(t *testing.T) {
	s := hubtest.New(t)
	s.Add("org/name", sample)
	ctx, cancel := context.WithCancel(t.Context())
	s.OnSent(func(total int64) {
		if total > 600_000 {
			cancel()
		}
	})
	c := client(t, s, t.TempDir())
	pull(ctx, c, "org/name")
	models, err := c.cache.Models()
	if err != nil || len(models) != 1 || models[0].Partial < 100_000 || models[0].Bytes < models[0].Partial {
		t.Errorf("%+v, %v", models, err)
	}
}
