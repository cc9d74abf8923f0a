package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const figures = `{"environment": {}, "results": [
	{"tier": "1", "case": "add 256", "lane": "exla", "dtype": "f32", "value": 10, "unit": "us/call"},
	{"tier": "3", "case": "Qwen3-0.6B decode", "lane": "emily-fuse", "dtype": "f32", "value": 50, "unit": "tok/s"},
	{"tier": "3", "case": "Qwen3-0.6B decode", "lane": "exla", "dtype": "f32", "value": 20, "unit": "tok/s"},
	{"tier": "3", "case": "Qwen3-0.6B decode", "lane": "emlx", "dtype": "f32", "value": null, "unit": "tok/s", "error": "-: absent"},
	{"tier": "4", "case": "ViT", "lane": "emily-fuse", "dtype": "f32", "value": 50000, "unit": "us/call"},
	{"tier": "4", "case": "ViT", "lane": "torch", "dtype": "f32", "value": 100000, "unit": "us/call"}]}`

func TestPanels(t *testing.T) {
	results, err := read(strings.NewReader(figures))
	if err != nil {
		t.Fatal(err)
	}
	list := panels(results)
	if len(list) != 2 {
		t.Fatalf("%d panels, want those of tiers 3 and 4", len(list))
	}
	for i, want := range []struct {
		unit, slow, fast string
		value            float64 // of the fastest
	}{{"tokens / s", "exla", "emily-fuse", 50}, {"calls / s", "torch", "emily-fuse", 20}} {
		p := list[i]
		if len(p.lanes) != 2 || p.unit != want.unit || p.lanes[0].Lane != want.slow || p.lanes[1].Lane != want.fast || *p.lanes[1].Value != want.value {
			t.Errorf("panel %d: %+v, want %+v", i, p, want)
		}
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "figures.json"), filepath.Join(dir, "chart.svg")
	if err := os.WriteFile(in, []byte(figures), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(in, out); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the picture is not XML: %v", err)
		}
	}
	for _, text := range []string{"Qwen3-0.6B decode", "emily-fuse f32", "exla f32", "torch f32", " 50", "calls / s"} {
		if !bytes.Contains(svg, []byte(text)) {
			t.Errorf("the picture lacks %q", text)
		}
	}
	if bytes.Contains(svg, []byte("emlx")) {
		t.Error("a lane without a figure is drawn")
	}
}

func TestRunRefuses(t *testing.T) {
	for _, text := range []string{"", "{}", `{"results": [{"tier": "1", "value": 3}]}`} {
		dir := t.TempDir()
		in := filepath.Join(dir, "figures.json")
		if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run(in, filepath.Join(dir, "chart.svg")); err == nil {
			t.Errorf("%q is drawn", text)
		}
	}
}
