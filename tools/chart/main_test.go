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
	{"tier": "1", "case": "add 256", "lane": "emily-fuse", "dtype": "f32", "value": 4, "unit": "us/call"},
	{"tier": "1", "case": "exp 256", "lane": "exla", "dtype": "f32", "value": 20, "unit": "us/call"},
	{"tier": "3", "case": "Qwen3-0.6B decode", "lane": "emily-fuse", "dtype": "f32", "value": 50, "unit": "tok/s"},
	{"tier": "3", "case": "Qwen3-0.6B decode", "lane": "exla", "dtype": "f32", "value": 20, "unit": "tok/s"},
	{"tier": "3", "case": "Qwen3-0.6B decode", "lane": "emlx", "dtype": "f32", "value": null, "unit": "tok/s", "error": "-: absent"},
	{"tier": "3", "case": "prefill 512", "lane": "torch", "dtype": "bf16", "value": 400, "unit": "tok/s"},
	{"tier": "4", "case": "ViT-base image classification", "lane": "emily-fuse", "dtype": "f32", "value": 50000, "unit": "us/call"},
	{"tier": "4", "case": "ViT-base image classification", "lane": "torch", "dtype": "f32", "value": 100000, "unit": "us/call"}]}`

func TestPanels(t *testing.T) {
	results, err := read(strings.NewReader(figures))
	if err != nil {
		t.Fatal(err)
	}
	list := panels(results)
	if len(list) != 3 {
		t.Fatalf("%d panels, want the two of tier 3 and that of tier 4", len(list))
	}
	for i, want := range []struct {
		unit, lanes string
		value       float64 // of the fastest, which is the last
	}{{"tokens / s", "exla emily-fuse", 50}, {"tokens / s", "torch", 400}, {"calls / s", "torch emily-fuse", 20}} {
		p := list[i]
		var lanes []string
		for _, l := range p.lanes {
			lanes = append(lanes, l.Lane)
		}
		if p.unit != want.unit || strings.Join(lanes, " ") != want.lanes || *p.lanes[len(lanes)-1].Value != want.value {
			t.Errorf("panel %d: %+v, want %+v", i, p, want)
		}
	}
}

func TestOpCases(t *testing.T) {
	results, err := read(strings.NewReader(figures))
	if err != nil {
		t.Fatal(err)
	}
	cases := opCases(results)
	if len(cases) != 2 || cases[0].name != "add 256" || cases[1].name != "exp 256" {
		t.Fatalf("cases %+v", cases)
	}
	if c := cases[0].times; c["exla"] != 2.5 || c["emily-fuse"] != 1 {
		t.Errorf("times over the fastest: %v", c)
	}
	if c := cases[1].times; len(c) != 1 || c["exla"] != 1 {
		t.Errorf("times of a lane alone: %v", c)
	}
}

func TestFactors(t *testing.T) {
	var labels []string
	for _, tick := range factors(0.9, 60) {
		labels = append(labels, tick.Label)
	}
	if got := strings.Join(labels, " "); got != "1 2 5 10 20 50" {
		t.Errorf("ticks %s", got)
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
	for _, text := range []string{"Qwen3-0.6B decode", "emily-fuse f32", "exla f32", "torch f32", "torch bf16", " 50", "calls / s", "prefill", "Single operations", "add 256"} {
		if !bytes.Contains(svg, []byte(text)) {
			t.Errorf("the picture lacks %q", text)
		}
	}
	if bytes.Contains(svg, []byte("emlx")) {
		t.Error("a lane without a figure is drawn")
	}
}

func TestRunRefuses(t *testing.T) {
	for _, text := range []string{"", "{}", `{"results": [{"tier": "9", "value": 3}]}`} {
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
