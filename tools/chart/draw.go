package main

import (
	"fmt"
	"image/color"
	"io"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	panelWidth = 10 * vg.Centimeter
	margin     = 0.3 * vg.Centimeter
	barHeight  = 0.6 * vg.Centimeter
	frame      = 3 * vg.Centimeter // title, axis and its label
)

var (
	own   = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	other = color.RGBA{R: 0xb0, G: 0xb0, B: 0xb0, A: 0xff}
)

// titles of the cases of models, in the chart's order.
var titles = []struct{ tier, name, title string }{
	{"2", "DistilBERT QA", "DistilBERT QA"},
	{"3", "Qwen3-0.6B decode", "Qwen3-0.6B decode"},
	{"3", "prefill 512", "Qwen3-0.6B prefill of 512 tokens"},
	{"4", "ViT-base image classification", "ViT-base"},
	{"5", "Whisper-tiny transcription", "Whisper-tiny"},
	{"addendum", "Qwen3-4B decode", "Qwen3-4B decode"},
}

// panel is one case: its lanes, the fastest last, so that it is drawn on top.
type panel struct {
	title, unit string
	lanes       []result
}

// panels sorts the rows into cases. Times become calls a second, so that a
// longer bar is better everywhere.
func panels(results []result) []panel {
	var list []panel
	for _, t := range titles {
		p := panel{title: t.title, unit: "tokens / s"}
		for _, r := range results {
			if r.Tier != t.tier || r.Case != t.name {
				continue
			}
			if r.Unit != "tok/s" {
				rate := 1e6 / *r.Value
				r.Value, p.unit = &rate, "calls / s"
			}
			p.lanes = append(p.lanes, r)
		}
		if len(p.lanes) == 0 {
			continue
		}
		slices.SortStableFunc(p.lanes, func(a, b result) int {
			switch {
			case *a.Value < *b.Value:
				return -1
			case *a.Value > *b.Value:
				return 1
			}
			return 0
		})
		list = append(list, p)
	}
	return list
}

// draw writes tier 1 across the page and the panels below it, two a row.
func draw(w io.Writer, results []result) error {
	const columns = 2
	list, ops := panels(results), opCases(results)
	if len(list) == 0 && len(ops) == 0 {
		return fmt.Errorf("the report holds no tier that is drawn")
	}
	rows := (len(list) + columns - 1) / columns
	lanes := 0
	for _, p := range list {
		lanes = max(lanes, len(p.lanes))
	}
	height, top := vg.Length(lanes)*barHeight+frame, opsHeight(ops)
	canvas := vgsvg.New(columns*panelWidth, top+vg.Length(rows)*height)
	page := vgdraw.New(canvas)
	if len(ops) > 0 {
		if err := drawOps(vgdraw.Crop(page, margin, -margin, page.Max.Y-top+margin, -margin), ops); err != nil {
			return err
		}
	}
	for i, p := range list {
		chart, err := p.plot()
		if err != nil {
			return err
		}
		left, high := vg.Length(i%columns)*panelWidth, page.Max.Y-top-vg.Length(i/columns)*height
		panel := vgdraw.Crop(page, left, left+panelWidth-page.Max.X, high-height, high-page.Max.Y)
		chart.Draw(vgdraw.Crop(panel, margin, -margin, margin, -margin))
	}
	_, err := canvas.WriteTo(w)
	return err
}

// plot is a panel as horizontal bars with their values.
func (p panel) plot() (*plot.Plot, error) {
	chart := plot.New()
	chart.Title.Text, chart.Title.Padding = p.title, margin
	chart.X.Label.Text = p.unit + " (more is better)"
	chart.X.Min = 0
	var names []string
	labels := plotter.XYLabels{}
	for i, r := range p.lanes {
		bar, err := plotter.NewBarChart(plotter.Values{*r.Value}, 0.7*barHeight)
		if err != nil {
			return nil, err
		}
		bar.Horizontal, bar.XMin, bar.LineStyle.Width = true, float64(i), 0
		bar.Color = other
		if strings.HasPrefix(r.Lane, "emily-") {
			bar.Color = own
		}
		chart.Add(bar)
		names = append(names, r.Lane+" "+r.DType)
		labels.XYs = append(labels.XYs, plotter.XY{X: *r.Value, Y: float64(i)})
		labels.Labels = append(labels.Labels, fmt.Sprintf(" %.3g", *r.Value))
	}
	values, err := plotter.NewLabels(labels)
	if err != nil {
		return nil, err
	}
	for i := range values.TextStyle {
		values.TextStyle[i].YAlign = vgdraw.YCenter
	}
	chart.Add(values)
	chart.NominalY(names...)
	chart.X.Max = 1.2 * *p.lanes[len(p.lanes)-1].Value // room for the longest bar's value
	return chart, nil
}
